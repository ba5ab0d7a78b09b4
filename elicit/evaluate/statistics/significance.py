"""Tests and what they can see: sign flips over clusters, corrections for many tests, detectable differences.

The primary family of a comparison (methods x {EF, control-adjusted gain}) is corrected after Holm; all else
after Benjamini and Hochberg, and called exploratory. Does not know what is tested.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

_EXACT = 14
"""up to this many clusters all 2^G sign patterns are enumerated"""
_LARGEST_DENOMINATOR = 2_000
_LARGEST_TOTAL = 200_000
"""limits of the exact distribution: denominators of the cluster sums, their absolute total in common units"""
_NOTHING = 1e-12
"""a smaller draw is 0: sums in double precision are off by less"""


class SignFlip(NamedTuple):
    """p, and whether it is exact (otherwise it comes from random sign patterns)."""

    p: float
    exact: bool


def sign_flip(
    differences_N: NDArray, clusters_N: NDArray, draws: int = 10_000, seed: int = 0, one_sided: bool = False
) -> float:
    """Permutation p of a mean paired difference of 0: whole clusters change sign. See `sign_flip_test`."""
    return sign_flip_test(differences_N, clusters_N, draws, seed, one_sided).p


def sign_flip_test(
    differences_N: NDArray, clusters_N: NDArray, draws: int = 10_000, seed: int = 0, one_sided: bool = False
) -> SignFlip:
    """Permutation p of a mean paired difference of 0: whole clusters change sign.

    Exact by enumeration for few clusters, and by convolution if the sums are multiples of one unit, as grades
    are (c/n): all 2^G patterns, counted on the lattice; for one sample per item this is McNemar's exact test. Else
    by `draws` random patterns. One-sided: against a mean above 0. Clusters whose difference is 0 decide nothing.
    """
    _, codes_N = np.unique(np.asarray(clusters_N), return_inverse=True)
    sums_G = np.bincount(codes_N, np.asarray(differences_N, float))
    sums_G = sums_G[np.abs(sums_G) > 1e-12]
    if not len(sums_G):
        return SignFlip(1.0, True)
    if len(sums_G) > _EXACT and (units_G := _on_lattice(sums_G)) is not None:
        return SignFlip(_convolved(units_G, one_sided), True)
    exact = len(sums_G) <= _EXACT
    signs = _all_signs(len(sums_G)) if exact else _random_signs(draws, len(sums_G), seed)
    flipped, seen = signs @ sums_G, sums_G.sum()
    hits = flipped >= seen - 1e-9 if one_sided else np.abs(flipped) >= abs(seen) - 1e-9
    return SignFlip(float(hits.mean()) if exact else float((1 + hits.sum()) / (1 + draws)), exact)


def tail_share(draws_B: NDArray, one_sided: bool = False) -> float:
    """p of a difference from its joint draws: the share of them on the other side of 0, twice if two-sided.

    This is the test for arms of several training seeds: sign flips over items cannot see that another seed gives
    another difference, the draws of `Joint` have the seeds as their top level. One-sided: against a difference above 0.
    """
    draws_B = np.asarray(draws_B, float)
    below, above = (draws_B <= _NOTHING).sum(), (draws_B >= -_NOTHING).sum()
    if one_sided:
        return float((1 + below) / (1 + len(draws_B)))
    return float(min(1.0, 2 * (1 + min(below, above)) / (1 + len(draws_B))))


def _on_lattice(sums_G: NDArray) -> NDArray | None:
    """The sums as integers of one unit, None if they have none that is coarse enough."""
    values, places_G = np.unique(sums_G, return_inverse=True)
    parts = [Fraction(float(value)).limit_denominator(_LARGEST_DENOMINATOR) for value in values]
    if any(abs(float(part) - value) > 1e-9 for part, value in zip(parts, values, strict=True)):
        return None
    unit = math.lcm(*(part.denominator for part in parts))
    whole = [int(part * unit) for part in parts]
    common = math.gcd(*whole)
    units_G = np.array([value // common for value in whole], dtype=object)[places_G]
    return units_G.astype(np.int64) if sum(abs(value) for value in units_G) <= _LARGEST_TOTAL else None


def _convolved(units_G: NDArray, one_sided: bool) -> float:
    """P(sum of independently signed units reaches the observed sum), by the exact distribution of the sum."""
    sizes_G, total, seen = np.abs(units_G), int(np.abs(units_G).sum()), int(units_G.sum())
    mass = np.zeros(total + 1)  # mass[a]: chance that the units with a minus sign add up to a
    mass[0], reach = 1.0, 0
    for size in sizes_G:
        mass[: reach + size + 1] *= 0.5
        mass[size : reach + size + 1] += mass[: reach + 1].copy()
        reach += int(size)
    sums = total - 2 * np.arange(total + 1)
    hits = sums >= seen if one_sided else np.abs(sums) >= abs(seen)
    return float(min(1.0, mass[hits].sum()))


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


def detectable(standard_error: float, clusters: float | None = None) -> float:
    """Smallest difference found with 80 % power at the 5 % level: (1.96 + 0.84) standard errors.

    With few clusters the quantiles are Student's with `clusters` - 1 degrees of freedom (no whole number is needed).
    """
    if clusters is None:
        return (1.959964 + 0.841621) * standard_error
    return float(special.stdtrit(clusters - 1, 0.975) + special.stdtrit(clusters - 1, 0.8)) * standard_error


def _put_back(values: NDArray, order: NDArray) -> list[float]:
    out = np.empty(len(values))
    out[order] = values
    return out.tolist()


def _all_signs(width: int) -> NDArray:
    return 1.0 - 2.0 * ((np.arange(2**width)[:, None] >> np.arange(width)) & 1)


def _random_signs(draws: int, width: int, seed: int) -> NDArray:
    return np.random.default_rng(seed).integers(0, 2, (draws, width)) * 2.0 - 1.0
