"""Control-adjusted gain: acc_m - max(acc_b, strongest placebo), the maximum taken inside every draw.

A mean over placebos would reward destructive ones; a maximum chosen once would forget that it was chosen.
Specificity, 1 - placebo gain / gain, is given only if the gain over the base excludes 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from elicit.evaluate.metrics.metric import CONTROLS_ELSEWHERE, NOT_A_METHOD, Lines, Metric
from elicit.evaluate.metrics.table import Table
from elicit.evaluate.statistics.resamples import NO_SPREAD, Mean, Resamples
from elicit.results import Column, Estimate

NO_PLACEBO = Estimate(refused="no placebo was run")


class Controlled(NamedTuple):
    """A gain over the strongest control."""

    gain: Estimate
    specificity: Estimate
    strongest: str | None = None
    """name of the placebo with the best accuracy"""


def control_adjusted(resamples: Resamples, method: Mean, base: Mean, placebos: Mapping[str, Mean]) -> Controlled:
    """Gain and specificity; both refused if no placebo was run."""
    if not placebos:
        return Controlled(NO_PLACEBO, NO_PLACEBO)
    strongest = max(placebos, key=lambda name: placebos[name][0])
    placebo_B = np.max([draws for _, draws in placebos.values()], axis=0)
    bar = max(base[0], placebos[strongest][0])
    gain = resamples.difference(method, (bar, np.maximum(base[1], placebo_B)))
    return Controlled(gain, _specificity(resamples, method, base, (placebos[strongest][0], placebo_B)), strongest)


def _specificity(resamples: Resamples, method: Mean, base: Mean, placebo: Mean) -> Estimate:
    gain = resamples.difference(method, base)
    if gain.bounds is None:
        return gain
    point, low, high = gain.bounds
    if low <= 0 <= high:
        return Estimate(refused="the gain is not clear")
    gain_B = method[1] - base[1]
    same_B = gain_B * np.sign(point) > NO_SPREAD  # all but the less than 2.5 % of draws beyond 0
    draws = 1 - (placebo[1] - base[1])[same_B] / gain_B[same_B]
    return resamples.interval(1 - (placebo[0] - base[0]) / point, draws)


def _report(table: Table, lines: Lines) -> None:
    joint = table.joint
    for arm, line in lines:
        if arm.first.role != "method":
            found = Controlled(NOT_A_METHOD, NOT_A_METHOD)
        elif not table.at_base(arm):
            found = Controlled(CONTROLS_ELSEWHERE, CONTROLS_ELSEWHERE)
        else:
            placebos = {placebo.first.name: joint.mean(placebo.key) for placebo in table.placebos(arm)}
            found = control_adjusted(joint.resamples, joint.mean(arm.key), joint.mean(table.base.key), placebos)
        line.values["ctrl/gain"], line.values["ctrl/specificity"] = found.gain, found.specificity
        if found.strongest is not None:
            line.notes["ctrl/strongest"] = found.strongest


CONTROL = Metric(
    "control",
    (
        Column(
            "ctrl/gain", "Control-adjusted", "points", "gain over the better of base and strongest placebo, points",
            "scorecard", ("method",),
        ),
        Column("ctrl/specificity", "Specificity", "percent", "1 - placebo gain / gain", "figures"),
    ),
    report=_report,
)  # fmt: skip
