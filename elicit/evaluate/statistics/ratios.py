"""Intervals of ratios and other functions of sums over items, by the cluster bootstrap of `resamples`.

Every number of a lens is f(mean of columns over items): a share is a ratio of two such means, phi and a
divergence are functions of several. The draws are those of the comparison (`resamples.Resamples`): the same
resampled clusters for all policies, so that differences are paired. Draws and interval rules are not repeated here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.statistics.resamples import ONE_CLUSTER, Resamples
from elicit.results.estimate import Estimate

UNDEFINED = 0.05
"""largest share of draws in which a statistic may be undefined"""


class Bootstrap:
    """Ratios and functions of means under the draws of a comparison."""

    def __init__(self, resamples: Resamples) -> None:
        self.resamples = resamples

    def statistic(self, values_N_M: NDArray, function: Callable[[NDArray], Any], undefined: str) -> Estimate:
        """f(means): `function` maps means [..., M] to values [...]; `undefined` is the reason if it has no value.

        Raises DataError on a missing value, as `Resamples.means` does.
        """
        point_M, draws_B_M = self.resamples.means(values_N_M)
        with np.errstate(divide="ignore", invalid="ignore"):
            point = float(np.asarray(function(point_M[None])).ravel()[0])
            draws_B = np.asarray(function(draws_B_M), float)
        known_B = np.isfinite(draws_B)
        if not np.isfinite(point):
            return Estimate(refused=undefined)
        if known_B.mean() < 1 - UNDEFINED:
            return Estimate(point, refused=f"{undefined} in {1 - known_B.mean():.0%} of the draws")
        return self.resamples.interval(point, draws_B[known_B])

    def share(self, hits_N: NDArray, of_N: NDArray, undefined: str) -> Estimate:
        """sum hits / sum of, a share in [0, 1], with the interval of `Resamples.proportion`.

        Only clusters with any `of` inform it: fewer than two of them have no interval.
        """
        hits_N, of_N = np.asarray(hits_N, float), np.asarray(of_N, float)
        if of_N.sum() <= 0:
            return Estimate(refused=undefined)
        informing = len(np.unique(self.resamples.codes_N[of_N > 0]))
        point_M, draws_B_M = self.resamples.means(np.stack([hits_N, of_N], 1))
        point = float(np.clip(point_M[0] / point_M[1], 0, 1))
        drawn_B = draws_B_M[:, 1] > 0
        draws_B = np.clip(draws_B_M[drawn_B, 0] / draws_B_M[drawn_B, 1], 0, 1)
        return self.resamples.proportion(point, draws_B, clusters=informing)

    def mean(self, values_N: NDArray, undefined: str) -> Estimate:
        """Mean over the items that have a value (nan: none)."""
        known_N = np.isfinite(values_N)
        if len(np.unique(self.resamples.codes_N[known_N])) < 2:
            if not known_N.any():
                return Estimate(refused=undefined)
            return Estimate(float(np.mean(values_N[known_N])), refused=ONE_CLUSTER)
        columns = np.stack([np.where(known_N, values_N, 0.0), known_N.astype(float)], 1)
        return self.statistic(columns, lambda m: m[..., 0] / m[..., 1], undefined)

    def fraction(self, values_N: NDArray, undefined: str) -> Estimate:
        """Mean of values in [0, 1] over the items that have one (nan: none); without spread Jeffreys, no false 0."""
        known_N = np.isfinite(values_N)
        return self.share(np.where(known_N, values_N, 0.0), known_N, undefined)

    def paired(self, a_N: NDArray, b_N: NDArray, undefined: str) -> Estimate:
        """Mean of a - b over the items that have both."""
        return self.mean(np.asarray(a_N, float) - np.asarray(b_N, float), undefined)


def over_seeds(values_S_N_J: Sequence[NDArray]) -> NDArray:
    """By item: mean over the seeds that have a value there."""
    return by_item(np.stack([by_item(values_N_J) for values_N_J in values_S_N_J], axis=1))


def by_item(values_N_J: NDArray) -> NDArray:
    """Mean over an item's samples that have a value; nan if none has."""
    known = np.isfinite(values_N_J)
    return np.where(known.any(1), np.where(known, values_N_J, 0).sum(1) / np.maximum(known.sum(1), 1), np.nan)
