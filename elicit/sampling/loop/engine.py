"""Forward passes of a batch: prefill prefixes, then advance all rows by one token.

    CachedEngine      models with plain keys and values: a step computes one token per row
    UncachedEngine    any causal model: a step computes all rows again, right-padded

Every pass goes through `ForwardCall` (forward.py). S slots, N prefixes of a prefill, T tokens, V vocabulary, D head
width. Knows nothing of picking tokens, stop rules or jobs.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from elicit.errors import CheckpointError, ConfigError
from elicit.policy.decoding import Kept
from elicit.sampling.loop.forward import ForwardCall, Prefix, prefill, ready_mask
from elicit.sampling.loop.kept import column_bytes, columns_of, cropped
from elicit.sampling.loop.pick import precise

if TYPE_CHECKING:
    from elicit.sampling.loop.cache import SlotCache


@dataclass
class Prefilled:
    """Prefixes that were computed together; the longest has T = width tokens."""

    prefixes: Sequence[Prefix]
    width: int
    states: list[tuple[torch.Tensor, torch.Tensor]]
    """keys and values per layer, [N, heads, T, D], right-aligned; empty without a cache"""
    logits_N_V: torch.Tensor
    """after the last token of each prefix"""
    forced: list[np.ndarray]
    """scalars [C, F] of the forced tokens of each prefix (more than F if they come from kept paths)"""


class CachedEngine:
    """All rows write into one column of a SlotCache (cache.py)."""

    def __init__(self, call: ForwardCall, cache_bytes: int) -> None:
        self.call, self.cache_bytes = call, cache_bytes
        self.cache: SlotCache | None = None
        self.grain = 16 if call.device.type == "cuda" else 1
        """`low` is rounded down to a multiple of it: attention kernels need aligned masks"""
        self.floor = 0
        """the write column is never below it, so that a prefix of that length fits before it at any time"""
        self.kept_bytes = 0
        """bytes of all `Kept` that are in use; at most half of `cache_bytes`"""

    def prefill(self, prefixes: Sequence[Prefix], alpha: float) -> Prefilled:
        """One pass over prefixes. Raises CheckpointError if the model keeps no plain cache."""
        from transformers.cache_utils import DynamicCache

        cache = DynamicCache()
        logits, forced = prefill(self.call, prefixes, alpha, past_key_values=cache, use_cache=True)
        lengths = np.array([len(prompt) + len(tokens) for prompt, tokens in prefixes])
        width = int(lengths.max())
        states: list[Any] = [(layer.keys, layer.values) for layer in cache.layers]
        if not states or any(part is None or part.shape[2] != width for layer in states for part in layer):
            raise CheckpointError(f"{type(self.call.model).__name__} keeps no plain keys and values: use cached=False")
        if (lengths < width).any():  # from right-padded to right-aligned
            source = (np.arange(width)[None] - (width - lengths)[:, None]) % width
            index = torch.as_tensor(source, device=self.call.device)[:, None, :, None]
            states = [tuple(part.gather(2, index.expand_as(part)) for part in layer) for layer in states]
        return Prefilled(prefixes, width, states, logits, forced)

    def resume(self, prefixes: Sequence[Prefix], kept: Sequence[Kept]) -> Prefilled:
        """The same from kept paths: crop each before the last token of its prefix and compute that one token."""
        lengths = np.array([len(prompt) + len(tokens) for prompt, tokens in prefixes])
        width, device = int(lengths.max()), self.call.device
        cache = cropped(kept, (lengths - 1).tolist())
        mask = torch.arange(width, device=device) >= torch.as_tensor(width - lengths, device=device)[:, None]
        logits = self.call(
            torch.tensor([[(*prompt, *tokens)[-1]] for prompt, tokens in prefixes], device=device),
            torch.from_numpy(lengths[:, None] - 1),
            torch.tensor([len(prompt) for prompt, _ in prefixes]),
            mask.long(),
            1,
            past_key_values=cache,
            use_cache=True,
            cache_position=torch.tensor([width - 1], device=device),
        )
        states: list[Any] = [(layer.keys, layer.values) for layer in cache.layers]
        return Prefilled(prefixes, width, states, precise(logits[:, -1]), [one.scalars_C_T for one in kept])

    def keep(self, slot: int, ids: tuple[int, ...], prompt: int, scalars_C_T: np.ndarray, alpha: float) -> Kept | None:
        """A copy of a row's keys and values for `ids`, without them if there is no room left for copies.

        None if the layers differ in shape: then nothing is ever kept.
        """
        assert self.cache is not None
        size = len(ids) * column_bytes([(layer.keys, layer.values) for layer in self.cache.buffers])
        if self.kept_bytes + size > self.cache_bytes // 2:
            return Kept(ids, prompt, None, scalars_C_T, alpha)
        states = columns_of(self.cache.buffers, slot, int(self.starts[slot]), len(ids) - 1)
        if states is None:
            return None
        kept = Kept(ids, prompt, states, scalars_C_T, alpha)
        self.kept_bytes += size
        weakref.finalize(kept, self._let_go, size)
        return kept

    def _let_go(self, size: int) -> None:
        self.kept_bytes -= size

    def allocate(self, first: Prefilled, slots: int, span: int, refill: bool, chains: bool = False) -> int:
        """Make room for `slots` rows of up to `span` tokens; returns how many rows the memory allows.

        `refill`: rows will be replaced, so that the write column runs further than one row is long. `chains`: by jobs
        that are not known yet, with prefixes of up to `span` tokens in any order.
        """
        cheap = self.call.device.type == "cuda"  # to move all columns when the write column reaches the end
        slack = 0 if not refill and not chains else 64 if cheap else max(64, span if refill else span // 4)
        self.floor = span if chains else 0
        capacity = -(-(span + slack) // 64) * 64
        slots = max(1, min(slots, self.cache_bytes // (column_bytes(first.states) * capacity)))
        if self.cache is None or not self.cache.fits(slots, capacity):
            from elicit.sampling.loop.cache import SlotCache  # a subclass of transformers' own

            self.cache = SlotCache(first.states, slots, capacity)
        window, capacity = self.cache.window, self.cache.capacity
        window.rows, window.low, window.column = slots, 0, 0
        self.starts = np.zeros(slots, dtype=np.int64)
        self.prompt_lengths = np.ones(slots, dtype=np.int64)
        self.columns = torch.arange(capacity, device=self.call.device)
        self.ready = ready_mask(self.call.model, span)
        dtype = first.states[0][0].dtype if self.ready else torch.long
        self.hidden = torch.finfo(dtype).min if self.ready else 0
        self.shown = 0 if self.ready else 1
        self.mask_S_K = torch.full((slots, capacity), self.shown, dtype=dtype, device=self.call.device)
        return slots

    def admit(self, group: Prefilled, sources: np.ndarray, slots: np.ndarray, empty: bool) -> None:
        """Copy prefixes `sources` of `group` into `slots`. `empty`: no other row lives, so the columns start again."""
        assert self.cache is not None
        window, device = self.cache.window, self.call.device
        lengths = np.array([sum(map(len, group.prefixes[source])) for source in sources])
        if empty:
            window.low, window.column = 0, max(self.floor, int(lengths.max()))
        rows, to = (torch.as_tensor(index, device=device) for index in (sources, slots))
        self.cache.place(group.states, rows, to, int(lengths.max()))
        self.starts[slots] = window.column - lengths
        self.prompt_lengths[slots] = [len(group.prefixes[source][0]) for source in sources]
        self._mask(slots)

    def join(self, kept: Sequence[Kept], prefixes: Sequence[Prefix], slots: np.ndarray) -> None:
        """Copy kept paths into `slots`, each cropped before the last token of its prefix; the next step writes that."""
        assert self.cache is not None
        lengths = np.array([len(prompt) + len(forced) - 1 for prompt, forced in prefixes])
        states: list[Any] = [(layer.keys, layer.values) for layer in cropped(kept, lengths.tolist()).layers]
        rows, to = (torch.as_tensor(index, device=self.call.device) for index in (np.arange(len(slots)), slots))
        self.cache.place(states, rows, to, int(lengths.max()))
        self.starts[slots] = self.cache.window.column - lengths
        self.prompt_lengths[slots] = [len(prompt) for prompt, _ in prefixes]
        self._mask(slots)

    def _mask(self, slots: np.ndarray) -> None:
        starts = torch.as_tensor(self.starts[slots], device=self.call.device)[:, None]
        rows = torch.full((len(slots), len(self.columns)), self.shown, dtype=self.mask_S_K.dtype, device=starts.device)
        rows.masked_fill_(self.columns[None] < starts, self.hidden)
        self.mask_S_K[torch.as_tensor(slots, device=starts.device)] = rows

    def reset(self) -> None:
        """Drop the cache after a failed run: it may be half-written or hold NaN."""
        self.cache = None

    def trim(self, live: np.ndarray) -> None:
        """Stop reading the columns before the first living row starts."""
        if live.any():
            low = int(self.starts[: len(live)][live].min())
            self.cache.window.low = low // self.grain * self.grain  # type: ignore[union-attr]

    def shrink(self, sources: np.ndarray, targets: np.ndarray, rows: int) -> None:
        """Rows `sources` move to slots `targets`, then only the first `rows` rows are left."""
        if len(sources):
            moved, to = (torch.as_tensor(index, device=self.call.device) for index in (sources, targets))
            self.cache.move(moved, to)  # type: ignore[union-attr]
            self.starts[targets], self.prompt_lengths[targets] = self.starts[sources], self.prompt_lengths[sources]
            self.mask_S_K[to] = self.mask_S_K[moved]
        self.cache.window.rows = rows  # type: ignore[union-attr]

    def step(self, tokens_S: torch.Tensor) -> torch.Tensor:
        """Write one token per row and return the logits [S, V] after it."""
        cache = self.cache
        assert cache is not None
        window, rows = cache.window, len(tokens_S)
        if window.column == cache.capacity:
            self.starts -= cache.rebase(self.floor)
            self._mask(np.arange(rows))
        positions = window.column - self.starts[:rows]
        if self.call.limit is not None:  # ended rows are computed too until they are dropped
            positions = np.minimum(positions, self.call.limit - 1)
        width = window.column + 1 - window.low
        mask = self.mask_S_K[:rows, window.low : window.column + 1]
        logits = self.call(
            tokens_S[:, None],
            torch.from_numpy(positions[:, None]),
            torch.from_numpy(self.prompt_lengths[:rows]),
            mask[:, None, None] if self.ready else mask,
            1,
            past_key_values=cache,
            use_cache=True,
            cache_position=self.columns[width - 1 : width],
        )
        window.column += 1
        return precise(logits[:, -1])


class UncachedEngine:
    """Keeps ids only and computes all tokens at every step. Right-padded: a causal model never sees the padding."""

    def __init__(self, call: ForwardCall, logits_elements: int = 2**25) -> None:
        self.call, self.logits_elements = call, logits_elements

    def prefill(self, prefixes: Sequence[Prefix], alpha: float) -> Prefilled:
        """One pass over prefixes."""
        logits, forced = prefill(self.call, prefixes, alpha, use_cache=False)
        width = max(len(prompt) + len(tokens) for prompt, tokens in prefixes)
        return Prefilled(prefixes, width, [], logits, forced)

    def resume(self, prefixes: Sequence[Prefix], kept: Sequence[Kept]) -> Prefilled:
        """Raises ConfigError: without a cache there is nothing to resume from."""
        raise ConfigError(
            "kept keys and values handed to an engine without a cache: use cached=True, or drop PathJob.kept"
        )

    def keep(self, slot: int, ids: tuple[int, ...], prompt: int, scalars_C_T: np.ndarray, alpha: float) -> None:
        """None: there are no keys and values, so a path that continues this one is computed from the start."""
        return None

    def join(self, kept: Sequence[Kept], prefixes: Sequence[Prefix], slots: np.ndarray) -> None:
        """Raises ConfigError, as `resume` does."""
        self.resume(prefixes, kept)

    def allocate(self, first: Prefilled, slots: int, span: int, refill: bool, chains: bool = False) -> int:
        """Room for `slots` rows of ids."""
        self.ids_S_K = torch.zeros((slots, span + 64), dtype=torch.long, device=self.call.device)
        self.lengths = np.ones(slots, dtype=np.int64)
        self.prompt_lengths = np.ones(slots, dtype=np.int64)
        return slots

    def admit(self, group: Prefilled, sources: np.ndarray, slots: np.ndarray, empty: bool) -> None:
        """Write the ids of prefixes into their rows."""
        for source, slot in zip(sources, slots, strict=True):
            prompt, forced = group.prefixes[source]
            self.lengths[slot], self.prompt_lengths[slot] = len(prompt) + len(forced), len(prompt)
            self.ids_S_K[slot, : self.lengths[slot]] = torch.tensor(prompt + forced, device=self.call.device)

    def reset(self) -> None:
        """Nothing is left of a failed run: `allocate` makes new buffers for each."""

    def trim(self, live: np.ndarray) -> None:
        """Ended rows shrink to one token, the cheapest row that can be computed."""
        self.lengths[: len(live)][~live] = 1

    def shrink(self, sources: np.ndarray, targets: np.ndarray, rows: int) -> None:
        """Rows `sources` move to slots `targets`."""
        if len(sources):
            self.ids_S_K[targets] = self.ids_S_K[sources]
            self.lengths[targets], self.prompt_lengths[targets] = self.lengths[sources], self.prompt_lengths[sources]

    def step(self, tokens_S: torch.Tensor) -> torch.Tensor:
        """Append one token per row and return the logits [S, V] after it."""
        rows = len(tokens_S)
        self.ids_S_K[np.arange(rows), self.lengths[:rows]] = tokens_S
        self.lengths[:rows] += 1
        width = int(self.lengths[:rows].max())
        vocabulary = int(self.call.config.vocab_size)
        chunk = max(1, self.logits_elements // (width * vocabulary))
        return torch.cat([self._forward(first, min(first + chunk, rows), width) for first in range(0, rows, chunk)])

    def _forward(self, first: int, end: int, width: int) -> torch.Tensor:
        lengths = torch.from_numpy(self.lengths[first:end])
        positions = torch.arange(width)[None].expand(end - first, -1)
        positions = torch.where(positions < lengths[:, None], positions, -1)
        ids, prompts = self.ids_S_K[first:end, :width], torch.from_numpy(self.prompt_lengths[first:end])
        logits = self.call(ids, positions, prompts, torch.ones_like(ids), use_cache=False)
        return precise(logits[torch.arange(end - first), lengths.to(ids.device) - 1])
