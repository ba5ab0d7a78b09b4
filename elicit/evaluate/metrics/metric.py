"""What a metric is: the item values that it adds to the joint bootstrap, and the numbers that it puts into the lines.

    add(table)             before the bootstrap: item values by arm, `table.joint.add(arm.key, "mine", values_S_N)`
    report(table, lines)   after it: `Line.values`, `Line.curves` and `Line.notes` of all arms, as (arm, line)
    columns                what the numbers are called, their unit and their meaning: the file describes itself

A metric is one file with these three next to its formula, and one entry of `METRICS` (`metrics/__init__.py`). Knows no
metric in particular and no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from numpy.typing import NDArray

from elicit.evaluate.metrics.table import Arm, Table
from elicit.evaluate.statistics.resamples import Mean
from elicit.results import Column, Curve, Estimate, Line

Lines = Sequence[tuple[Arm, Line]]
TABLES = ("scorecard", "split", "further", "distance", "figures", "")
"""tables of the report in their order; "": a column that no table lists"""
NOT_A_METHOD = Estimate(refused="not a method")
CONTROLS_ELSEWHERE = Estimate(refused="controls were measured at the base's own prompt: see the line there")
TWO_SEEDS = Estimate(refused="two training seeds: too few for a p value; fit a third (sweep=seeds)")


def drawn_elsewhere(prompt: str) -> str:
    """The reason why samples of C1 do not replace those of the base at its own prompt (B0): they are of `prompt`."""
    return (
        f"the base's samples at T=1 (C1) were drawn at the prompt {prompt}, not at B0's: eval.c1_prompt=bare, "
        "or eval=support"
    )


def nothing(*_: object) -> None:
    """The part of a metric that has nothing to add or to report."""


@dataclass(frozen=True)
class Metric:
    """One metric of a comparison."""

    name: str
    columns: tuple[Column, ...] = ()
    add: Callable[[Table], None] = nothing
    """adds columns to `table.joint`, before it is solved"""
    report: Callable[[Table, Lines], None] = nothing
    """writes the values, curves and notes of every line, after it"""


def columns_of(metrics: Iterable[Metric]) -> tuple[Column, ...]:
    """The columns of all metrics, table by table, in each in the order of the metrics."""
    every = [column for metric in metrics for column in metric.columns]
    return tuple(sorted(every, key=lambda column: TABLES.index(column.table)))


def put(line: Line, key: str, number: float | None) -> None:
    """A number without an interval; nothing if it is not known."""
    if number is not None:
        line.values[key] = Estimate(number)


def curve(table: Table, arm: Arm, name: str, interval: Callable[[Mean, NDArray, int], Estimate]) -> Curve:
    """The joint columns `name@k` as a curve over k = 1, 2, 4 .. n/2; `interval` takes (mean, values by item, seeds).

    Refused without samples for k = 1, and if there is no interval: then k and the points stay as raw values.
    """
    joint, beside = table.joint, arm.beside.get(name, {})
    if not arm.ks:
        return Curve(refused=f"n = {arm.measures[0].n}: k needs 2k samples")
    columns = [f"{name}@{k}" for k in arm.ks]
    points = [
        interval(joint.mean(arm.key, column), joint.values_N(arm.key, column), len(arm.entries)) for column in columns
    ]
    return Curve(
        k=tuple(arm.ks),
        point=tuple(one.point for one in points if one.point is not None),
        lo=tuple(one.lo for one in points if one.lo is not None),
        hi=tuple(one.hi for one in points if one.hi is not None),
        refused=points[0].refused,  # one cluster: no k has an interval
        beside=beside,
    )
