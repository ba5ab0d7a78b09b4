"""The lines of a comparison: one arm (a policy, or several seeds of one configuration) each.

This module writes what an arm *is*; every number comes from a metric (`elicit.evaluate.metrics.METRICS`).
"""

from __future__ import annotations

from collections.abc import Sequence

from elicit.evaluate import metrics
from elicit.evaluate.metrics.accuracy import accuracy
from elicit.evaluate.metrics.metric import Metric
from elicit.evaluate.metrics.table import Arm, Table
from elicit.results import Estimate, Line, Member


def lines_of(table: Table, chosen: Sequence[Metric] | None = None) -> list[Line]:
    """All lines, in the order of the arms, by these metrics (None: all). The table's bootstrap has to be solved."""
    filled = [(arm, _identity(table, arm)) for arm in table.arms]
    for metric in metrics.METRICS if chosen is None else chosen:
        metric.report(table, filled)
    return [line for _, line in filled]


def _identity(table: Table, arm: Arm) -> Line:
    first = arm.first
    best = dict.fromkeys(entry.own_prompt for entry in arm.entries if entry.own_prompt is not None)
    line = Line(
        id=first.policy,
        name=first.name,
        role=first.role,
        method=first.method,
        parent=first.parent,
        arm=first.arm,
        prompt=" or ".join(dict.fromkeys(entry.prompt for entry in arm.entries)),
        own_prompt=" or ".join(best) or None,
        at_own_prompt=first.role == "method" and not table.at_base(arm),
        seed=first.seed if len(arm.entries) == 1 else None,
        seeds=len(arm.entries),
        members=tuple(
            Member(entry.policy, entry.seed, entry.run, float(accuracy(m).mean()))
            for entry, m in zip(arm.entries, arm.measures, strict=True)
        ),
        n_items=len(table.items),
        n=arm.measures[0].n,
        data_class=first.data_class,
        ledger=dict(first.ledger),
        run=first.run,
    )
    if first.on:
        line.notes["stack/on"] = list(first.on)
    if said := dict.fromkeys(text for entry in arm.entries for text in entry.fit_warnings):
        line.notes["fit/warnings"] = "; ".join(said)
    for name, value in (first.edit or {}).items():
        if name == "relative_norm":
            line.values["edit/relative_norm"] = Estimate(value)
        else:
            line.notes[f"edit/{name}"] = value
    return line
