"""Plain restatements of interval rules: quantiles, BCa levels and hulls from the formulas of the papers, one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from scipy import stats

NORMAL = NormalDist()


def quantile(draws: Sequence[float], level: float) -> float:
    """Linear interpolation between the sorted draws."""
    ordered, at = sorted(draws), level * (len(draws) - 1)
    low = min(math.floor(at), len(draws) - 2)
    return ordered[low] + (at - low) * (ordered[low + 1] - ordered[low])


def tails(clusters: int, level: float) -> tuple[float, float]:
    """Hesterberg's expanded percentile levels."""
    t = stats.t.ppf((1 - level) / 2, clusters - 1)
    tail = NORMAL.cdf(math.sqrt(clusters / (clusters - 1)) * t)
    return tail, 1 - tail


def percentile(draws: Sequence[float], clusters: int, level: float) -> tuple[float, float]:
    low, high = tails(clusters, level)
    return quantile(draws, low), quantile(draws, high)


def bca(
    point: float, draws: Sequence[float], values: Sequence[float], clusters: Sequence[str], level: float
) -> tuple[float, float]:
    """Efron's BCa interval, with the acceleration from the sums of residuals by cluster and expanded levels."""
    tied = sum(abs(draw - point) <= 1e-12 for draw in draws)
    below = sum(draw < point - 1e-12 for draw in draws) + tied / 2
    bias = NORMAL.inv_cdf(min(max(below / len(draws), 0.001), 0.999))
    mean, residual = sum(values) / len(values), dict.fromkeys(clusters, 0.0)
    for value, name in zip(values, clusters, strict=True):
        residual[name] += value - mean
    cubes, squares = (sum(r**power for r in residual.values()) for power in (3, 2))
    skew = cubes / (6 * squares**1.5)
    levels = []
    for tail in tails(len(residual), level):
        shifted = bias + NORMAL.inv_cdf(tail)
        levels.append(NORMAL.cdf(bias + shifted / (1 - skew * shifted)))
    return quantile(draws, levels[0]), quantile(draws, levels[1])


def logit_t(point: float, draws: Sequence[float], clusters: int, level: float) -> tuple[float, float]:
    """Student's t interval on the logit scale, by the delta method."""
    mean = sum(draws) / len(draws)
    spread = math.sqrt(sum((draw - mean) ** 2 for draw in draws) / (len(draws) - 1))
    spread *= math.sqrt(clusters / (clusters - 1))
    step = stats.t.ppf(1 - (1 - level) / 2, clusters - 1) * spread / (point * (1 - point))
    middle = math.log(point / (1 - point))
    return tuple(1 / (1 + math.exp(-(middle + sign * step))) for sign in (-1, 1))  # type: ignore[return-value]


def jeffreys(share: float, n: float, level: float) -> tuple[float, float]:
    """Quantiles of Beta(1/2 + x, 1/2 + n - x); at 0 and 1 the interval is closed on that side."""
    x, tail = share * n, (1 - level) / 2
    low = 0.0 if share == 0 else float(stats.beta.ppf(tail, x + 0.5, n - x + 0.5))
    high = 1.0 if share == 1 else float(stats.beta.ppf(1 - tail, x + 0.5, n - x + 0.5))
    return min(low, share), max(high, share)


def tail_share(draws: Sequence[float], one_sided: bool) -> float:
    """Share of draws on the other side of 0, the observation counted with them; doubled if two-sided."""
    below, above = sum(draw <= 1e-12 for draw in draws), sum(draw >= -1e-12 for draw in draws)
    counted = (1 + (below if one_sided else min(below, above))) / (1 + len(draws))
    return counted if one_sided else min(1.0, 2 * counted)


def flips(sums: Sequence[float], one_sided: bool) -> float:
    """Share of all sign patterns whose sum is as far from 0 as the observed one."""
    seen, hits = sum(sums), 0
    for pattern in range(2 ** len(sums)):
        total = sum(value if pattern >> i & 1 else -value for i, value in enumerate(sums))
        hits += total >= seen - 1e-9 if one_sided else abs(total) >= abs(seen) - 1e-9
    return hits / 2 ** len(sums)
