"""calibration: is an answer right as often as the policy gives it? (arXiv 2507.16806, and 2510.08308 for RLVR)

    confidence of a sample   share of the item's other samples that give the same answer; no answer: 0
    calibration error        sum over bins of |confidence - right| / samples, 10 bins of confidence (ECE)
    Brier                    mean of (confidence - right)^2
    overconfidence           mean of confidence - right

Confidence by agreement needs neither the model nor words of it, so every policy has one. It is that of the regime: at
temperature 1 (`eval.regime=support`) it is the model's own distribution, and a lower temperature makes every policy
surer. The calibration error is biased upwards with few samples, in both policies that are compared. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.lens import SAMPLES, Reading, formatted, of_columns, reading, refusing
from elicit.evaluate.lenses.view import Side, View
from elicit.results import Estimate

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Agreement of an item's samples against their grades."""

    name: str = "calibration"
    about: str = "whether answers are right as often as the policy gives them"
    source: str = "2507.16806"
    needs: str = SAMPLES

    def read(self, view: View) -> Reading:
        if min(side.measures.n for side in view.sides) < 2:
            return refusing(self, "n = 1: a single sample has no agreement")
        sums = {side.name: sums_of(side) for side in view.sides}
        base = sums[view.base.name]
        columns: dict[str, dict[str, Estimate]] = {}
        for name, of in sums.items():
            columns[name] = {
                title: view.bootstrap.statistic(of, function, "no graded sample")
                for title, function in FUNCTIONS.items()
            }
            if name != view.base.name:
                both = np.concatenate([of, base], 1)
                columns[name] |= {
                    f"{title} - base": view.bootstrap.statistic(both, partial(_less, function), "no graded sample")
                    for title, function in FUNCTIONS.items()
                }
        figure = of_columns("Calibration of the answers", "share", columns, list(FUNCTIONS))
        says = [f"{name}: calibration error {formatted(of['calibration error'])}" for name, of in columns.items()]
        return reading(self, columns, figure, says)


def _less(function: Callable[[NDArray], NDArray], both: NDArray) -> NDArray:
    """The function of the first half of the columns less that of the second."""
    mine, base = np.split(both, 2, -1)
    return function(mine) - function(base)


def confidence_N_J(side: Side) -> NDArray:
    """Share of the item's other samples with the same answer; 0 for a sample without one."""
    classes_N_J = side.measures.classes_N_J
    same = (classes_N_J[:, :, None] == classes_N_J[:, None, :]).sum(2) - 1
    return np.where(classes_N_J >= 0, same / (classes_N_J.shape[1] - 1), 0.0)


def sums_of(side: Side) -> NDArray:
    """By item: samples, sum of (confidence - right)^2, and by bin the sum of confidence - right."""
    sure, graded = confidence_N_J(side), side.graded_N_J
    gap = np.where(graded, sure - side.right_N_J, 0.0)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    by_bin = [(gap * (bins == b)).sum(1) for b in range(BINS)]
    return np.stack([graded.sum(1), (gap**2).sum(1), *by_bin], 1).astype(float)


FUNCTIONS: dict[str, Callable[[NDArray], NDArray]] = {
    "calibration error": lambda m: np.abs(m[..., 2:]).sum(-1) / m[..., 0],
    "Brier": lambda m: m[..., 1] / m[..., 0],
    "overconfidence": lambda m: m[..., 2:].sum(-1) / m[..., 0],
}
"""of the mean sums of `sums_of`"""
