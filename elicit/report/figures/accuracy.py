"""Accuracy of every policy with its interval.

Question: which policies leave the interval of the base, and how far is each from the ceilings?
"""

from __future__ import annotations

from elicit.report.figures.figure import Axis, Chart, Figure, Inputs, Mark, Point, Rule, Span, Text
from elicit.report.figures.marks import BAND, MUTED, WIDE, colours, listed, names, shape
from elicit.report.figures.series import Rows, columns, head, interval


def rows(inputs: Inputs) -> Rows:
    """Strict accuracy, shares; a ceiling that has a value of its own is a dashed line instead."""
    return [head(row) | columns(numbers) for row in inputs.rows
            if (numbers := interval(row.line.get("acc/strict")))
            and not (row.role == "ceiling" and row.line.name in inputs.ceilings)]  # fmt: skip


def chart(rows: Rows, inputs: Inputs) -> Chart:
    """One line per policy; the base is a band over the whole height, ceilings are dashed lines."""
    marks: list[Mark] = [Span(100 * row["lo"], 100 * row["hi"], BAND) for row in rows if row["badge"] == "B0"]
    # ceilings less than 4 points apart share one label
    near: dict[float, list[str]] = {}
    for name, value in inputs.ceilings.items():
        if numbers := interval(value):
            at = 100 * numbers[0]
            marks.append(Rule(MUTED, x=at, width=0.8, dashed=True))
            near.setdefault(next((x for x in near if abs(x - at) < 4), at), []).append(name)
    marks += [Text(x, 1, ", ".join(ceilings), MUTED, (0, 3), "center", "baseline", "y")
              for x, ceilings in near.items()]  # fmt: skip
    shades = colours(inputs.rows)
    marks += [Point(100 * row["point"], y, shades[row["id"]], across=(100 * row["lo"], 100 * row["hi"]), weight=1.3,
                    shape=shape(row["role"]), size=4.2 if row["role"] == "rival" else 5)
              for y, row in enumerate(rows)]  # fmt: skip
    return Chart((WIDE, 0.8 + 0.23 * len(rows)), marks, Axis("Strict accuracy, percent", (-2, 102), grid=True),
                 listed(names(rows), [row["depth"] for row in rows]))  # fmt: skip


ACCURACY = Figure(
    "accuracy", "Strict accuracy", "overview",
    "Strict accuracy with 95 % intervals. The band is the base's interval, dashed lines are ceilings; hollow: "
    "placebo, diamond: rival.", rows, chart)  # fmt: skip
