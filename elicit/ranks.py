"""Several processes that run one command together, as `torchrun` and `accelerate launch` start them.

    torchrun --nproc-per-node 2 -m elicit method=rlvr ...        accelerate launch --num-processes 2 -m elicit ...

Every process runs the same command, step by step. What is heavy is divided: the blocks of an evaluation, the rollouts
of an update, the micro-batches of a fit. Everything else is computed by all of them alike, and rank 0 alone writes,
grades, prints and tracks; the others wait for it. A started process reads its rank from torch.distributed, so libraries
may be kept from seeing that they are several (`hidden`). Knows nothing of samples, fits or files.

Objects travel by gloo, gradients by the backend of their device (gloo or NCCL). No torch unless there are several.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from elicit import errors
from elicit.errors import ConfigError, StageError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""variables by which a launcher tells a process its place"""
PATIENCE = timedelta(hours=12)
"""how long a process waits for the others: one may fit or grade alone for hours. A process that fails ends at once, and
its launcher then ends the others"""


_ALONE = ContextVar("alone", default=False)
"""whether rank 0 does something while the others wait (`by_main`)"""


def rank() -> int:
    """The number of this process, from 0."""
    return _place()[0]


def world() -> int:
    """How many processes run this command."""
    return _place()[1]


def main() -> bool:
    """Whether this process writes, grades and prints."""
    return rank() == 0


def _place() -> tuple[int, int]:
    if _ALONE.get():
        return 0, 1
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    if "MASTER_ADDR" not in os.environ:
        return 0, 1
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


@contextmanager
def joined() -> Iterator[None]:
    """Inside, the processes of a launcher can exchange objects. Alone, or inside another `joined`, it does nothing.

    Each process sees one GPU, that of its local rank, so `cuda` means its own. Raises ConfigError if CUDA was in use
    before.
    """
    if world() == 1:
        yield
        return
    import torch
    from torch import distributed

    if distributed.is_initialized():
        yield
        return
    for name in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"):
        if os.environ.get(name, "").lower() in ("1", "true"):
            raise ConfigError(f"{name}: every process holds the whole model here; launch without it (accelerate: DDP)")
    if torch.cuda.is_initialized():
        raise ConfigError("several processes: CUDA was in use before they joined; start the command again")
    local = int(os.environ.get("LOCAL_RANK", 0))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    devices = visible.split(",") if visible else [str(number) for number in range(local + 1)]
    if os.path.exists("/dev/nvidia0") and local < len(devices):
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[local]
    if torch.cuda.is_available() and torch.cuda.device_count() > 1:
        raise ConfigError("several processes: each has to see one GPU, and CUDA was asked for all of them before")
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield
        # a launcher ends all processes once one of them ends with an exit code: rank 0 prints its results first
        wait("the end of the command")
    finally:
        distributed.destroy_process_group()


@contextmanager
def hidden() -> Iterator[None]:
    """Inside, the launcher's variables are unset: accelerate takes this process for the only one.

    Its trainers then divide nothing and wrap no model; what is divided is divided by ours (`training/resumable.py`).
    """
    before = {name: os.environ.pop(name) for name in LAUNCHER if name in os.environ} if world() > 1 else {}
    try:
        yield
    finally:
        os.environ.update(before)


def gathered(value: T, what: str) -> list[T]:
    """The values of all processes, by rank. Every process has to call it, with the same `what`.

    Raises StageError if they do not: one of them has failed, or they have taken different ways.
    """
    if world() == 1:
        return [value]
    from torch import distributed

    pairs: list[Any] = [None] * world()
    distributed.all_gather_object(pairs, (what, value))
    if len({step for step, _ in pairs}) > 1:
        steps = "; ".join(f"process {number}: {step}" for number, (step, _) in enumerate(pairs))
        raise StageError(f"the processes are not at the same step ({steps}); start the command again, it continues")
    return [one for _, one in pairs]


def shared(value: T, what: str) -> T:
    """Rank 0's value, for all processes. Every process has to call it."""
    return gathered(value if main() else None, what)[0]  # type: ignore[return-value]


def wait(what: str) -> None:
    """Go on once every process is here."""
    gathered(None, what)


def by_main(work: Callable[[], T], what: str) -> T | None:
    """Rank 0 does `work` alone, as if there were no others, while they wait; they get None. All raise its fault."""
    if world() == 1:
        return work()
    result, fault = None, None
    if main():
        reset = _ALONE.set(True)
        try:
            result = work()
        except Exception as one:
            fault = one
        finally:
            _ALONE.reset(reset)
    kind, words = shared((type(fault).__name__, str(fault)), what)
    if fault is not None:
        raise fault
    if kind != "NoneType":
        raise getattr(errors, kind, StageError)(words)
    return result


def own_part(values: Sequence[T]) -> list[T]:
    """The values of this process: every `world`-th, from `rank`."""
    return list(values[rank() :: world()])


def merged(parts: Sequence[Sequence[T]]) -> list[T]:
    """The values again in their order, from the parts of all ranks (the inverse of `own_part`)."""
    whole: list[T] = []
    for place in range(max(map(len, parts), default=0)):
        whole += [part[place] for part in parts if place < len(part)]
    return whole


def sum_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Replace each gradient by the sum over all processes; a missing one counts as zero if another process has one."""
    if world() == 1:
        return
    import torch
    from torch import distributed

    have = gathered([parameter.grad is not None for parameter in parameters], "gradients")
    for place, parameter in enumerate(parameters):
        if any(one[place] for one in have):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)


def refuse_several(what: str) -> None:
    """Raises ConfigError if a launcher has started several processes of a command that one process does."""
    if world() > 1:
        raise ConfigError(f"{what} is done by one process: start it without torchrun or accelerate launch")


def agree(fault: BaseException | None) -> None:
    """Every process calls it at the end of a job. Raises StageError if some have failed and others have not: they are
    no longer at the same step."""
    gathered(None, "the end of a job" if fault is None else f"{type(fault).__name__} in a job")
