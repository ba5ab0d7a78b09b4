"""Share of items that k samples solve at least once, over k.

Question: does the base reach a method if it may sample more, i.e. did it hold the answers all along?
"""

from __future__ import annotations

from elicit.report.figures.figure import Axis, Chart, Figure, Inputs, Label, Line
from elicit.report.figures.marks import SMALL, colours, name
from elicit.report.figures.series import Rows, curve, grouped

SHOWN = ("base", "prompt", "method")
MOST = 32
"""curves that are drawn; the CSV holds all"""


def rows(inputs: Inputs) -> Rows:
    """cov@k of base rungs and methods, one row per policy and k."""
    return [point for row in inputs.rows if row.role in SHOWN for point in curve(row, "cov")]


def chart(rows: Rows, inputs: Inputs) -> Chart:
    """Curves with 95 % bands over log k; fixed prompts are dashed."""
    shades, lines, ends = colours(inputs.rows), [], []
    for points in grouped(rows, "id")[:MOST]:
        first, shade = points[0], shades[points[0]["id"]]
        k = [point["k"] for point in points]
        y, lo, hi = ([100 * point[part] for point in points] for part in ("point", "lo", "hi"))
        lines.append(Line(k, y, shade, lo, hi, width=1.6, dots=2.8, dashed=first["role"] == "prompt"))
        ends.append(Label(k[-1], y[-1], name(first), shade))
    ticks = sorted({row["k"] for row in rows})
    x_axis = Axis("Samples k (log scale)", scale="log2", ticks=ticks, names=[f"{k:g}" for k in ticks])
    return Chart(SMALL, lines, x_axis, Axis("Items solved at least once, percent", (0, 102), grid=True), ends=ends)


COVERAGE = Figure(
    "coverage", "Coverage over samples", "curves",
    "Share of items solved at least once in k samples, with 95 % bands. A base that meets a method at large k held the "
    "answers all along.", rows, chart)  # fmt: skip
