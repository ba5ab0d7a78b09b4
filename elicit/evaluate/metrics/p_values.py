"""p values of the primary family: methods x {gain over the best rung, control-adjusted gain}.

Sign flips over clusters; the control-adjusted gain is tested one-sided against base and placebos, and the largest p
counts. Sign flips cannot see that another training seed gives another gain, so with several seeds p is at least the
share of joint draws on the other side of 0 (`Joint`: Student's t between the seeds). Measured as in `Joint`, at a true
gain of 0 and 5 points between seeds, sign flips alone give p < .05 in 49 % of the worlds with three seeds and 43 % with
five, the p reported here in 3.9 % and 4.2 %. Two seeds give no p: it would rest on one difference and on normality
alone. The family is corrected after Holm; Benjamini and Hochberg's values are recorded next to them as exploratory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.metrics.metric import TWO_SEEDS, Lines, Metric, put
from elicit.evaluate.metrics.table import Arm, Table
from elicit.evaluate.statistics.significance import (
    benjamini_hochberg,
    detectable,
    holm,
    sign_flip,
    sign_flip_test,
    tail_share,
)
from elicit.results import Estimate, FamilyTest, Line

TESTS = ("gain", "ctrl")


def _report(table: Table, lines: Lines) -> None:
    for arm, line in lines:
        if arm.first.role == "method" and table.at_base(arm):
            _of_method(table, arm, line)
    tests = _tests([line for _, line in lines])
    raw = [p for _, _, p in tests]
    for (line, test, _), adjusted, exploratory in zip(tests, holm(raw), benjamini_hochberg(raw), strict=True):
        line.values[f"p/{test}_holm"] = Estimate(adjusted)
        line.values[f"p/{test}_bh"] = Estimate(exploratory)


def _of_method(table: Table, arm: Arm, line: Line) -> None:
    joint, draws, clusters_N = table.joint, table.config.draws, table.joint.resamples.codes_N
    # 1) the gain: best prompt against B1, or at B0's against B0 without a rung B1
    own, rung = (arm, table.base) if table.b1 is None else (table.at_best_prompt(arm), table.b1)
    gain_N = joint.values_N(own.key) - joint.values_N(rung.key)
    test = sign_flip_test(gain_N, clusters_N, draws)
    over_seeds = tail_share(joint.mean(own.key)[1] - joint.mean(rung.key)[1]) if len(own.entries) > 1 else 0.0
    line.values["p/gain"] = TWO_SEEDS if len(own.entries) == 2 else Estimate(max(test.p, over_seeds))
    line.notes["p/exact"] = test.exact and test.p >= over_seeds
    if joint.resamples.clusters > 1:
        put(line, "p/detectable", _detectable(table, own, gain_N))
    # 2) the control-adjusted gain: against the base and every placebo
    placebos = table.placebos(arm)
    if placebos:
        own_N = joint.values_N(arm.key)
        bars = [joint.values_N(other.key) for other in [table.base, *placebos]]
        over_items = max(sign_flip(own_N - bar_N, clusters_N, draws, one_sided=True) for bar_N in bars)
        two = any(len(one.entries) == 2 for one in [arm, *placebos])
        line.values["p/ctrl"] = TWO_SEEDS if two else Estimate(max(over_items, _over_seeds(table, arm, placebos)))


def _over_seeds(table: Table, arm: Arm, placebos: Sequence[Arm]) -> float:
    """Share of joint draws without a control-adjusted gain; 0 if nothing has several seeds.

    Flipping signs over items can't see that a placebo is a lottery over its draws.
    """
    if all(len(one.entries) == 1 for one in [arm, *placebos]):
        return 0.0
    mean = table.joint.mean
    bar_B = np.max([mean(one.key)[1] for one in [table.base, *placebos]], axis=0)
    return tail_share(mean(arm.key)[1] - bar_B, one_sided=True)


def _detectable(table: Table, own: Arm, gain_N: NDArray) -> float:
    """Smallest gain found with 80 % power, over items and seeds (degrees of freedom after Welch and Satterthwaite)."""
    resamples, means_S = table.joint.resamples, table.joint.seed_means(own.key)
    items, between = resamples.standard_error(gain_N) ** 2, 0.0
    degrees = resamples.clusters - 1.0
    if len(means_S) > 1 and (between := float(means_S.var(ddof=1)) / len(means_S)) > 0:
        degrees = (items + between) ** 2 / (items**2 / degrees + between**2 / (len(means_S) - 1))
    return detectable(np.sqrt(items + between), 1 + degrees)


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
