"""Attention of a decode step with grouped queries, without a copy of the keys and values per query head.

transformers repeats keys and values for every query head of a group (`repeat_kv`) whenever a mask is given; at one
query token per row that copy costs many times the attention itself. The query heads of one group see the same keys
under the same mask, as query *positions* do. So [B, Hkv * G, 1, D] is computed as [B, Hkv, G, D], by any kernel of
scaled_dot_product_attention, on any device.

`grouped_decode(model)` switches a model to this function through the attention registry of transformers (4.57 and 5)
and back. It acts on decode steps only: prefill, training and likelihood run the model's own function. A layer whose
call carries more than a mask and a scale (soft-capping, sinks, a bias per head) also runs its own. Models that do not
use the registry, run another attention than sdpa, or have no groups are left as they are. Knows nothing of caches.

B rows, Hkv key heads, G query heads per key head, D head width, K columns.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import nn

GROUPED = "elicit_grouped_decode"
"""the name under which the function is registered"""
OTHER_TERMS = ("softcap", "s_aux", "sinks", "position_bias", "head_mask", "cache")
"""arguments of a layer's call that change its scores or its output: such a layer runs its own attention"""


def grouped_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """An attention function of transformers' registry: (output [B, T, Hkv * G, D], no weights)."""
    rows, heads, tokens, width = query.shape
    key_heads, columns = key.shape[1], key.shape[2]
    if (
        tokens != 1
        or heads == key_heads
        or dropout
        or (attention_mask is not None and (attention_mask.dim() != 4 or attention_mask.shape[1] != 1))
        or more.get("output_attentions")
        or any(more.get(name) is not None for name in OTHER_TERMS)
    ):
        own = sys.modules[type(module).__module__].ALL_ATTENTION_FUNCTIONS["sdpa"]  # type: ignore[attr-defined]
        return own(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **more)
    if attention_mask is not None:
        attention_mask = attention_mask[..., :columns]
    out = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(rows, key_heads, heads // key_heads, width), key, value, attn_mask=attention_mask, scale=scaling
    )
    return out.reshape(rows, 1, heads, value.shape[-1]), None


@contextmanager
def grouped_decode(model: nn.Module) -> Iterator[None]:
    """Run the decode steps of `model` by `grouped_attention`; its own attention is restored on leaving."""
    configs = _switchable(model)
    if configs:
        from transformers import AttentionInterface
        from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

        AttentionInterface.register(GROUPED, grouped_attention)
        AttentionMaskInterface.register(GROUPED, sdpa_mask)
    try:
        for config in configs:
            config._attn_implementation_internal = GROUPED  # the public setter would change configs below it too
        yield
    finally:
        for config in configs:
            config._attn_implementation_internal = "sdpa"


def _switchable(model: Any) -> list[Any]:
    """The configs that the model's grouped attention layers read, each once; none if it can't be switched safely."""
    body = getattr(model, getattr(model, "base_model_prefix", ""), model)
    if not hasattr(sys.modules[type(body).__module__], "create_causal_mask"):
        return []  # a class that builds its masks itself may compare the name of its attention with "sdpa"
    layers = [module for module in model.modules() if getattr(module, "num_key_value_groups", 1) > 1]
    if not all(hasattr(sys.modules[type(layer).__module__], "ALL_ATTENTION_FUNCTIONS") for layer in layers):
        return []
    configs = {id(layer.config): layer.config for layer in layers if hasattr(layer, "config")}
    if layers:
        configs[id(body.config)] = body.config  # the masks are built for it
    chosen = list(configs.values())
    return chosen if all(getattr(config, "_attn_implementation", None) == "sdpa" for config in chosen) else []
