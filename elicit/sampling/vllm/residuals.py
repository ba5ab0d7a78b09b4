"""Activation edits on a vLLM model: the residual stream of its blocks, as the edits know it, and each token's position.

    transformers    block -> x [B, T, D]                         hooks on the block's output
    vLLM            block -> (h [N, D], r [N, D]), x = h + r     the same hooks on x [N, 1, D], put back as (x', 0)

vLLM's batch is flat: N tokens of all requests, chunks of prompts next to single tokens. Each token is handed to the
edits as a row of its own, with its absolute position and the length of its own prompt (`policy/positions.py`), so an
edit is the very code that the step loop runs, whatever vLLM batches. A token of a padded batch has position -1. Hooks
need eager mode. Knows no edit, and nothing of draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from elicit.policy import layers
from elicit.policy.positions import forward_positions


class Applied(Protocol):
    """Something that puts hooks on a model's blocks: an activation edit, or vectors that are being trained."""

    def applied(self, model: nn.Module) -> AbstractContextManager[None]:
        """Inside, the hooks are on."""
        ...


@dataclass
class Calls:
    """How often blocks with an edit ran, and how often an edit changed their output."""

    fired: int = 0
    written: int = 0


class ResidualStream(nn.Module):
    """A vLLM model as the list of blocks that edits put their hooks on: block l passes its input through.

    `model` is not registered as a submodule, since it holds a list of blocks of its own.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.config = layers.text_config(model)
        self.blocks = nn.ModuleList(nn.Identity() for _ in layers.blocks(model))
        self.calls = Calls()

    def hook(self, layer: int) -> Callable[[nn.Module, Any, Any], Any]:
        """The forward hook of vLLM's block `layer`: runs the hooks of the pass-through block on x."""
        block = self.blocks[layer]

        def run(module: nn.Module, inputs: Any, output: Any) -> Any:
            if not block._forward_hooks:
                return None
            self.calls.fired += 1
            paired = isinstance(output, tuple)
            x_N_1_D = (output[0] + output[1] if paired else output)[:, None]
            changed = block(x_N_1_D)
            if changed is x_N_1_D:
                return None
            self.calls.written += 1
            # the next block adds the pair up first: x' + 0 is x' to the last bit
            return (changed[:, 0], torch.zeros_like(output[1])) if paired else changed[:, 0]

        return run


@contextmanager
def edited(
    model: nn.Module,
    edits: Sequence[Applied],
    batch: Callable[[], tuple[torch.Tensor, torch.Tensor]],
) -> Iterator[Calls]:
    """Inside, every forward pass of the vLLM model is edited; yields the counts of its hooks.

    `batch()`: (positions [N], prompt lengths [N]) of the tokens of the running pass, on the host.
    """
    stream, forward = ResidualStream(model), model.forward

    def positioned(*args: Any, **kwargs: Any) -> Any:
        positions_N, prompts_N = batch()
        with forward_positions(positions_N[:, None], prompts_N):
            return forward(*args, **kwargs)

    with ExitStack() as stack:
        for edit in edits:
            stack.enter_context(edit.applied(stream))
        for layer, block in enumerate(layers.blocks(model)):
            stack.callback(block.register_forward_hook(stream.hook(layer)).remove)
        model.forward = positioned  # type: ignore[method-assign]
        stack.callback(model.__dict__.pop, "forward")
        yield stream.calls
