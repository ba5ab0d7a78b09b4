"""Intervals of what lenses compute: ratios and other functions of sums over items, by the cluster bootstrap.

Every number of a lens is f(mean of columns over items): a share is a ratio of two such means, phi and a
divergence are functions of several. The draws are those of the comparison (`statistics.Resamples`): the same
resampled clusters for all policies, so that differences are paired. Weights of draws are kept: a lens asks often.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.statistics.resamples import SMALL, Estimate, Resamples, jeffreys, refusal

KEPT_ELEMENTS = 2**25
"""weights kept in memory (draws x clusters, float32); more are made anew at every question"""
UNDEFINED = 0.05
"""largest share of draws in which a statistic may be undefined"""


class Bootstrap:
    """The draws of a comparison, asked many times."""

    def __init__(self, resamples: Resamples) -> None:
        self.resamples = resamples

    @cached_property
    def _weights_B_G(self) -> NDArray[np.float32]:
        """How often each draw takes each cluster, over the number of items it takes."""
        out = np.empty((self.resamples.draws, self.resamples.clusters), np.float32)
        for rows, weights in self.resamples.weights():
            out[rows] = weights / (weights @ self.resamples.sizes_G)[:, None]
        return out

    def means(self, values_N_M: NDArray) -> tuple[NDArray, NDArray]:
        """Means over items: (point_M, draws_B_M). Raises DataError on a missing value, as `Resamples.means` does."""
        values_N_M = np.asarray(values_N_M, float)
        if self.resamples.draws * self.resamples.clusters > KEPT_ELEMENTS or np.isnan(values_N_M).any():
            return self.resamples.means(values_N_M)
        sums_G_M = np.zeros((self.resamples.clusters, values_N_M.shape[1]))
        np.add.at(sums_G_M, self.resamples.codes_N, values_N_M)
        return values_N_M.mean(0), (self._weights_B_G @ sums_G_M.astype(np.float32)).astype(float)

    def statistic(self, values_N_M: NDArray, function: Callable[[NDArray], Any], undefined: str) -> Estimate:
        """f(means): `function` maps means [..., M] to values [...]; `undefined` is the reason where it has no value."""
        point_M, draws_B_M = self.means(values_N_M)
        with np.errstate(divide="ignore", invalid="ignore"):
            point = float(np.asarray(function(point_M[None])).ravel()[0])
            draws_B = np.asarray(function(draws_B_M), float)
        known_B = np.isfinite(draws_B)
        if not np.isfinite(point):
            return refusal(undefined)
        if known_B.mean() < 1 - UNDEFINED:
            return refusal(f"{undefined} in {1 - known_B.mean():.0%} of the draws", point=point)
        return self.resamples.interval(point, draws_B[known_B])

    def share(self, hits_N: NDArray, of_N: NDArray, undefined: str) -> Estimate:
        """sum hits / sum of, a share in [0, 1]: percentile interval, or Jeffreys where that can't be trusted.

        Only clusters that have any `of` say anything: fewer than two of them have no interval.
        """
        hits_N, of_N = np.asarray(hits_N, float), np.asarray(of_N, float)
        if of_N.sum() <= 0:
            return refusal(undefined)
        speaking = len(np.unique(self.resamples.codes_N[of_N > 0]))
        point_M, draws_B_M = self.means(np.stack([hits_N, of_N], 1))
        point = float(point_M[0] / point_M[1])
        if speaking < 2:
            return refusal("one cluster: no interval", point=point)
        full_B = draws_B_M[:, 1] > 0
        draws_B = np.clip(draws_B_M[full_B, 0] / draws_B_M[full_B, 1], 0, 1)
        spread = float(draws_B.std(ddof=1)) if len(draws_B) > 1 else 0.0
        if speaking >= SMALL and spread > 1e-6:
            return self.resamples.interval(point, draws_B)
        effective = float(speaking)
        if spread > 1e-6:
            effective = max(effective, point * (1 - point) / spread**2)
        return jeffreys(min(max(point, 0.0), 1.0), effective)

    def mean(self, values_N: NDArray, undefined: str) -> Estimate:
        """Mean over the items that have a value (nan: none)."""
        known_N = np.isfinite(values_N)
        if len(np.unique(self.resamples.codes_N[known_N])) < 2:
            point = {"point": float(np.mean(values_N[known_N]))} if known_N.any() else {}
            return refusal(undefined if not known_N.any() else "one cluster: no interval", **point)
        columns = np.stack([np.where(known_N, values_N, 0.0), known_N.astype(float)], 1)
        return self.statistic(columns, lambda m: m[..., 0] / m[..., 1], undefined)

    def fraction(self, values_N: NDArray, undefined: str) -> Estimate:
        """Mean of values in [0, 1] over the items that have one (nan: none); without spread Jeffreys, no false 0."""
        known_N = np.isfinite(values_N)
        return self.share(np.where(known_N, values_N, 0.0), known_N, undefined)

    def paired(self, a_N: NDArray, b_N: NDArray, undefined: str) -> Estimate:
        """Mean of a - b over the items that have both."""
        return self.mean(np.asarray(a_N, float) - np.asarray(b_N, float), undefined)
