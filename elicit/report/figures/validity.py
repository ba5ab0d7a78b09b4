"""Right answers split by whether every step of their trace is valid.

Question: how much of an accuracy is earned by a valid trace?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elicit.report.figures.figure import Axis, Bar, Chart, Figure, Inputs, Mark, Text
from elicit.report.figures.marks import PALETTE, PAPER, WIDE, listed, names
from elicit.report.figures.series import Rows, head, interval
from elicit.report.numbers import Shown, figure

if TYPE_CHECKING:
    pass

COUNTS = ("valid_right", "valid_wrong", "invalid_right", "invalid_wrong")


def rows(inputs: Inputs) -> Rows:
    """Accuracy split into P(valid | right) x accuracy and the unearned rest, with the counts of samples."""
    out = []
    for row in inputs.rows:
        line, numbers = row.line, interval(row.line.get("acc/strict"))
        given_right = line.number("valid/valid_given_correct")
        if numbers is None or given_right is None:
            continue
        out.append(
            head(row)
            | {"earned": numbers[0] * given_right, "unearned": numbers[0] * (1 - given_right)}
            | {key: line.number(f"valid/{key}") for key in ("valid_given_correct", "correct_given_valid")}
            | {key: line.number(f"valid/n/{key}") for key in COUNTS}
        )
    return out


def _counted(hits: int, total: int) -> Shown:
    if not total:
        return Shown(refused="none to count")
    return Shown(figure(hits / total, "percent"), f"{hits:,} of {total:,}")


def chart(rows: Rows, inputs: Inputs) -> Chart:
    """Full bars: by a valid trace; hatched: by an invalid one."""
    marks: list[Mark] = []
    for y, row in enumerate(rows):
        earned, unearned = 100 * row["earned"], 100 * row["unearned"]
        marks += [Bar(y, 0, earned, PALETTE[0]), Bar(y, earned, unearned, PALETTE[1], hatched=True)]
    # the longest bar and the widest hatched part carry the words
    longest = max(rows, key=lambda row: row["earned"] + row["unearned"])
    marks.append(Text(100 * longest["earned"] / 2, rows.index(longest), "right, by a valid trace", PAPER,
                      align="center"))  # fmt: skip
    widest = max(rows, key=lambda row: row["unearned"])
    marks.append(Text(100 * (widest["earned"] + widest["unearned"]), rows.index(widest), "right, by an invalid trace",
                      PALETTE[1], (5, 0)))  # fmt: skip
    return Chart((WIDE, 0.7 + 0.25 * len(rows)), marks, Axis("Share of samples, percent", (0, 102), grid=True),
                 listed(names(rows), [row["depth"] for row in rows]))  # fmt: skip


VALIDITY = Figure(
    "validity", "Right answers by validity of their trace", "validity",
    "Right answers, by whether every step of their trace checks out. A right answer by an invalid trace is unearned.",
    rows, chart)  # fmt: skip
