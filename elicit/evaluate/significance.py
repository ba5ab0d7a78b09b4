"""Tests and what they can see: sign flips over clusters, corrections for many tests, detectable differences.

The primary family of a comparison (methods x {EF, control-adjusted gain}) is corrected after Holm; all else
after Benjamini and Hochberg, and called exploratory. Does not know what is tested.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_EXACT = 14
"""up to this many clusters all 2^G sign patterns are enumerated"""


def sign_flip(
    differences_N: NDArray, clusters_N: NDArray, draws: int = 10_000, seed: int = 0, one_sided: bool = False
) -> float:
    """Permutation p of a mean paired difference of 0: whole clusters change sign. Exact for few clusters.

    One-sided: against a mean above 0. Clusters whose difference is 0 decide nothing and are left out.
    """
    _, codes_N = np.unique(np.asarray(clusters_N), return_inverse=True)
    sums_G = np.bincount(codes_N, np.asarray(differences_N, float))
    sums_G = sums_G[np.abs(sums_G) > 1e-12]
    if not len(sums_G):
        return 1.0
    exact = len(sums_G) <= _EXACT
    signs = _all_signs(len(sums_G)) if exact else _random_signs(draws, len(sums_G), seed)
    flipped, seen = signs @ sums_G, sums_G.sum()
    hits = flipped >= seen - 1e-9 if one_sided else np.abs(flipped) >= abs(seen) - 1e-9
    return float(hits.mean()) if exact else float((1 + hits.sum()) / (1 + draws))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given."""
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))) if len(p) else p
    return _put_back(np.minimum(steps, 1.0), order)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted p values (false discovery rate), in the order given."""
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    steps = np.minimum.accumulate((p[order] * len(p) / (1 + np.arange(len(p))))[::-1])[::-1] if len(p) else p
    return _put_back(np.minimum(steps, 1.0), order)


def detectable(standard_error: float) -> float:
    """Smallest difference found with 80 % power at the 5 % level: (1.96 + 0.84) standard errors."""
    return (1.959964 + 0.841621) * standard_error


def _put_back(values: NDArray, order: NDArray) -> list[float]:
    out = np.empty(len(values))
    out[order] = values
    return out.tolist()


def _all_signs(width: int) -> NDArray:
    return 1.0 - 2.0 * ((np.arange(2**width)[:, None] >> np.arange(width)) & 1)


def _random_signs(draws: int, width: int, seed: int) -> NDArray:
    return np.random.default_rng(seed).integers(0, 2, (draws, width)) * 2.0 - 1.0
