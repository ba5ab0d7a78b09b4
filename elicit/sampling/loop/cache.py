"""Keys and values of a batch whose rows are replaced: one write column for all rows.

    columns        0 ........ low ................ column   ....... capacity
    row of a job              [start_r ... prompt ... completion]

All rows write their next token into the same column, so a step is a slice assignment and a slice view: no
`torch.cat`, no scatter. A row's tokens are contiguous, so distance in columns is distance in tokens (what
sliding windows need). The prompt of a job that joins later is copied right-aligned before the column. `low` is
the smallest start of a living row: the columns before it are not read any more. When the columns run out,
everything moves left by `low`. Works as the `past_key_values` of any transformers model (4.57 and 5) that keeps
plain keys and values per layer. Knows nothing of tokens, masks or positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


@dataclass
class Window:
    """The columns in use, shared by all layers: rows write at `column` and read [low, column]."""

    rows: int
    low: int
    column: int


class SlotLayer(CacheLayerMixin):
    """Keys and values of one layer, [slots, heads, capacity, head width]."""

    is_sliding = False
    keys: Any
    values: Any

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, window: Window) -> None:
        super().__init__()
        self.keys, self.values, self.window = keys, values, window
        self.is_initialized = True

    def lazy_initialization(self, *states: torch.Tensor) -> None:
        """Does nothing: the buffers exist already."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one column and return the readable ones: two views [rows, heads, column - low + 1, head width]."""
        window = self.window
        low, column, rows = window.low, window.column, window.rows
        self.keys[:rows, :, column] = key_states[:, :, 0]
        self.values[:rows, :, column] = value_states[:, :, 0]
        return self.keys[:rows, :, low : column + 1], self.values[:rows, :, low : column + 1]

    def get_mask_sizes(self, *args: Any) -> tuple[int, int]:
        """(columns that a query sees, offset of the first)."""
        return self.window.column - self.window.low + 1, 0

    def get_seq_length(self) -> int:
        return self.window.column - self.window.low

    def get_max_cache_shape(self) -> int:
        return -1

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):
    """The layers of one model. Buffers start at zero, so a masked column never holds an infinity."""

    def __init__(self, like: Sequence[tuple[torch.Tensor, torch.Tensor]], slots: int, capacity: int) -> None:
        self.window = Window(slots, 0, 0)
        self.slots, self.capacity = slots, capacity
        buffers = [tuple(states.new_zeros((slots, states.shape[1], capacity, states.shape[3])) for states in layer)
                   for layer in like]  # fmt: skip
        self.buffers = [SlotLayer(keys, values, self.window) for keys, values in buffers]
        super().__init__(layers=list(self.buffers))

    def fits(self, slots: int, capacity: int) -> bool:
        """Whether the buffers are large enough for this many rows and columns."""
        return slots <= self.slots and capacity <= self.capacity

    def place(
        self,
        states: Sequence[tuple[torch.Tensor, torch.Tensor]],
        sources: torch.Tensor,
        slots: torch.Tensor,
        width: int,
    ) -> None:
        """Copy the last `width` columns of rows `sources` of `states` [N, heads, T, D] before the write column."""
        end = self.window.column
        for layer, parts in zip(self.buffers, states, strict=True):
            for buffer, part in zip((layer.keys, layer.values), parts, strict=True):
                buffer[:, :, end - width : end].index_copy_(0, slots, part[:, :, -width:].index_select(0, sources))

    def move(self, sources: torch.Tensor, targets: torch.Tensor) -> None:
        """Copy the readable columns of rows `sources` to rows `targets` (no row is in both)."""
        low, end = self.window.low, self.window.column
        for layer in self.buffers:
            for states in (layer.keys, layer.values):
                live = states[:, :, low:end]
                live.index_copy_(0, targets, live.index_select(0, sources))

    def rebase(self, floor: int = 0) -> int:
        """Move all readable columns to the left, as far as the write column stays at `floor` or above; returns by how
        many columns."""
        low, end, rows = self.window.low, self.window.column, self.window.rows
        by = min(low, end - floor)
        for layer in self.buffers:
            for states in (layer.keys, layer.values):
                states[:rows, :, low - by : end - by] = states[:rows, :, low:end].clone()
        self.window.low, self.window.column = low - by, end - by
        return by
