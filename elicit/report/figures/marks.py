"""How a policy is drawn, the same in every figure: colour by method, shape by role.

Placebos are hollow and rivals are diamonds, so that a role never rests on colour alone. Knows no matplotlib.
Palette: Okabe & Ito, "Color universal design" (2008), the yellow left out and two tones darkened for white paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from elicit.report.figures.figure import Axis, Point, Shape
from elicit.report.figures.series import Rows
from elicit.report.rows import words_of

if TYPE_CHECKING:
    from elicit.report.rows import TableRow

INK, MUTED, RULE, PAPER, BAND = "#1c1b19", "#6b6862", "#dcd8d0", "#ffffff", "#efece6"
PALETTE = ("#0072b2", "#c2500a", "#00805d", "#a8558a", "#3a8fc4", "#8a6d00", "#7a4fbf")
SMALL, WIDE = (5.1, 3.5), 8.6
"""inches: a figure that shares a line with another one; the width of one that does not"""
RUNGS = ("B0", "B1")


def colours(rows: list[TableRow]) -> dict[str, str]:
    """A colour for every policy id: base rungs and ceilings ink, methods the palette in order, controls as their
    method."""
    out, method, count = {}, INK, 0
    for row in rows:
        if row.role == "method":
            method = tone(count)
            count += 1
        out[row.line.id] = method if row.role in ("method", "placebo", "rival") else INK
    return out


def tone(number: int) -> str:
    """The palette, again and again."""
    return PALETTE[number % len(PALETTE)]


def shape(role: str) -> Shape:
    """The marker of a role."""
    return "hollow" if role == "placebo" else "diamond" if role == "rival" else "dot"


def cross(row: dict[str, Any], column: str, colour: str, unit: float = 100) -> Point:
    """A policy in a plane: a column along x, its value upright, each with the interval that it has.

    unit: what a value of 1 is on the y axis.
    """
    across = (row[f"{column}_lo"], row[f"{column}_hi"]) if f"{column}_lo" in row else None
    return Point(row[column], unit * row["point"], colour, across, (unit * row["lo"], unit * row["hi"]),
                 shape(row["role"]))  # fmt: skip


def name(row: dict[str, Any]) -> str:
    """A policy's name as figures print it."""
    label, badge = row["label"], row["badge"]
    text = label if len(label) <= 34 else label[:33] + "\u2026"
    return text + (f" ({words_of(badge, row['prompt'])})" if badge in RUNGS else "")


def names(rows: Rows) -> list[str]:
    """The names of the policies of some rows."""
    return [name(row) for row in rows]


def listed(names: Sequence[str], depths: Sequence[int] | None = None) -> Axis:
    """The y axis of a list: one line per name, the first on top.

    depths: of policies, whose axis has no line; the names of placebos and rivals are muted.
    """
    tones = [MUTED if depth else INK for depth in depths or ()]
    return Axis(limits=(len(names) - 0.5, -0.5), ticks=range(len(names)), names=names, tones=tones, tick_marks=False,
                line=depths is None)  # fmt: skip
