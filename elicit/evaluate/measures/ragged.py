"""Token values of many traces at once: flat values and the length of each trace, in numpy without a loop.

The statistics of `elicit.sampling.confidence` (mean, tail, lowest window, bottom share of windows) for R traces
together; a window longer than a trace is the whole trace. A trace without tokens has no value (nan).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from elicit.errors import DataError


class Ragged:
    """Values of R traces, one after the other. Raises DataError unless `lengths_R` sums to the number of values."""

    def __init__(self, values: NDArray, lengths_R: NDArray) -> None:
        self.values, self.lengths_R = np.asarray(values, float), np.asarray(lengths_R, np.int64)
        if self.lengths_R.sum() != len(self.values):
            raise DataError(f"{len(self.values)} token values for traces of {self.lengths_R.sum()} tokens in all")
        self.starts_R = np.cumsum(self.lengths_R) - self.lengths_R
        self._sums = np.concatenate([[0.0], np.cumsum(self.values)])

    @staticmethod
    def of(rows: Sequence[Sequence[float]]) -> Ragged:
        """From one sequence per trace."""
        lengths = np.array([len(row) for row in rows], np.int64)
        return Ragged(np.concatenate([np.asarray(row, float) for row in rows]) if len(rows) else np.zeros(0), lengths)

    def take(self, rows: NDArray) -> Ragged:
        """These traces only, in this order."""
        lengths = self.lengths_R[rows]
        ends = np.cumsum(lengths)
        inside = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        return Ragged(self.values[np.repeat(self.starts_R[rows], lengths) + inside], lengths)

    def sum(self) -> NDArray:
        return self._between(self.starts_R, self.starts_R + self.lengths_R)

    def mean(self) -> NDArray:
        return self._over(self.sum(), self.lengths_R)

    def tail(self, window: int) -> NDArray:
        """Mean of the last `window` values."""
        width_R = np.minimum(window, self.lengths_R)
        ends_R = self.starts_R + self.lengths_R
        return self._over(self._between(ends_R - width_R, ends_R), width_R)

    def windows(self, window: int) -> Ragged:
        """Mean of every full window: max(T - window, 0) + 1 of them per trace, none of an empty one."""
        width_R = np.minimum(window, self.lengths_R)
        count_R = np.where(self.lengths_R > 0, self.lengths_R - width_R + 1, 0)
        within = np.arange(count_R.sum()) - np.repeat(np.cumsum(count_R) - count_R, count_R)
        first = np.repeat(self.starts_R, count_R) + within
        width = np.repeat(width_R, count_R)
        return Ragged(self._between(first, first + width) / np.maximum(width, 1), count_R)

    def least(self) -> NDArray:
        """The smallest value."""
        return self._reduced(np.minimum)

    def most(self) -> NDArray:
        """The largest value."""
        return self._reduced(np.maximum)

    def bottom(self, share: float) -> NDArray:
        """Mean of the smallest `share` of the values, of at least one."""
        order = np.lexsort((self.values, np.repeat(np.arange(len(self.lengths_R)), self.lengths_R)))
        ordered = Ragged(self.values[order], self.lengths_R)
        count_R = np.minimum(np.maximum(1, (share * self.lengths_R).astype(np.int64)), self.lengths_R)
        return self._over(ordered._between(self.starts_R, self.starts_R + count_R), count_R)

    def top_share(self, share: float) -> NDArray:
        """Part of the trace's sum in its largest `share` of values (at least one); nan if the sum is not above 0."""
        negated = Ragged(-self.values, self.lengths_R)
        count_R = np.minimum(np.maximum(1, (share * self.lengths_R).astype(np.int64)), self.lengths_R)
        total_R = self.sum()
        return np.where(total_R > 0, -negated.bottom(share) * count_R / np.where(total_R > 0, total_R, 1), np.nan)

    def _between(self, first: NDArray, end: NDArray) -> NDArray:
        return self._sums[end] - self._sums[first]

    def _over(self, sums_R: NDArray, counts_R: NDArray) -> NDArray:
        return np.where(counts_R > 0, sums_R / np.maximum(counts_R, 1), np.nan)

    def _reduced(self, operation: np.ufunc) -> NDArray:
        out_R = np.full(len(self.lengths_R), np.nan)
        full_R = self.lengths_R > 0
        if full_R.any():
            out_R[full_R] = operation.reduceat(self.values, self.starts_R[full_R])
        return out_R
