"""How hard items are, as strata of a table: by the true operation count if the task states it, else by the base's own
solve rate. The second regresses to the mean for the base itself, so the table names which of them it uses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.view import View
from elicit.evaluate.metrics.accuracy import accuracy
from elicit.records import Item

COUNTS = ("operations", "size", "hops", "length")
"""names under which a task's facts state how many operations an item takes, in order of preference"""
BINS = 3


def operation_counts(items: Sequence[Item]) -> NDArray | None:
    """True operation count by item; None unless the task states one for every item."""
    for name in COUNTS:
        values = [item.facts.get(name) for item in items]
        if values and all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            return np.array(values, float)
    return None


def difficulty(view: View) -> tuple[str, NDArray, list[str]]:
    """(what is binned, bin of each item, names of the bins from easy to hard)."""
    counts_N = operation_counts(view.items)
    if counts_N is not None:
        return "operations", *_binned(counts_N)
    rate_N = np.nan_to_num(accuracy(view.base.measures))
    bins_N = np.where(rate_N == 0, 2, np.where(rate_N < 0.5, 1, 0))
    return "base solve rate", bins_N, ["half or more", "below half", "never"]


def _binned(counts_N: NDArray) -> tuple[NDArray, list[str]]:
    """At most three bins of about equal size, each holding whole counts."""
    values, sizes = np.unique(counts_N, return_counts=True)
    middle = (np.cumsum(sizes) - sizes / 2) / len(counts_N)
    code = np.minimum((BINS * middle).astype(int), BINS - 1)
    bins_N = code[np.searchsorted(values, counts_N)]
    used = sorted(set(code.tolist()))
    names = [_span(values[code == which]) for which in used]
    return np.searchsorted(used, bins_N), names


def _span(values: NDArray) -> str:
    low, high = int(values[0]), int(values[-1])
    return str(low) if low == high else f"{low}-{high}"
