"""Stacked policies: is the gain of a pair more or less than the sum of the gains of its parts?

    over          acc(A+B) - acc(A)                            what B adds to the policy that it is stacked on
    interaction   acc(A+B) - acc(A) - acc(B) + acc(base)       0: the gains add up

A is the line that B is stacked on (`on=A`), B the line of the same method on the base. Negative if both find the same
thing, or if the sum of their gains would pass 100 %: two parts that each reach a ceiling can't add up. Refused if a
part is not in the comparison. Strict grades, paired by item, in the joint bootstrap. The figure `grid` shows them.
"""

from __future__ import annotations

from elicit.evaluate.metrics.metric import Lines, Metric
from elicit.evaluate.metrics.table import Arm, Table
from elicit.results import Column, Estimate

OVER, INTERACTION = "stack/over", "stack/interaction"


def parts(table: Table, arm: Arm) -> tuple[Arm | None, Arm | None]:
    """(A, B) of a stacked arm; None for one that was not measured at B0's prompt in this comparison."""
    below = "+".join(arm.first.on)
    names = below, arm.first.name.removeprefix(f"{below}+")
    alone = {one.first.name: one for one in table.arms if one.first.role == "method" and table.at_base(one)}
    found = [alone.get(name) for name in names]
    return found[0], None if found[1] is None or found[1].first.on else found[1]


def _report(table: Table, lines: Lines) -> None:
    mean, difference = table.joint.mean, table.joint.resamples.difference
    base = mean(table.base.key)
    for arm, line in lines:
        if not arm.first.on or arm.first.role != "method" or not table.at_base(arm):
            continue
        own, (below, alone) = mean(arm.key), parts(table, arm)
        if below is None:
            refused = Estimate(refused=f"{'+'.join(arm.first.on)} is not in this comparison")
            line.values[OVER] = line.values[INTERACTION] = refused
            continue
        line.values[OVER] = difference(own, mean(below.key))
        if alone is None:
            line.values[INTERACTION] = Estimate(refused="the method on the base is not in this comparison")
            continue
        a, b = mean(below.key), mean(alone.key)
        line.values[INTERACTION] = difference((own[0] + base[0], own[1] + base[1]), (a[0] + b[0], a[1] + b[1]))


STACK = Metric(
    "stack",
    (
        Column(OVER, "Over what it is stacked on", "points",
               "accuracy of a stacked policy minus that of the policy it is stacked on", "", ("method",)),
        Column(INTERACTION, "Interaction", "points",
               "gain of a stacked policy minus the sum of the gains of its two parts alone", "", ("method",)),
    ),
    report=_report,
)  # fmt: skip
