"""Accuracy against the tokens that an answer costs.

Question: is a method better than the base's majority vote over as many tokens of its own?
"""

from __future__ import annotations

from collections.abc import Sequence

from elicit.report.figures.figure import Axis, Chart, Figure, Inputs, Label, Line, Mark
from elicit.report.figures.marks import INK, RUNGS, SMALL, colours, cross, name
from elicit.report.figures.series import Rows, columns, curve, head, interval


def rows(inputs: Inputs) -> Rows:
    """Accuracy and tokens per answer of every policy; for the base also its majority vote over k samples."""
    out: Rows = []
    for row in inputs.rows:
        cost, numbers = row.line.get("cost/tokens"), interval(row.line.get("acc/strict"))
        tokens = cost.number if cost else None
        if not tokens or numbers is None or row.role == "ceiling":
            continue
        out.append(head(row) | {"kind": "accuracy", "k": 1, "tokens": tokens} | columns(numbers))
        if row.badge == "B0":
            out += [head(row) | {"kind": "majority vote", "k": vote["k"], "tokens": tokens * vote["k"]}
                    | {part: vote[part] for part in ("point", "lo", "hi")} for vote in curve(row, "maj")]  # fmt: skip
    return out


def chart(rows: Rows, inputs: Inputs) -> Chart:
    """Policies as dots over log tokens; the line is the vote, which any method has to beat."""
    shades = colours(inputs.rows)
    dots, vote = ([row for row in rows if (row["kind"] == "accuracy") == alone] for alone in (True, False))
    marks: list[Mark] = [cross(row, "tokens", shades[row["id"]]) for row in dots]
    labels = [Label(row["tokens"], 100 * row["point"],
                    row["badge"] if row["badge"] in RUNGS else name(row), shades[row["id"]])
              for row in dots if row["role"] == "method" or row["badge"] in RUNGS]  # fmt: skip
    if vote:
        y, lo, hi = ([100 * row[part] for row in vote] for part in ("point", "lo", "hi"))
        marks.insert(0, Line([row["tokens"] for row in vote], y, INK, lo, hi, width=1.4))
        labels.append(Label(vote[-1]["tokens"], y[-1], "base, majority vote", INK))
    return Chart(SMALL, marks, _tokens([row["tokens"] for row in rows]),
                 Axis("Accuracy, percent", (0, 102), grid=True), labels)  # fmt: skip


def _tokens(tokens: Sequence[float]) -> Axis:
    """A log axis with at most 7 ticks at 1, 2 and 5 times powers of ten."""
    lo, hi = min(tokens) * 0.72, max(tokens) * 1.25
    ticks = [step for e in range(8) for step in (10**e, 2 * 10**e, 5 * 10**e) if lo <= step <= hi]
    while len(ticks) > 7:
        ticks = ticks[::2]
    names = [f"{tick:,g}" if tick < 1e6 else f"{tick:.0e}" for tick in ticks]
    return Axis("Tokens per answer (log scale)", (lo, hi), "log10", ticks=ticks, names=names)


BUDGET = Figure(
    "budget", "Accuracy over tokens per answer", "curves",
    "Accuracy against all tokens spent on an answer. The line is the base's majority vote over more samples of its "
    "own.", rows, chart)  # fmt: skip
