"""Keys and values of a path that was generated, so that another path can go on from a part of it.

    path     prompt ... x_0 .................. x_{n-1}       its row's columns are copied out when it ends
    next     prompt ... x_0 ... x_{m-1} | new tokens         columns before x_{m-1} are cropped, x_{m-1} is computed

A strategy that resamples suffixes (power sampling) or multiplies rows (particles) asks for it by `Job.keep`, finds
it as `Path.kept` and hands it to the next `Job.kept`. It only saves work: the same job without it prefills its
forced tokens and gives the same path, and so do copies that found no room. The slot cache never evicts a column,
so models with sliding windows are cropped like any other. Knows nothing of picking tokens or strategies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache


@dataclass(eq=False)
class Kept:
    """What is known of the tokens of one ended row."""

    ids: tuple[int, ...]
    """prompt and completion"""
    prompt: int
    """tokens of the prompt"""
    states: torch.Tensor | None
    """[layers x 2, heads, T, D], keys and values in turn, T >= len(ids) - 1; None where there was no room"""
    scalars_4_T: np.ndarray
    """of the completion's tokens"""
    alpha: float
    """the power that its log z is of"""

    def begins(self, prompt: Sequence[int], forced: Sequence[int]) -> bool:
        """Whether it is of a text that starts with this prompt and these completion tokens."""
        return self.prompt == len(prompt) and self.ids[: len(prompt) + len(forced)] == (*prompt, *forced)

    def serves(self, alpha: float) -> bool:
        """Whether a row can go on from it; else its prefix has to be computed again."""
        return self.states is not None and self.states.shape[2] > 0 and self.alpha == alpha


def columns_of(layers: Sequence[Any], slot: int, first: int, count: int) -> torch.Tensor | None:
    """Copy [layers x 2, heads, count, D] of a row's columns; None where the layers differ in shape."""
    parts = [part[slot, :, first : first + count] for layer in layers for part in (layer.keys, layer.values)]
    if any(part.shape != parts[0].shape for part in parts):
        return None
    return torch.stack(parts)


def cropped(kept: Sequence[Kept], lengths: Sequence[int]) -> DynamicCache:
    """The first `lengths[i]` columns of each, right-aligned, zeros in front."""
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
