"""What training will take on one device, computed from the model's shape before anything starts.

    weights      parameters in the checkpoint's dtype
    masters      float32 copies of the trained parameters (the originals are kept: they are put back)
    gradients    float32, trained parameters only
    optimizer    two float32 moments of each trained parameter
    sampler      weights rounded to the checkpoint's dtype for rollouts, if they differ from the masters
    activations  what the backward pass of one micro-batch keeps: about 34 values per token, layer and width
                 (arXiv 2205.05198); with gradient checkpointing one, plus one layer in full
    logits       one tile of 512 tokens in float32, and the head's gradient if the head is trained
    cache        keys and values of the rollouts

An estimate, good to some tens of percent; attention kernels and allocators have their own overhead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch

from elicit.errors import MethodError
from elicit.policy import layers

if TYPE_CHECKING:
    from elicit.policy.checkpoint import Checkpoint

GB = 1e9
TILE = 512
"""tokens whose logits are computed at a time"""


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
    model: Any, trained: int, micro_batch: int, tokens: int, rows: int, checkpointing: bool, dtype: torch.dtype
) -> Memory:
    """`trained`: trained parameters; `tokens`: of the longest row; `rows`: rollouts drawn together (0: none are drawn).

    The model may be on the meta device: only its shape is read.
    """
    config = layers.text_config(model)
    count, width = int(config.num_hidden_layers), layers.width(model)
    parameters = sum(p.numel() for p in model.parameters())
    size = dtype.itemsize
    full = trained >= parameters
    cache = 0
    if rows:  # a model without attention heads can be fine-tuned, too
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        head = getattr(config, "head_dim", None) or width // config.num_attention_heads
        cache = 2 * count * heads * head * size * rows * tokens
    kept = micro_batch * tokens * width * size
    vocabulary = int(config.vocab_size)
    return Memory(
        weights=parameters * size,
        masters=4 * trained,
        gradients=4 * trained,
        optimizer=8 * trained,
        sampler=parameters * size if full and size < 4 else 0,
        activations=kept * (count + 34) if checkpointing else kept * 34 * count,
        logits=4 * TILE * vocabulary + (4 * vocabulary * width if full else 0),
        cache=cache,
    )


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


def available(device: torch.device) -> int | None:
    """Bytes of the device's memory; None on a CPU, where the system swaps before it refuses."""
    return torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else None
