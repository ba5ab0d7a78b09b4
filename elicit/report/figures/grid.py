"""Stacked policies as a grid: what is stacked (columns) on what (rows), with the base and every part alone.

Question: does a decoding strategy still gain on a trained policy, and is the gain of the pair the sum of its parts?
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from elicit.report.figures.figure import Axis, Chart, Figure, Heat, Inputs, Mark, Rule, Text
from elicit.report.figures.marks import INK, MUTED, PALETTE, PAPER
from elicit.report.figures.series import Rows, columns, head, interval

if TYPE_CHECKING:
    from elicit.report.rows import TableRow

BASE, ALONE = "base", "sampling"
"""the first row, the first column: nothing below, nothing on top"""


def rows(inputs: Inputs) -> Rows:
    """One row per cell that was measured: accuracy, and of a pair its interaction. None without a stacked policy."""
    bare = {row.name: row for row in reversed(inputs.rows) if row.role == "method" and not row.line.at_own_prompt}
    pairs = {(below, row.name.removeprefix(f"{below}+")): row
             for row in bare.values() if (below := "+".join(row.line.notes.get("stack/on", ())))}  # fmt: skip
    if not pairs:
        return []
    base = next((row for row in inputs.rows if row.badge == "B0"), None)
    lines = [BASE, *dict.fromkeys(below for below, _ in reversed(pairs))]
    tops = [ALONE, *dict.fromkeys(top for _, top in reversed(pairs))]
    out: Rows = []
    for below in lines:
        for top in tops:
            row = pairs.get((below, top)) if (below, top) != (BASE, ALONE) else base
            row = row or bare.get(top if below == BASE else below if top == ALONE else "")
            if row is not None and (accuracy := interval(row.line.get("acc/strict"))) is not None:
                out.append({"below": below, "top": top} | head(row) | columns(accuracy) | _interaction(row))
    return out


def _interaction(row: TableRow) -> dict[str, Any]:
    measured = interval(row.line.get("stack/interaction"))
    return columns(measured, ("interaction", "interaction_lo", "interaction_hi"))


def chart(rows: Rows, inputs: Inputs) -> Chart:
    """Accuracy as tone and number, with its interval; below it the interaction, dark if its interval is off 0."""
    lines, tops = (list(dict.fromkeys(row[key] for row in rows)) for key in ("below", "top"))
    cells = {(row["below"], row["top"]): row for row in rows}
    tones = [[0.08 + 0.6 * cells[below, top]["point"] if (below, top) in cells else 0 for top in tops]
             for below in lines]  # fmt: skip
    marks: list[Mark] = [Heat(tones, PALETTE[0])]
    marks += [Rule(PAPER, y=y - 0.5, width=1.5) for y in range(1, len(lines))]
    marks += [Rule(PAPER, x=x - 0.5, width=1.5) for x in range(1, len(tops))]
    for (below, top), row in cells.items():
        x, y = tops.index(top), lines.index(below)
        point, lo, hi = (100 * row[key] for key in ("point", "lo", "hi"))
        marks.append(Text(x, y, f"{point:.1f}", INK, (0, 9), "center", size=10))
        marks.append(Text(x, y, f"[{lo:.0f}, {hi:.0f}]", INK, (0, -2), "center", size=7))
        if row["interaction"] is not None:
            value, low, high = (100 * row[f"interaction{end}"] for end in ("", "_lo", "_hi"))
            text = f"{value:+.0f} [{low:+.0f}, {high:+.0f}]"
            marks.append(Text(x, y, text, INK if low > 0 or high < 0 else MUTED, (0, -12), "center", size=7))
    return Chart((1.4 + 1.25 * len(tops), 0.8 + 0.62 * len(lines)), marks,
                 Axis("Stacked on it", (-0.5, len(tops) - 0.5), ticks=range(len(tops)), names=tops, tick_marks=False,
                      line=False),
                 Axis("", (len(lines) - 0.5, -0.5), ticks=range(len(lines)), names=lines, tick_marks=False,
                      line=False))  # fmt: skip


GRID = Figure(
    "grid", "Stacked policies: accuracy and interaction", "solves/stacked",
    "What is stacked (columns) on what (rows). In each cell the strict accuracy in percent with its interval, below it "
    "the interaction in points: the gain of the pair minus the sum of the gains of its two parts alone. Two parts that "
    "reach the same ceiling have a negative one.", rows, chart)  # fmt: skip
