"""p values of the primary family: methods x {gain over the best rung, control-adjusted gain}.

Sign flips over clusters; the control-adjusted gain is tested one-sided against base and placebos, and the largest p
counts. The family is corrected after Holm; Benjamini and Hochberg's values are recorded next to them as exploratory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elicit.evaluate.metrics.metric import Lines, Metric, put
from elicit.evaluate.metrics.table import Arm, Table
from elicit.evaluate.statistics.resamples import NO_SPREAD
from elicit.evaluate.statistics.significance import benjamini_hochberg, detectable, holm, sign_flip, sign_flip_test
from elicit.results import Estimate, FamilyTest, Line

TESTS = ("gain", "ctrl")


def _report(table: Table, lines: Lines) -> None:
    for arm, line in lines:
        if arm.first.role == "method" and table.bare(arm):
            _of_method(table, arm, line)
    tests = _tests([line for _, line in lines])
    raw = [p for _, _, p in tests]
    for (line, test, _), adjusted, exploratory in zip(tests, holm(raw), benjamini_hochberg(raw), strict=True):
        line.values[f"p/{test}_holm"] = Estimate(adjusted)
        line.values[f"p/{test}_bh"] = Estimate(exploratory)


def _of_method(table: Table, arm: Arm, line: Line) -> None:
    joint, draws, clusters_N = table.joint, table.config.draws, table.joint.resamples.codes_N
    # 1) the gain: best prompt against B1, or bare against B0 without a rung B1
    own, rung = (arm, table.base) if table.b1 is None else (table.at_best_prompt(arm), table.b1)
    gain_N = joint.values_N(own.key) - joint.values_N(rung.key)
    test = sign_flip_test(gain_N, clusters_N, draws)
    put(line, "p/gain", test.p)
    line.notes["p/exact"] = test.exact
    if (clusters := joint.resamples.clusters) > 1:
        put(line, "p/detectable", detectable(joint.resamples.standard_error(gain_N), clusters))
    # 2) the control-adjusted gain: against the base and every placebo
    placebos = table.placebos(arm)
    if placebos:
        own_N = joint.values_N(arm.key)
        bars = [joint.values_N(other.key) for other in [table.base, *placebos]]
        over_items = max(sign_flip(own_N - bar_N, clusters_N, draws, one_sided=True) for bar_N in bars)
        put(line, "p/ctrl", max(over_items, _over_seeds(table, arm, placebos)))


def _over_seeds(table: Table, arm: Arm, placebos: Sequence[Arm]) -> float:
    """Share of joint draws without a control-adjusted gain; 0 if nothing has several seeds.

    Flipping signs over items can't see that a placebo is a lottery over its draws.
    """
    if all(len(one.entries) == 1 for one in [arm, *placebos]):
        return 0.0
    mean = table.joint.mean
    bar_B = np.max([mean(one.key)[1] for one in [table.base, *placebos]], axis=0)
    return float((1 + (mean(arm.key)[1] <= bar_B + NO_SPREAD).sum()) / (1 + len(bar_B)))


def _tests(lines: Sequence[Line]) -> list[tuple[Line, str, float]]:
    """(line, test, p) of the primary family."""
    found = [(line, test, line.number(f"p/{test}")) for line in lines for test in TESTS]
    return [(line, test, p) for line, test, p in found if p is not None]


def family(lines: Sequence[Line]) -> tuple[FamilyTest, ...]:
    """The primary family with its Holm-corrected p values."""
    return tuple(
        FamilyTest(line.id, line.name, test, p, line.number(f"p/{test}_holm") or 0.0) for line, test, p in _tests(lines)
    )


P_VALUES = Metric("p values", report=_report)
"""shown in the text of the report: no table lists them"""
