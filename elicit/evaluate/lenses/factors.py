"""factors: how much of the accuracy does each part of a prompt decide? (arXiv 2505.10185, 2212.10001)

    cell      a policy that is named PREFIX_LEVEL_LEVEL_..., one level of two per factor; all combinations are there
    effect    mean accuracy at a factor's first level (in alphabetical order) less that at its second
    swing     its absolute value
    share     (effect / 2)^2 / variance of the cells: the part of the variance that is due to the factor alone
    kept      accuracy at the second level / at the first

Shares of all factors and of `interactions` add up to 1. Noise raises the shares of all factors alike; differences of
shares are resampled together. The columns are those of the base, since they belong to no single cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.lens import SAMPLES, Reading, drawing, formatted, reading, refusing
from elicit.evaluate.lenses.view import View
from elicit.evaluate.metrics.accuracy import accuracy
from elicit.results import Estimate


@dataclass(frozen=True)
class Factors:
    """Effects and variance shares of the parts of a prompt."""

    prefix: str = "form"
    """of the names of the cells"""
    factors: tuple[str, ...] = ("format", "domain", "position", "validity")
    """names of the parts, in the order in which a cell's name states their levels"""
    name: str = "factors"
    about: str = "share of the variance of accuracy between prompts that each part of a prompt decides"
    source: str = "2505.10185"
    needs: str = SAMPLES

    def read(self, view: View) -> Reading:
        cells = [side for side in view.sides if side.name.startswith(f"{self.prefix}_")]
        named = {tuple(side.name.split("_")[1:]): side for side in cells}
        levels = [sorted({name[k] for name in named if len(name) > k}) for k in range(len(self.factors))]
        whole = all(len(of) == 2 for of in levels) and all(len(name) == len(self.factors) for name in named)
        if not whole or len(named) != 2 ** len(self.factors):
            return refusing(self, f"no factorial: {2 ** len(self.factors)} policies {self.prefix}_LEVEL_... are needed")
        names = list(named)
        values_N_C = np.stack([accuracy(named[name].measures) for name in names], 1)
        if not np.isfinite(values_N_C).all():
            return refusing(self, "an item of a cell has no graded sample")
        signs_C_K = np.array([[1 if name[k] == levels[k][0] else -1 for k in range(len(levels))] for name in names])
        columns = self._columns(view, values_N_C, signs_C_K)
        shown = {"share": [columns[f"{factor}: share"] for factor in self.factors]}
        figure = drawing("bars", "Variance between prompts", "part of the prompt", "share", self.factors, shown)
        says = [f"{factor}: {formatted(columns[f'{factor}: share'])} of the variance" for factor in self.factors]
        table: list[dict[str, Any]] = [
            {**dict(zip(self.factors, name, strict=True)), "accuracy": float(values_N_C[:, c].mean())}
            for c, name in enumerate(names)
        ]
        return reading(self, {view.base.name: columns}, figure, says, table)

    def _columns(self, view: View, values_N_C: NDArray, signs_C_K: NDArray) -> dict[str, Estimate]:
        def measured(function: Callable[[NDArray], NDArray]) -> Estimate:
            return view.bootstrap.statistic(values_N_C, function, "all cells have the same accuracy")

        signs: dict[str, NDArray] = dict(zip(self.factors, signs_C_K.T, strict=True))
        out: dict[str, Estimate] = {}
        for name, of in signs.items():
            out[f"{name}: effect"] = measured(partial(effect, signs_C=of))
            out[f"{name}: swing"] = measured(partial(swing, signs_C=of))
            out[f"{name}: share"] = measured(partial(share, signs_C=of))
            out[f"{name}: kept"] = measured(partial(kept, signs_C=of))
        out["interactions: share"] = measured(lambda m: 1 - np.sum([share(m, of) for of in signs.values()], axis=0))
        for a, b in combinations(self.factors, 2):
            out[f"{a} - {b}: share"] = measured(partial(difference, a_C=signs[a], b_C=signs[b]))
        return out


def effect(cells: NDArray, signs_C: Sequence[int] | NDArray) -> NDArray:
    """Mean at the level with sign 1 less that at the level with sign -1, of cells [..., C]."""
    return 2 * (cells * np.asarray(signs_C)).mean(-1)


def swing(cells: NDArray, signs_C: Sequence[int] | NDArray) -> NDArray:
    """The effect without its sign."""
    return np.abs(effect(cells, signs_C))


def share(cells: NDArray, signs_C: Sequence[int] | NDArray) -> NDArray:
    """Part of the variance of cells [..., C] that the main effect explains."""
    return (effect(cells, signs_C) / 2) ** 2 / cells.var(-1)


def kept(cells: NDArray, signs_C: NDArray) -> NDArray:
    """Mean at the level with sign -1 divided by that at the level with sign 1, of cells [..., C]."""
    return cells[..., signs_C < 0].mean(-1) / cells[..., signs_C > 0].mean(-1)


def difference(cells: NDArray, a_C: NDArray, b_C: NDArray) -> NDArray:
    """Share of the factor with signs a less that of the one with signs b."""
    return share(cells, a_C) - share(cells, b_C)
