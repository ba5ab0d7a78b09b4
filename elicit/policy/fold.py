"""An additive edit of every token as a bias: nothing runs while sampling, so it costs nothing.

    block(x) = y + W_down h          ->         block(x) = y + (W_down h + b),   b = sum of m v

Only where the MLP's output projection is the last thing added to the residual stream: pre-norm blocks (Llama, Qwen,
Mistral, GPT-2, ...). Behind a norm (Gemma-2, OLMo-2) a bias would be normalised: refused, the hooks are general.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from elicit.errors import CheckpointError, ConfigError
from elicit.policy.activations import ActivationEdit
from elicit.policy.layers import blocks

LAST_PROJECTIONS = ("mlp.down_proj", "mlp.c_proj", "mlp.dense_4h_to_h", "mlp.fc2")
AFTER_NORMS = ("post_feedforward_layernorm", "post_mlp_layernorm", "post_ffn_norm")


@contextmanager
def folded(edit: ActivationEdit, model: nn.Module) -> Iterator[None]:
    """Inside, the edit is part of the model's biases; the very same biases (or none) come back on leaving.

    Raises ConfigError for an edit that is not a plain addition to every token, CheckpointError for blocks that
    normalise what the MLP adds.
    """
    for each in edit.edits:
        plain = each.operator == "add" and each.first is None and each.half_life is None and each.gate is None
        if not plain or each.write != "every":
            raise ConfigError(
                f"operator={each.operator!r}, write={each.write!r} at layer {each.layer}: only an addition to every "
                "token, without schedule or gate, is a bias"
            )
    edit.check(model)
    all_blocks = blocks(model)
    before: dict[int, tuple[Any, Any]] = {}
    for layer in sorted({each.layer for each in edit.edits}):
        last = last_projection(all_blocks[layer], layer)
        before[layer] = (last, last.bias)
    try:
        for layer, (last, bias) in before.items():
            delta = torch.stack([each.strength * each.vector for each in edit.edits if each.layer == layer]).sum(0)
            delta = delta.to(last.weight.device)
            new = delta if bias is None else bias.detach().float() + delta
            last.bias = nn.Parameter(new.to(last.weight.dtype), requires_grad=False)
        yield
    finally:
        for last, bias in before.values():
            last.bias = bias


def last_projection(block: nn.Module, layer: int) -> nn.Module:
    """The projection whose output a block adds last. Raises CheckpointError where a norm follows or none is known."""
    names = {name for name, _ in block.named_modules()}
    if norm := next((name for name in AFTER_NORMS if name in names), None):
        raise CheckpointError(
            f"layer {layer} of {type(block).__name__} normalises its MLP's output ({norm}): a bias is no addition to "
            "the residual stream there; apply the edit by its hooks"
        )
    found = next((name for name in LAST_PROJECTIONS if name in names), None)
    if found is None:
        raise CheckpointError(f"layer {layer}: {type(block).__name__} has none of {', '.join(LAST_PROJECTIONS)}")
    return block.get_submodule(found)
