"""Keys and values of a generated path, from a part of which another path can continue.

    path     prompt ... x_0 .................. x_{n-1}       its row's columns are copied out when it ends
    next     prompt ... x_0 ... x_{m-1} | new tokens         columns before x_{m-1} are cropped, x_{m-1} is computed

A strategy that resamples suffixes (power sampling) or multiplies rows (particles) asks for it with `PathJob.keep`, gets
it as `Path.kept` and passes it on as the next `PathJob.kept`. It only saves work: the same job without it prefills its
forced tokens and gives the same path, also if there was no room for a copy. The slot cache never evicts a column, so
models with sliding windows are cropped like any other. Knows nothing of picking tokens or strategies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from elicit.policy.decoding import Kept

if TYPE_CHECKING:
    from transformers.cache_utils import DynamicCache


def column_bytes(states: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> int:
    """Bytes of one token of one row over all layers."""
    return sum(part.shape[1] * part.shape[3] * part.element_size() for layer in states for part in layer)


def columns_of(layers: Sequence[Any], slot: int, first: int, count: int) -> torch.Tensor | None:
    """A copy [layers x 2, heads, count, D] of a row's columns; None if the layers differ in shape."""
    parts = [part[slot, :, first : first + count] for layer in layers for part in (layer.keys, layer.values)]
    if any(part.shape != parts[0].shape for part in parts):
        return None
    return torch.stack(parts)


def cropped(kept: Sequence[Kept], lengths: Sequence[int]) -> DynamicCache:
    """A cache of the first `lengths[i]` columns of each, right-aligned, zeros before them."""
    from transformers.cache_utils import DynamicCache

    first = kept[0].states
    assert first is not None
    parts, heads, _, size = first.shape
    whole = first.new_zeros((parts, len(kept), heads, max(lengths), size))
    for row, (one, length) in enumerate(zip(kept, lengths, strict=True)):
        assert one.states is not None
        whole[:, row, :, max(lengths) - length :] = one.states[:, :, :length]
    cache = DynamicCache()
    for layer in range(parts // 2):
        cache.update(whole[2 * layer], whole[2 * layer + 1], layer)
    return cache
