"""All numbers of a comparison, bootstrapped at once: columns of item values in, joint draws out.

An arm may have several training seeds. They are the top level: every draw resamples the seeds of an arm, the
same for all its columns, and the arm's value is the mean over the seeds taken (never the best one). With S seeds
the plain bootstrap's variance between seeds is (S-1)/S of what it should be; deviations from the mean over all
seeds are therefore stretched by sqrt(S/(S-1)) (Hesterberg 2015, arXiv 1411.5279). What the intervals then cover
is measured in `calibration`: with two seeds still too little.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.statistics.resamples import Mean, Resamples
from elicit.files import seed_of


class Joint:
    """Add columns, `solve` once, read means. A key is (arm, column)."""

    def __init__(self, resamples: Resamples) -> None:
        self.resamples = resamples
        self._values: dict[tuple[str, str], list[NDArray]] = {}
        self._means: dict[tuple[str, str], Mean] = {}

    def add(self, arm: str, column: str, values_S_N: Sequence[NDArray]) -> None:
        """Values by seed and item, in [0, 1] or not; every item has one."""
        self._values[arm, column] = list(values_S_N)

    def solve(self) -> None:
        """One matrix product for all columns."""
        keys = [(key, s) for key, seeds in self._values.items() for s in range(len(seeds))]
        point_M, draws_B_M = self.resamples.means(np.stack([self._values[key][s] for key, s in keys], axis=1))
        places: dict[tuple[str, str], list[int]] = {}
        for place, (key, _) in enumerate(keys):
            places.setdefault(key, []).append(place)
        for key, at in places.items():
            draws_B = draws_B_M[:, at[0]] if len(at) == 1 else self._over_seeds(key[0], draws_B_M[:, at])
            self._means[key] = (float(point_M[at].mean()), draws_B)

    def _over_seeds(self, arm: str, draws_B_S: NDArray) -> NDArray:
        draws, seeds = draws_B_S.shape
        rng = np.random.default_rng(seed_of(self.resamples.seed, arm))
        weights_B_S = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws)
        mean_B = draws_B_S.mean(1)
        return mean_B + np.sqrt(seeds / (seeds - 1)) * ((weights_B_S * draws_B_S).sum(1) / seeds - mean_B)

    def mean(self, arm: str, column: str = "acc") -> Mean:
        return self._means[arm, column]

    def has(self, arm: str, column: str) -> bool:
        return (arm, column) in self._means

    def values_N(self, arm: str, column: str = "acc") -> NDArray:
        """Item values, averaged over the seeds of the arm."""
        return np.mean(self._values[arm, column], axis=0)
