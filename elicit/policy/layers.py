"""The decoder blocks of a transformers model, their outputs, and hooks on them. No other module knows their layout.

Layers are 0-based; "the output of layer L" is what block L passes to block L + 1: the residual stream
after it. Blocks return a Tensor in transformers 4.57 and later and a tuple elsewhere; `hidden_of` and
`with_hidden` hide that. (`output[0]` on a Tensor would be row 0 of the batch: the other rows would
silently stay unsteered.) Knows nothing of edits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from elicit.errors import CheckpointError

if TYPE_CHECKING:
    from torch import nn


def text_config(model: nn.Module) -> Any:
    """The config of the language model; of its text part, if it has others."""
    config: Any = model.config
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def blocks(model: nn.Module) -> list[nn.Module]:
    """The decoder blocks in order: the outermost ModuleList whose length is the config's number of layers.

    Raises CheckpointError if there is no such list or more than one.
    """
    wanted = text_config(model).num_hidden_layers
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(module, torch.nn.ModuleList) and len(module) == wanted and not inside:
            found[name] = module
    if len(found) != 1:
        names = ", ".join(found) or "none"
        raise CheckpointError(
            f"{type(model).__name__}: expected one list of {wanted} decoder blocks, found {names}; "
            "only decoder-only models are supported"
        )
    return list(next(iter(found.values())))  # type: ignore[call-overload]


def width(model: nn.Module) -> int:
    """D, the width of the residual stream."""
    return int(text_config(model).hidden_size)


def at_depth(model: nn.Module, fraction: float) -> int:
    """The layer at a fraction of the depth, rounded down; 1.0 is the last layer.

    Raises CheckpointError outside [0, 1].
    """
    if not 0 <= fraction <= 1:
        raise CheckpointError(f"depth {fraction}: a fraction between 0 and 1")
    count = len(blocks(model))
    return min(int(fraction * count), count - 1)


def unembedding(model: nn.Module) -> torch.Tensor:
    """The matrix [V, D] that turns the normalised residual stream into logits. Raises CheckpointError without one."""
    head = model.get_output_embeddings()  # type: ignore[operator]
    if head is None:
        raise CheckpointError(f"{type(model).__name__} has no output embedding: load it as a causal language model")
    return head.weight


def hidden_of(output: Any) -> torch.Tensor:
    """The hidden states [B, T, D] in a block's output."""
    return output if isinstance(output, torch.Tensor) else output[0]


def with_hidden(output: Any, hidden_B_T_D: torch.Tensor) -> Any:
    """The output of a block with its hidden states replaced."""
    return hidden_B_T_D if isinstance(output, torch.Tensor) else (hidden_B_T_D, *output[1:])


@contextmanager
def changing_outputs(
    model: nn.Module, changes: dict[int, Callable[[torch.Tensor], torch.Tensor | None]]
) -> Iterator[None]:
    """Pass the output [B, T, D] of each layer in `changes` through its function; None from it leaves the output alone.

    Leaving removes the hooks. Raises CheckpointError if a layer does not exist.
    """
    all_blocks, handles = blocks(model), []
    unknown = [layer for layer in changes if not 0 <= layer < len(all_blocks)]
    if unknown:
        raise CheckpointError(f"layer {unknown[0]}: {type(model).__name__} has layers 0 to {len(all_blocks) - 1}")
    try:
        for layer, change in changes.items():
            handles.append(all_blocks[layer].register_forward_hook(_hook(change)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(change: Callable[[torch.Tensor], torch.Tensor | None]) -> Callable[[nn.Module, Any, Any], Any]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        changed = change(hidden_of(output))
        return None if changed is None else with_hidden(output, changed)

    return hook


@contextmanager
def reading_outputs(model: nn.Module, layers: Sequence[int]) -> Iterator[dict[int, torch.Tensor]]:
    """Inside, every forward pass leaves the outputs [B, T, D] of `layers` in the dict yielded (detached)."""
    read: dict[int, torch.Tensor] = {}

    def reader(layer: int) -> Callable[[torch.Tensor], None]:
        return lambda hidden_B_T_D: read.__setitem__(layer, hidden_B_T_D.detach())

    with changing_outputs(model, {layer: reader(layer) for layer in layers}):
        yield read
