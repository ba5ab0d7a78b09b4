"""Compute-matched base: what the base reaches with the method's tokens, by a majority vote and by self-certainty.

k is the largest number of base samples whose mean tokens stay within the method's mean tokens an answer.
The paired differences method - base maj@k and method - base best-of-k are mandatory columns: a gain that the same
tokens buy from the untouched base is not elicitation. Made in the regime of the comparison, and, where the base was
sampled in regime `support` too, against its samples at temperature 1 (`matched_support`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elicit.errors import ConfigError
from elicit.evaluate.measure import MISSING, UNGRADED, Measures


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
    return np.array([_best(*pair, k) for pair in zip(m.certainty_N_J, m.strict_N_J, strict=True)])


def _best(certainty_J: NDArray, strict_J: NDArray, k: int) -> float:
    counted = strict_J != UNGRADED
    unknown = np.isnan(certainty_J) | (strict_J == MISSING)
    certainty = np.where(unknown, -np.inf, certainty_J)[counted]
    right = (strict_J == 1)[counted].astype(float)
    n = len(right)
    if n == 0:
        return float("nan")
    k = min(k, n)
    weights = np.ones(n)
    for r in range(1, n):  # C(n-1-r, k-1) / C(n-r, k-1)
        weights[r] = weights[r - 1] * max(n - r - k + 1, 0) / (n - r)
    values, group = np.unique(-certainty, return_inverse=True)
    shares = np.bincount(group[np.argsort(-certainty, kind="stable")], weights, len(values))
    accuracy = np.bincount(group, right, len(values)) / np.bincount(group, minlength=len(values))
    return float(shares @ accuracy / weights.sum())
