"""The tables next to the scorecard: split of a gain, further ceilings, distance from the base, other figures.

Each lists the columns that the comparison puts into it; a column that no row fills is left out. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from elicit.report.numbers import Shown
from elicit.report.rows import FITTED, TableRow
from elicit.results import Column, Comparison


@dataclass(frozen=True)
class Table:
    """One of the tables."""

    columns: list[Column]
    lines: list[tuple[TableRow, list[Shown], str]]
    """row, its cells, and what they rest on: the rung that the remainder is against, or items x samples"""
    missing: str = ""
    """why there is no line; empty if there are lines"""


def split_table(comparison: Comparison, table: Sequence[TableRow]) -> Table:
    """The split of every gain that was measured at the bare prompt."""
    columns = comparison.table("split")
    return _table(columns, _measured(table, columns), lambda row: str(row.line.notes.get("split/against") or "?"))


def further_table(comparison: Comparison, table: Sequence[TableRow]) -> Table:
    """Elicitation fractions of methods against C2 and C3, if one of them was asked for."""
    columns = comparison.table("further")
    return _table(columns, [row for row in table if any(row.measured(c) != Shown() for c in columns)])


def distance_table(comparison: Comparison, table: Sequence[TableRow]) -> Table:
    """KL and likelihood of every annotated policy; without any, the reason given for a method."""
    columns = comparison.table("distance")
    known = _measured(table, columns)
    cells = [row.measured(column) for row in table if row.role == "method" for column in columns]
    missing = next((cell.refused for cell in cells if cell.refused), "") if not known else ""
    return _table(columns, known, _annotated_size, missing)


def figures_table(comparison: Comparison, table: Sequence[TableRow]) -> Table:
    """Every other reported number of the fitted policies."""
    return _table(comparison.table("figures"), [row for row in table if row.role in FITTED])


def _measured(table: Sequence[TableRow], columns: Sequence[Column]) -> list[TableRow]:
    """The rows that have at least one number; a row of refusals only is left out."""
    return [row for row in table if any(row.measured(column).point for column in columns)]


def _annotated_size(row: TableRow) -> str:
    """Items x samples of the annotated subset."""
    items, samples = (row.line.notes.get(f"likelihood/{key}", "?") for key in ("n_items", "n"))
    return f"{items}\u00a0\u00d7\u00a0{samples}"


def _table(
    columns: Sequence[Column],
    known: Sequence[TableRow],
    rest: Callable[[TableRow], str] = lambda row: row.sample_size,
    missing: str = "",
) -> Table:
    used = [column for column in columns if any(row.measured(column) != Shown() for row in known)]
    lines = [(row, [row.measured(column) for column in used], rest(row)) for row in known]
    return Table(used, lines if used else [], missing)
