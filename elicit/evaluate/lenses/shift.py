"""shift: does a gain hold outside the distribution that it was fitted on? (arXiv 2508.01191)

Three axes, each with its in-distribution twin:

    test_task     another family or question type      test_length   more operations      test_format   other words

A gain on an axis minus the gain on its twin (difference in differences), paired within templates: items of both
sides that share a template (their size, if the task states it) are compared with each other only, and templates
without a partner are left out. On the length axis no size has a partner: whole sets are compared. Intervals resample
clusters of items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.lens import SHIFTS, Reading, drawing, formatted, reading, refusing
from elicit.evaluate.lenses.view import Side, View
from elicit.evaluate.metrics.accuracy import accuracy
from elicit.evaluate.statistics.ratios import Bootstrap
from elicit.evaluate.statistics.resamples import Resamples
from elicit.records import Item
from elicit.results import Estimate

AXES = ("test_task", "test_length", "test_format")


@dataclass(frozen=True)
class Shift:
    """Gains on the shift axes."""

    name: str = "shift"
    about: str = "gain over the base on each shift axis, minus the gain in distribution"
    source: str = "2508.01191"
    needs: str = SHIFTS

    def read(self, view: View) -> Reading:
        axes = [axis for axis in AXES if axis in view.shifted]
        if not axes:
            return refusing(self, "no shift axis was sampled (elicit lens GROUP shift run=true)")
        columns: dict[str, dict[str, Estimate]] = {}
        for axis in axes:
            away = {side.name: side for side in view.shifted[axis].sides}
            for side in view.sides:
                if side.name in away:
                    columns.setdefault(side.name, {}).update(self._axis(view, axis, side, away[side.name]))
        x = ["test", *axes]
        series = {name: [of.get(axis, Estimate()) for axis in x] for name, of in columns.items()}
        figure = drawing("bars", "Accuracy in and out of distribution", "axis", "accuracy", x, series)
        says = [
            f"{name}: " + ", ".join(f"{axis} {formatted(of[f'{axis}: gain - gain in distribution'])}" for axis in axes)
            for name, of in columns.items()
            if name != view.base.name
        ]
        return reading(self, columns, figure, says)

    def _axis(self, view: View, axis: str, near: Side, far: Side) -> dict[str, Estimate]:
        shifted = view.shifted[axis]
        out = {
            "test": view.bootstrap.fraction(accuracy(near.measures), "no graded item"),
            axis: shifted.bootstrap.fraction(accuracy(far.measures), "no graded item"),
        }
        gains_near = accuracy(near.measures) - accuracy(view.base.measures)
        gains_far = accuracy(far.measures) - accuracy(shifted.base.measures)
        if near is not view.base:
            out[f"{axis}: gain"] = shifted.bootstrap.mean(gains_far, "no graded item")
            out[f"{axis}: gain - gain in distribution"] = difference_in_differences(
                (view.items, gains_near), (shifted.items, gains_far), view.draws, view.seed
            )
        return out


def difference_in_differences(
    near: tuple[Sequence[Item], NDArray], far: tuple[Sequence[Item], NDArray], draws: int, seed: int
) -> Estimate:
    """Mean gain far minus mean gain near; templates without items on both sides are left out.

    The template of an item is its size, if the task states one. Without a shared size, whole sets are compared.
    """
    sizes = [{str(item.facts.get("size", "")) for item in items} for items, _ in (near, far)]
    shared = sizes[0] & sizes[1]
    kept = []
    for side, (items, gains) in enumerate((near, far)):
        for item, gain in zip(items, gains, strict=True):
            name = str(item.facts.get("size", "")) if shared else ""
            if np.isfinite(gain) and (not shared or name in shared):
                kept.append((name, side, float(gain), item.cluster))
    if {side for _, side, _, _ in kept} != {0, 1}:
        return Estimate(refused="no graded item on one of the two sides")
    names = sorted({row[0] for row in kept})
    columns = np.zeros((len(kept), 4 * len(names)))
    for row, (name, side, gain, _) in enumerate(kept):
        at = 4 * names.index(name) + 2 * side
        columns[row, at : at + 2] = gain, 1
    boot = Bootstrap(Resamples([cluster for *_, cluster in kept], draws, seed))
    return boot.statistic(columns, lambda m: _paired(m.reshape(*m.shape[:-1], len(names), 2, 2)), "no shared template")


def _paired(sums: NDArray) -> NDArray:
    """[..., templates, near/far, (gain, items)] -> mean over templates, weighted by their far items, of far - near."""
    means = np.where(sums[..., 1] > 0, sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], 1), np.nan)
    difference = means[..., 1] - means[..., 0]
    weight = np.where(np.isfinite(difference), sums[..., 1, 1], 0.0)
    total = weight.sum(-1)
    return np.where(total > 0, (np.nan_to_num(difference) * weight).sum(-1) / np.where(total > 0, total, 1), np.nan)
