"""The figures of a report: one file and one line of `FIGURES` each, in the order in which pages show them.

    figure    what a figure is: rows of a CSV, and a chart as plain data
    series    rows: their first columns, intervals, curves, logs
    marks     how a policy is drawn: colours, shapes, lists of names
    labels    names next to dots and at the ends of curves
    writer    a chart as SVG, PDF, CSV and PNG; the only module that needs matplotlib
    lenses    one figure per reading of lenses.json
    picture   scorecard.png

A new figure is one file and one line here.
"""

from __future__ import annotations

from typing import Any

from elicit.report.figures import coverage, equal_cost, features, lenses, solves, tries, validity
from elicit.report.figures.accuracy import ACCURACY
from elicit.report.figures.budget import BUDGET
from elicit.report.figures.dose import DOSE, DOSE_KL, DOSE_LENGTH
from elicit.report.figures.figure import Figure, Inputs
from elicit.report.figures.frontier import FRONTIER
from elicit.report.figures.grid import GRID
from elicit.report.figures.label_bits import LABEL_BITS
from elicit.report.figures.positions import POSITIONS
from elicit.report.figures.text_cost import TEXT_COST

FIGURES: tuple[Figure, ...] = (
    ACCURACY,
    coverage.COVERAGE,
    BUDGET,
    LABEL_BITS,
    FRONTIER,
    DOSE,
    DOSE_LENGTH,
    DOSE_KL,
    POSITIONS,
    equal_cost.EQUAL_COST,
    TEXT_COST,
    tries.TRIES,
    features.FEATURES,
    solves.SOLVES,
    GRID,
    validity.VALIDITY,
)

__all__ = ["FIGURES", "Figure", "tables"]


def tables(inputs: Inputs) -> dict[str, Any]:
    """What templates print next to figures, by the names that they use."""
    cost_columns, cost_lines = equal_cost.table(inputs)
    return {
        "searched": tries.table(tries.rows(inputs)), "dashboards": features.dashboards(inputs),
        "cost_columns": cost_columns, "cost_lines": cost_lines, "lenses": lenses.views(inputs.readings, inputs.rows),
    }  # fmt: skip
