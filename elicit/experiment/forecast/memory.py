"""What a comparison will need on its device, estimated from the model's shape.

    sampling   weights + cache of the step loop's rows + their logits
    fits       `elicit.training.memory.estimate`, for methods that train by gradients; for a method with `memory_mb`,
               the activations that it keeps in memory at most, and as much again for their codes
    peak       the largest of these, and on a CPU also Python with its libraries (`LIBRARIES`) and the tokenizer

Every row is assumed to run to its token limit after a prompt of the same length (at most `PROMPT` tokens), or after
the exemplars of the shared prompt if they are longer: real rows seldom do, so the figure is on the high side. Knows no
samples and no time.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit.policy.checkpoint import placement
from elicit.policy.shape import Device, Dtype, Shape
from elicit.sampling.loop.step_loop import CPU_CACHE, most_rows
from elicit.training.memory import GB, Memory, estimate, estimate_rl, estimate_sft
from elicit.training.rl.settings import GRPOSettings
from elicit.training.sft.sft import SftConfig
from elicit.training.trainable import targeted

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from elicit.config import Settings
    from elicit.policy.checkpoint import CheckpointConfig

LIBRARIES = int(0.6 * GB)
"""resident memory of a process that has imported torch, transformers, trl and sae-lens, and nothing else"""
TOKENIZER = 1_700
"""bytes per entry of the vocabulary: 0.43 GB of heap were measured for the 262,144 entries of gemma-3-270m"""
PROMPT = 256
PER_TOKEN = 2
"""characters of a token in a prompt with numbers, at least"""
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
DRIVERS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
"""files of the drivers through which torch finds a GPU on Linux"""


@dataclass(frozen=True)
class Peak:
    """The most memory that one process will hold at a time."""

    what: str
    """the job that needs it, or "sampling" """
    memory: Memory
    logits: int
    """of a step of sampling"""
    libraries: int
    tokenizer: int
    place: str
    """device and type"""

    @property
    def total(self) -> int:
        """Bytes."""
        return self.memory.total + self.logits + self.libraries + self.tokenizer

    def __str__(self) -> str:
        named = (("logits", self.logits), ("libraries", self.libraries), ("tokenizer", self.tokenizer))
        further = [f"{name} {size / GB:.2f}" for name, size in named if size >= 0.005 * self.total]
        parts = " + ".join([str(self.memory), *further])
        return f"peak about {self.total / GB:.1f} GB per process on {self.place}, in {self.what}: {parts}"


@dataclass(frozen=True)
class Number:
    """A type of numbers by its name; torch is not needed for it."""

    name: str

    @property
    def itemsize(self) -> int:
        return BYTES[self.name]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Processor:
    """A device by its type; torch is not needed for it."""

    type: str


def placed(config: CheckpointConfig) -> tuple[Device, Dtype]:
    """Device and type of a checkpoint. torch is asked only if there may be a GPU, or for a name it has to check."""
    no_gpu = sys.platform == "linux" and not any(Path(file).exists() for file in DRIVERS)
    dtype = "float32" if config.dtype == "auto" else config.dtype
    if (config.device == "cpu" or (config.device == "auto" and no_gpu)) and dtype in BYTES:
        return Processor("cpu"), Number(dtype)
    return placement(config)


def peak(model: PreTrainedModel | Shape, jobs: list[tuple[str, Settings]]) -> Peak:
    """Over sampling and the fits of `jobs`, (name, settings) each; a model may be on the meta device."""
    model = Shape.of(model)
    device, dtype = placed(jobs[0][1].model)
    libraries, tokenizer = (LIBRARIES, TOKENIZER * model.vocabulary) if device.type == "cpu" else (0, 0)
    place = f"{device.type} in {str(dtype).removeprefix('torch.')}"
    sampling, logits = _sampling(model, jobs[0][1], device, dtype)
    peaks = [Peak("sampling", sampling, logits, libraries, tokenizer, place)]
    for name, chosen in jobs:
        if (need := _fit(model, chosen, device, dtype)) is not None:
            peaks.append(Peak(name, need, 0, libraries, tokenizer, place))
    return max(peaks, key=lambda one: one.total)


def limit_of(chosen: Settings, method: Any = None) -> int:
    """The most new tokens of a completion: the method's own limit, else the evaluation's, else the task's."""
    own = getattr(method, "max_new_tokens", None)
    return int(own or chosen.eval.max_new_tokens or chosen.task.stop.max_new_tokens)


def _sampling(model: Shape, chosen: Settings, device: Device, dtype: Dtype) -> tuple[Memory, int]:
    """(weights and cache, bytes of one step's logits)."""
    tokens, rows = _tokens(chosen, limit_of(chosen)), most_rows(device)
    limit = CPU_CACHE if device.type == "cpu" else None
    whole = estimate(
        model, 0, micro_batch=0, tokens=tokens, rows=rows, checkpointing=False, dtype=dtype, cache_limit=limit
    )
    logits = 3 * 4 * rows * model.vocabulary  # as computed, in float32, and sorted
    return replace(whole, activations=0, logits=0), logits


def _fit(model: Shape, chosen: Settings, device: Device, dtype: Dtype) -> Memory | None:
    """Memory of the fit; None if it needs no more than sampling."""
    method = chosen.method
    if isinstance(method, GRPOSettings):
        limit = limit_of(chosen, method)
        tokens = _tokens(chosen, limit)
        trained, vectors = _trained(model, method.parameters, method), method.parameters == "vectors"
        return estimate_rl(model, method, trained, vectors, tokens, device, dtype, labelled=limit)
    sft = getattr(method, "sft", None)
    if isinstance(sft, SftConfig):  # a float32 copy is trained next to the model
        tokens = min(sft.max_tokens, _tokens(chosen, limit_of(chosen)))
        trained = _trained(model, sft.update, sft)
        copy = estimate_sft(model, sft, trained, tokens, Number("float32"))
        return replace(copy, weights=copy.weights // 4 * dtype.itemsize, masters=copy.weights)
    if kept := getattr(method, "memory_mb", 0):  # activations, and as much again for codes
        return Memory(model.parameters * dtype.itemsize, 0, 0, 0, 0, 2 * kept * 2**20, 0, 0)
    return None


def _trained(model: Shape, which: str | None, settings: Any) -> int:
    """Parameters that are trained: "full", "lora", or one vector per layer."""
    if which == "full":
        return model.parameters
    if which == "lora":
        names = targeted(model.linear, getattr(settings, "lora_targets", ()), "the checkpoint")
        return sum(settings.lora_rank * sum(model.linear[name]) for name in names)
    return model.layers * model.width


def _tokens(chosen: Settings, limit: int) -> int:
    """Of the longest row: a completion at its limit after its prompt."""
    prompt = chosen.task.prompts.get(chosen.eval.prompt)
    exemplars = len(prompt.render("")) // PER_TOKEN if prompt and prompt.exemplars else 0
    return limit + max(min(limit, PROMPT), exemplars)
