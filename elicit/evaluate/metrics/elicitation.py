"""Gains over the base's rungs, and EF, the elicitation fraction: (acc_m - acc_b) / (acc_c - acc_b).

EF is the share of the gap between a rung b and a ceiling c that a method closes. It is never clipped and never made
absolute: below 0 is harm, above 1 is more than the ceiling. If the gap itself is not clear the ratio is noise, so it is
refused. EF against B0 compares both at B0's prompt, EF against B1 best with best: if a method was also measured at its
own dev-best prompt, that line gives the figures against B1. Gains and the fractions of C2, C3 and C4 are strict; those
of C1 take all three sides under the reading of C1 (`ceilings`): a method that only declares what its base solves
closes nothing of that gap.
"""

from __future__ import annotations

from elicit.evaluate.metrics.accuracy import COLUMNS
from elicit.evaluate.metrics.ceilings import ceiling_mean
from elicit.evaluate.metrics.metric import Lines, Metric, put
from elicit.evaluate.metrics.rungs import B2
from elicit.evaluate.metrics.table import Arm, Table
from elicit.evaluate.statistics.resamples import Mean, Resamples
from elicit.results import Column, Estimate, Line

SMALLEST_GAP = 0.05
TOO_SMALL = "gap too small"
"""how the reason begins if a ceiling was measured but lies too close to the rung"""


def elicitation_fraction(resamples: Resamples, method: Mean, base: Mean, ceiling: Mean) -> Estimate:
    """EF with its joint interval; refused if the gap's lower 95 % bound is below max(5 points, 2 SE)."""
    gap = resamples.difference(ceiling, base)
    if gap.refused is not None or gap.lo is None:
        return gap
    floor = max(SMALLEST_GAP, 2 * float((ceiling[1] - base[1]).std(ddof=1)))
    if gap.lo < floor:
        text = f"{TOO_SMALL}: {gap.point:.3f} [{gap.lo:.3f}, {gap.hi:.3f}], lower bound under {floor:.3f}"
        return Estimate(refused=text)
    draws = (method[1] - base[1]) / (ceiling[1] - base[1])
    return resamples.interval((method[0] - base[0]) / (ceiling[0] - base[0]), draws)


def _add(table: Table) -> None:
    if table.c1 is not None and table.c1.values_N is not None:
        table.joint.add("C1", "acc", [table.c1.values_N])
    if table.c1 is not None and table.c1.coverage_N is not None:
        table.joint.add("C1", "cov", [table.c1.coverage_N])


def _report(table: Table, lines: Lines) -> None:
    for arm, line in lines:
        if arm.first.role == "ceiling" and arm.first.name == "C1":
            _put_c1(table, line)
        if not (arm.fitted or arm is table.b1 or arm.first.name.startswith(B2)):
            continue
        for rung, base, asked in (("B0", table.base, arm), ("B1", table.b1, table.at_best_prompt(arm))):
            line.values[f"gain/{rung}"] = gain = _gain(table, arm, rung, base, asked)
            for ceiling in table.ceilings:
                line.values[f"ef/{rung}/{ceiling}"] = _fraction(table, gain, base, asked, ceiling)


def _put_c1(table: Table, line: Line) -> None:
    """What C1 is made of, on its own line: raw coverage at k, and what guessing covers."""
    if table.joint.has("C1", "cov") and table.c1 is not None:
        mean, values_N = table.joint.mean("C1", "cov"), table.joint.values_N("C1", "cov")
        line.values["C1/coverage"] = table.joint.resamples.curved(*mean, values_N)
        put(line, "C1/guessing", table.c1.guessing)
        put(line, "C1/k", table.c1.k)
        line.notes["C1/kind"] = table.c1.kind


def _gain(table: Table, arm: Arm, rung: str, base: Arm | None, asked: Arm) -> Estimate:
    """Of an arm, `asked` at the prompt that is compared, over a rung of the base."""
    if base is None:
        return Estimate(refused="rung B1 was not measured")
    if rung == "B0" and arm.fitted and not table.at_base(arm):
        return Estimate(refused="like is compared with like: see the line at B0's prompt")
    own, rung_mean = table.joint.mean(asked.key), table.joint.mean(base.key)
    if {entry.policy for entry in asked.entries} == {entry.policy for entry in base.entries}:
        own = rung_mean  # the same policy: exactly no difference
    return table.joint.resamples.difference(own, rung_mean)


def _fraction(table: Table, gain: Estimate, base: Arm | None, asked: Arm, ceiling: str) -> Estimate:
    if base is None or (gain.refused is not None and gain.point is None):
        return Estimate(refused=gain.refused)
    top = ceiling_mean(table, ceiling)
    if isinstance(top, Estimate):
        return Estimate(refused=f"{ceiling}: {top.refused}")
    column = COLUMNS[table.c1.reading] if ceiling == "C1" and table.c1 is not None else "acc"
    own, rung = table.joint.mean(asked.key, column), table.joint.mean(base.key, column)
    return elicitation_fraction(table.joint.resamples, own, rung, top)


def _ef_column(rung: str, ceiling: str) -> Column:
    meaning = f"share of the gap from {rung} to {ceiling}"
    if ceiling == "C1":
        meaning += ", all of the loosest reading"
    if ceiling in ("C2", "C3"):  # measured only if asked for
        return Column(f"ef/{rung}/{ceiling}", f"{rung}\u2192{ceiling}", "ratio", meaning, "further", ("method",))
    return Column(f"ef/{rung}/{ceiling}", f"EF {rung}\u2192{ceiling}", "ratio", meaning, "scorecard")


ELICITATION = Metric(
    "gain and elicitation fraction",
    (
        *(_ef_column(rung, ceiling) for rung in ("B0", "B1") for ceiling in ("C4", "C1")),
        Column(
            "gain/B0", "Gain over B0", "points", "paired difference to the base at B0's prompt, points", "scorecard",
            ("prompt", "method", "placebo", "rival", "ceiling"),
        ),
        *(_ef_column(rung, ceiling) for ceiling in ("C2", "C3") for rung in ("B0", "B1")),
    ),
    _add,
    _report,
)  # fmt: skip
