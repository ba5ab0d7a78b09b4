"""pass^k: the chance that all of k samples are right, C(c,k)/C(n,k): reliability (arXiv 2406.12045)."""

from __future__ import annotations

from math import comb

from numpy.typing import NDArray

from elicit.evaluate.metrics.coverage import by_counts


def pass_hat_k(right_N: NDArray, total_N: NDArray, k: int) -> NDArray:
    """pass^k by item. Raises ConfigError where an item has fewer than 2k samples."""
    return by_counts(right_N, total_N, k, lambda c, n: comb(c, k) / comb(n, k))
