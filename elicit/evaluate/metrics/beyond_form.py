"""The control-adjusted gain under the looser readings: what is left of it without declaring and without stopping.

    ctrl/lenient    as ctrl/gain, of lenient grades
    ctrl/any        as ctrl/gain, read by any declaration; refused if first declarations were not graded
    p/lenient       sign flips against the base and every placebo, the largest p of both readings, two-sided as the
                    intervals are; p/lenient_holm: after Holm's correction over the methods

A placebo may hold the same ability without declaring it, so the remainder over the base's rungs is not enough. The
correction keeps many methods that differ from their placebos in form only from being claimed one by one: of four such
methods at once some one is claimed in 4.4 % of 500 simulated comparisons with one-sided p values (2.9 to 6.5 %).
"""

from __future__ import annotations

import numpy as np

from elicit.evaluate.metrics.accuracy import COLUMNS
from elicit.evaluate.metrics.control import control_adjusted
from elicit.evaluate.metrics.metric import CONTROLS_ELSEWHERE, NOT_A_METHOD, Lines, Metric, put
from elicit.evaluate.metrics.split import NO_FIRST
from elicit.evaluate.metrics.table import Arm, Table
from elicit.evaluate.statistics.resamples import NO_SPREAD
from elicit.evaluate.statistics.significance import holm, sign_flip
from elicit.results import Column, Estimate, Line


def _report(table: Table, lines: Lines) -> None:
    for arm, line in lines:
        if arm.first.role == "method" and table.at_base(arm):
            _of_method(table, arm, line)
        else:
            reason = CONTROLS_ELSEWHERE if arm.first.role == "method" else NOT_A_METHOD
            line.values |= {"ctrl/lenient": reason, "ctrl/any": reason}
    tested = [(line, p) for _, line in lines if (p := line.number("p/lenient")) is not None]
    for (line, _), adjusted in zip(tested, holm([p for _, p in tested]), strict=True):
        line.values["p/lenient_holm"] = Estimate(adjusted)


def _of_method(table: Table, arm: Arm, line: Line) -> None:
    joint, placebos, p_values = table.joint, table.placebos(arm), []
    for reading, column in COLUMNS.items():
        if reading == "strict":
            continue
        if not joint.has(arm.key, column):
            line.values[f"ctrl/{reading}"] = NO_FIRST
            continue
        own, base = joint.mean(arm.key, column), joint.mean(table.base.key, column)
        bars = {placebo.first.name: joint.mean(placebo.key, column) for placebo in placebos}
        line.values[f"ctrl/{reading}"] = control_adjusted(joint.resamples, own, base, bars).gain
        p_values += [_p(table, arm, other, column) for other in [table.base, *placebos]]
        if any(len(one.entries) > 1 for one in [arm, *placebos]):  # sign flips can't see the spread over seeds
            bar_B = np.max([base[1], *(draws_B for _, draws_B in bars.values())], axis=0)
            p_values.append(float((1 + (own[1] <= bar_B + NO_SPREAD).sum()) / (1 + len(bar_B))))
    put(line, "p/lenient", min(1.0, 2 * max(p_values)) if placebos else None)


def _p(table: Table, arm: Arm, other: Arm, column: str) -> float:
    difference_N = table.joint.values_N(arm.key, column) - table.joint.values_N(other.key, column)
    return sign_flip(difference_N, table.joint.resamples.codes_N, table.config.draws, one_sided=True)


BEYOND_FORM = Metric(
    "control-adjusted gain beyond form",
    (
        Column(
            "ctrl/lenient", "Control-adjusted, lenient", "points",
            "the control-adjusted gain of lenient grades", "figures", ("method",),
        ),
        Column(
            "ctrl/any", "Control-adjusted, any declaration", "points",
            "the same, if the first declaration counts as well", "figures", ("method",),
        ),
    ),
    report=_report,
)  # fmt: skip
