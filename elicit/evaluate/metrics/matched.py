"""Compute-matched base: what the base reaches with the method's tokens, by a majority vote and by self-certainty.

k is the largest number of base samples whose mean tokens stay within the method's mean tokens an answer.
The paired differences method - base maj@k and method - base best-of-k are mandatory columns: a gain that the same
tokens buy from the untouched base is not elicitation. Made in the regime of the comparison, and, where the base was
sampled in regime `support` too, against its samples at temperature 1 (`matched_support`).
"""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elicit.errors import ConfigError
from elicit.evaluate.measures.measure import MISSING, UNGRADED, Measures


class Match(NamedTuple):
    k: int
    note: str | None


def matched_k(method_tokens: float, base: Measures) -> Match:
    """The k to vote with; a note where it was bounded by 1 (the method is cheaper) or by the samples at hand."""
    single = float(np.nanmean(base.tokens_N_J))
    k = int(method_tokens / single + 1e-9) if single > 0 else 0
    most = max(1, base.n // 2)
    if k < 1:
        return Match(1, "one base sample already costs more tokens than the method")
    if k > most:
        return Match(most, f"the method's tokens would pay for k={k}; the base has samples for k={most}")
    return Match(k, None)


def best_of_k(m: Measures, k: int) -> NDArray | None:
    """By item: accuracy of the most self-certain of k samples (arXiv 2502.18581), exact over all k-subsets of the n.

    In descending order of certainty the r-th sample (from 0) is the best of C(n-1-r, k-1) of the C(n, k) subsets;
    equals share their subsets. Samples that are missing stand last and are wrong, ungraded ones leave n: an item with
    fewer than k graded ones gives its best of all, nan without any. None where the samples' certainty is not known.
    Raises ConfigError unless 1 <= k <= n.
    """
    if not 1 <= k <= m.n:
        raise ConfigError(f"k={k} of {m.n} samples: take 1 <= k <= {m.n}")
    if m.certainty_N_J is None:
        return None
    counted_N_J = m.strict_N_J != UNGRADED
    unknown_N_J = np.isnan(m.certainty_N_J) | (m.strict_N_J == MISSING)
    certainty_N_J = np.where(unknown_N_J, -np.inf, m.certainty_N_J)
    order_N_J = np.lexsort((-certainty_N_J, ~counted_N_J))  # ungraded last, behind the missing
    ranked_N_J = np.take_along_axis(np.where(counted_N_J, certainty_N_J, np.nan), order_N_J, 1)
    right_N_J = np.take_along_axis(m.strict_N_J == 1, order_N_J, 1)
    shares_N_J = np.zeros(ranked_N_J.shape)
    for n in np.unique(counted_N_J.sum(1)):
        shares_N_J[counted_N_J.sum(1) == n, :n] = _shares(int(n), k)
    return np.where(counted_N_J.any(1), _over_equals(ranked_N_J, shares_N_J, right_N_J), np.nan)


def _shares(n: int, k: int) -> NDArray:
    """Share of the k-subsets of n whose first is the r-th, C(n-1-r, k-1) / C(n, k), [n]; k at most n."""
    k = min(k, n)
    return np.array([comb(n - 1 - r, k - 1) / comb(n, k) for r in range(n)])


def _over_equals(ranked_N_J: NDArray, shares_N_J: NDArray, right_N_J: NDArray) -> NDArray:
    """sum over runs of equal values of (their shares) x (their mean right); the rows of `ranked_N_J` are sorted."""
    rows, width = ranked_N_J.shape
    new_N_J = np.ones((rows, width), bool)
    new_N_J[:, 1:] = ranked_N_J[:, 1:] != ranked_N_J[:, :-1]
    run = (np.arange(rows)[:, None] * width + new_N_J.cumsum(1) - 1).ravel()
    size = np.bincount(run, minlength=rows * width)
    shares = np.bincount(run, shares_N_J.ravel(), rows * width)
    right = np.bincount(run, right_N_J.ravel(), rows * width)
    return (shares * right / np.maximum(size, 1)).reshape(rows, width).sum(1)
