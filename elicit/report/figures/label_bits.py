"""Elicitation fraction against the label bits that were read.

Question: how much outside information bought a gain? 300 bits and 100,000 are not the same claim.
"""

from __future__ import annotations

from elicit.report.figures.figure import Axis, Chart, Figure, Inputs, Label, Line, Mark
from elicit.report.figures.marks import SMALL, colours, cross
from elicit.report.figures.series import Rows, columns, grouped, head, interval
from elicit.results.comparison import FITTED

PAIRS = ("B1/C4", "B1/C1", "B0/C4", "B0/C1")
"""of rung and ceiling: the first measured one is the headline, as in `elicit.report.verdict`"""
TICKS = (0, 10, 100, 1_000, 10_000, 100_000, 1_000_000)


def rows(inputs: Inputs) -> Rows:
    """Headline fraction and bits read (fitting and selection) of every fitted policy; none if nobody read a bit."""
    out = []
    for row in inputs.rows:
        used = row.line.ledger
        fractions = ((pair, interval(row.line.get(f"ef/{pair}"))) for pair in PAIRS)
        pair, numbers = next(((pair, numbers) for pair, numbers in fractions if numbers), ("", None))
        if row.role not in FITTED or numbers is None or used.get("label_bits") is None:
            continue
        bits = int(used["label_bits"]) + int(used.get("select_bits") or 0)
        out.append(head(row) | {"bits": bits, "pair": pair} | columns(numbers))
    return out if any(row["bits"] for row in out) else []


def chart(rows: Rows, inputs: Inputs) -> Chart:
    """Fractions over bits on a log axis that begins at 0; a line joins three or more budgets of one method."""
    shades = colours(inputs.rows)
    marks: list[Mark] = []
    for budgets in grouped([row for row in rows if row["role"] == "method" and row["method"]], "method"):
        if len({row["bits"] for row in budgets}) >= 3:
            ordered = sorted(budgets, key=lambda row: row["bits"])
            marks.append(Line([row["bits"] for row in ordered], [row["point"] for row in ordered],
                              shades[ordered[0]["id"]], width=1))  # fmt: skip
    marks += [cross(row, "bits", shades[row["id"]], unit=1) for row in rows]
    right = max(30, *(3 * row["bits"] for row in rows))
    ticks = [tick for tick in TICKS if tick <= right]
    low, high = min(row["lo"] for row in rows), max(row["hi"] for row in rows)
    return Chart(
        SMALL, marks,
        Axis("Label bits read, fitting and selection (log scale)", (-2, right), "symlog", 10, ticks,
             [f"{tick:,}" for tick in ticks]),
        Axis("Elicitation fraction", (min(-0.06, low - 0.05), max(1.06, high + 0.05)), grid=True),
        [Label(r["bits"], r["point"], r["label"], shades[r["id"]]) for r in rows if r["role"] == "method"])  # fmt: skip


LABEL_BITS = Figure(
    "label_bits", "Elicitation fraction over label bits", "curves",
    "Elicitation fraction against label bits, spent on fitting and on selection. Methods at different places make "
    "different claims; three budgets of one method are joined.", rows, chart)  # fmt: skip
