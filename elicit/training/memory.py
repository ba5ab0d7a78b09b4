"""What training will take on one device, computed from the model's shape before anything starts.

    weights      parameters in the checkpoint's dtype
    masters      float32 copies of the trained parameters (the originals are kept: they are put back)
    gradients    float32, trained parameters only
    optimizer    two float32 moments of each trained parameter
    sampler      weights rounded to the checkpoint's dtype for rollouts, if they differ from the masters
    activations  what the backward pass of one micro-batch keeps (`kept_per_token`); with gradient checkpointing one
                 residual stream per layer, plus one layer in full
    logits       TRL's tile of labelled tokens by vocabulary in float32, without Triton with what its derivative is
                 computed from, and the head's gradient if the head is trained
    cache        keys and values of the rollouts; freed before the backward pass, so it is no part of that peak

An estimate, good to some tens of percent; attention kernels and allocators have their own overhead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch

from elicit.errors import MethodError
from elicit.policy.shape import Device, Dtype, Shape
from elicit.sampling.loop.step_loop import CACHE_SHARE, CPU_CACHE, most_rows
from elicit.training.rl.settings import GRPOSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from elicit.policy.checkpoint import Checkpoint
    from elicit.training.sft.sft import SftConfig

GB = 1e9
TILE = (4096, 32768)
"""tokens and entries of the vocabulary of one tile of logits (trl/kernels/chunked_logprob.py)"""
COPIES = 8
"""tiles alive in the backward pass without Triton: the logits and their terms (trl/kernels/chunked_logprob.py)"""


@dataclass(frozen=True)
class Memory:
    """Bytes by use."""

    weights: int
    masters: int
    gradients: int
    optimizer: int
    sampler: int
    activations: int
    logits: int
    cache: int

    @property
    def fixed(self) -> int:
        """What a smaller batch does not reduce."""
        return self.weights + self.masters + self.gradients + self.optimizer

    @property
    def total(self) -> int:
        """The peak: sampling and training alternate."""
        return self.fixed + max(self.sampler + self.cache, self.activations + self.logits)

    def __str__(self) -> str:
        parts = [(f.name, getattr(self, f.name)) for f in fields(self)]
        shown = ", ".join(f"{name} {size / GB:.2f}" for name, size in parts if size >= 0.005 * self.total)
        return f"{self.total / GB:.2f} GB ({shown})"


def estimate(
    model: PreTrainedModel | Shape,
    trained: int,
    *,
    micro_batch: int,
    tokens: int,
    rows: int,
    checkpointing: bool,
    dtype: Dtype,
    vectors: bool = False,
    cache_limit: int | None = None,
    labelled: int | None = None,
    copies: int = COPIES,
) -> Memory:
    """Bytes by use of a model, which may be on the meta device, or of its shape: nothing else is read.

    `trained`: trained parameters; `tokens`: of the longest row; `rows`: rollouts alive at a time (0: none are drawn);
    `vectors`: no weight is trained, so no input of a linear layer is kept; `cache_limit`: bytes of keys and values at
    most, None: no limit; `labelled`: tokens of a row that are trained on, None: all; `copies`: tiles of logits alive.
    """
    shape = Shape.of(model)
    count, width, parameters, vocabulary = shape.layers, shape.width, shape.parameters, shape.vocabulary
    size = dtype.itemsize
    full = trained >= parameters
    cache = 2 * count * (shape.heads or 0) * shape.head_width * size * rows * tokens
    layer = kept_per_token(shape, size, vectors)
    residual = width * (4 if full else size)  # with float32 masters the residual stream is float32
    tile = min(micro_batch * (tokens if labelled is None else labelled), TILE[0]) * min(vocabulary, TILE[1])
    return Memory(
        weights=parameters * size,
        masters=4 * trained,
        gradients=4 * trained,
        optimizer=8 * trained,
        sampler=parameters * size if full and size < 4 else 0,
        activations=micro_batch * tokens * (count * residual + layer if checkpointing else count * layer),
        logits=4 * copies * tile + (4 * vocabulary * width if full else 0),
        cache=cache if cache_limit is None else min(cache, cache_limit),
    )


def estimate_rl(
    model: PreTrainedModel | Shape,
    settings: GRPOSettings,
    trained: int,
    vectors: bool,
    tokens: int,
    device: Device,
    dtype: Dtype,
    labelled: int | None = None,
) -> Memory:
    """The same for a policy gradient: the step loop bounds its rows and its cache, `generate` draws a whole batch."""
    rows, limit = settings.batch, None
    if settings.rollouts != "generate":
        rows = min(rows, most_rows(device))
        memory = available(device)
        if device.type == "cpu":
            limit = CPU_CACHE
        elif memory is not None:
            weights = Shape.of(model).parameters * dtype.itemsize
            limit = max(0, int(CACHE_SHARE * (memory - weights)))
    return estimate(
        model,
        trained,
        micro_batch=settings.micro_batch,
        tokens=tokens,
        rows=rows,
        checkpointing=settings.gradient_checkpointing,
        dtype=dtype,
        vectors=vectors,
        cache_limit=limit,
        labelled=labelled,
        copies=1 if device.type == "cuda" else COPIES,
    )


def estimate_sft(
    model: PreTrainedModel | Shape, settings: SftConfig, trained: int, tokens: int, dtype: Dtype
) -> Memory:
    """The same for training on given rows: no rollouts are drawn."""
    return estimate(
        model,
        trained,
        micro_batch=settings.micro_rows,
        tokens=tokens,
        rows=0,
        checkpointing=settings.gradient_checkpointing,
        dtype=dtype,
    )


def kept_per_token(model: PreTrainedModel | Shape, size: int, vectors: bool) -> int:
    """Bytes that one block keeps per token for its backward pass, with an attention kernel that keeps no scores.

    Norms keep their float32 input; attention keeps queries, keys, values and output; a gated MLP keeps gate, its
    activation and the other factor. If weights are trained, every linear layer keeps its input as well: the norms'
    outputs (in float32 before the cast), and the product inside the MLP. D width, N values that norms read (2 D, with
    norms after attention and MLP and of heads more), `size` bytes per value:

        vectors:  4 N + size (2 queries + 2 keys + 3 inner)   weights:  8 N + size (2 D + 2 queries + 2 keys + 4 inner)
    """
    shape = Shape.of(model)
    keys = (shape.heads or 1) * shape.head_width
    if vectors:
        return 4 * shape.normed + size * (2 * shape.queries + 2 * keys + 3 * shape.inner)
    return 8 * shape.normed + size * (2 * shape.width + 2 * shape.queries + 2 * keys + 4 * shape.inner)


def announce(
    needed: Memory, trained: int, checkpoint: Checkpoint, name: str, advice: str, say: Callable[[str], None]
) -> None:
    """Print what the fit `name` trains and takes. Raises MethodError if its fixed part does not fit (see `check`)."""
    say(f"{name}: {trained:,} trained parameters, about {needed}")
    check(needed, available(checkpoint.device), f"{name} of {checkpoint.name}", advice)


def check(memory: Memory, available: int | None, what: str, advice: str) -> None:
    """Raises MethodError if the fixed part alone does not fit; `available`: bytes of the device, None: unknown."""
    if available is not None and memory.fixed > 0.95 * available:
        raise MethodError(
            f"{what} needs {memory.fixed / GB:.0f} GB for weights, float32 masters, gradients and optimizer alone, the "
            f"device has {available / GB:.0f} GB: {advice}"
        )


@contextmanager
def explained(advice: str) -> Iterator[None]:
    """Inside, a device that runs out of memory is a MethodError that names the settings to change."""
    try:
        yield
    except torch.OutOfMemoryError as fault:
        raise MethodError(f"out of memory in training ({fault}): {advice}") from fault


def available(device: Device) -> int | None:
    """Bytes of the device's memory; None on a CPU, where the system swaps before it refuses."""
    if device.type == "cuda" and isinstance(device, torch.device):
        return torch.cuda.mem_get_info(device)[1]
    return None
