"""The scorecard as one picture, for a README or a slide: accuracy drawn, and in columns what to believe of it.

Names, dots with intervals, and the control-adjusted gain, the least favourable difference at equal tokens, the ledger
class and the verdict, each as the scorecard prints it. No figure of a page: scorecard.png, without a CSV.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from elicit.report.figures import accuracy
from elicit.report.figures.figure import Chart, Inputs, Text
from elicit.report.figures.marks import INK, MUTED
from elicit.report.numbers import Shown, show
from elicit.report.rows import ROUTINE
from elicit.report.verdict import harder_to_beat, verdict_label

if TYPE_CHECKING:
    from elicit.report.rows import TableRow

COLUMNS = {"Control-adjusted": 1.07, "At equal tokens": 1.46, "Class": 1.85, "Verdict": 1.96}
"""left edges, in widths of the plot"""


def picture(inputs: Inputs, title: str) -> Chart | None:
    """The chart of accuracies with its columns; None if no policy has an accuracy. `title` names what was compared."""
    found = accuracy.rows(inputs)
    if not found:
        return None
    plain = accuracy.chart(found, inputs)
    by_id = {row.line.id: row for row in reversed(inputs.rows)}
    marks = [*plain.marks, Text(-0.42, 1, f"{title} \u00b7 {_seeds(inputs.rows)}", MUTED, (0, 22), size=9,
                                upright="baseline", fractions="xy")]  # fmt: skip
    marks += [Text(x, -1.05, heading, MUTED, fractions="x") for heading, x in COLUMNS.items()]
    for y, drawn in enumerate(found):
        row = by_id[drawn["id"]]
        marks += [Text(x, y, text, MUTED if row.depth else INK, fractions="x")
                  for x, text in zip(COLUMNS.values(), _cells(row), strict=True)]  # fmt: skip
    x_axis = replace(plain.x, label="Strict accuracy, percent (hollow: placebo, diamond: rival)")
    return replace(plain, size=(4.6, 0.9 + 0.25 * len(found)), marks=marks, x=x_axis)


def _cells(row: TableRow) -> tuple[str, ...]:
    adjusted = show(row.line.get("ctrl/gain"), "points") if row.role == "method" else Shown()
    tokens = Shown() if row.role in ROUTINE else show(harder_to_beat(row.line), "points")
    shown = ("refused" if cell.refused else cell.line for cell in (adjusted, tokens))  # the columns are narrow
    return *shown, row.data_class, verdict_label(row)


def _seeds(rows: list[TableRow]) -> str:
    """How many seeds the methods have: "1 seed", "1 to 3 seeds"."""
    counts = sorted({row.line.seeds for row in rows if row.role == "method"}) or [1]
    span = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    return f"{span} seed" + ("" if counts[-1] == 1 else "s")
