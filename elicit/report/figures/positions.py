"""The best dose of a method at each write position that it tried.

Question: at which tokens does the same direction work best, and at what cost?
"""

from __future__ import annotations

from elicit.report.figures.dose import doses
from elicit.report.figures.figure import Axis, Chart, Figure, Inputs, Mark, Point, Text
from elicit.report.figures.marks import MUTED, colours, listed
from elicit.report.figures.series import Rows, grouped


def rows(inputs: Inputs) -> Rows:
    """One row per policy and write position."""
    return best(doses(inputs, ("method",)))


def best(doses: Rows) -> Rows:
    """The dose with the highest dev accuracy at each position, ties to the smaller KL; nothing if there is only one."""
    out = []
    for rows in grouped([row for row in doses if row["write"] and row["strength"] != 0], "id"):
        tried = grouped(rows, "write")
        if len(tried) > 1:
            out += [max(own, key=lambda row: (row["dev_accuracy"], -(row["kl"] or 0))) for own in tried]
    return out


def chart(rows: Rows, inputs: Inputs) -> Chart:
    """A dot with its Wilson interval per policy and position, its dose next to it."""
    shades = colours(inputs.rows)
    marks: list[Mark] = []
    for y, row in enumerate(rows):
        across = None if row["lo"] is None else (100 * row["lo"], 100 * row["hi"])
        kl = "" if row["kl"] is None else f", KL {row['kl']:.2f}"
        tokens = "" if row["length"] is None else f", {row['length']:.0f} tokens"
        marks.append(Point(100 * row["dev_accuracy"], y, shades[row["id"]], across, weight=1.3, edge=1))
        marks.append(Text(1.02, y, f"r = {row['strength']:g}{kl}{tokens}", MUTED, fractions="x"))
    return Chart((5.1, 0.9 + 0.26 * len(rows)), marks,
                 Axis("Dev accuracy at the best dose of each position, percent", (-2, 102), grid=True),
                 listed([f"{row['label'][:28]}, {row['write']}" for row in rows]))  # fmt: skip


POSITIONS = Figure(
    "positions", "Write positions", "curves",
    "The chosen direction at each write position, at its best strength there; dev accuracy with Wilson intervals.",
    rows, chart)  # fmt: skip
