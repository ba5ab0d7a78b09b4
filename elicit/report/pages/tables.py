"""The tables next to the scorecard: split of a gain, further ceilings, distance from the base, tests, other figures.

Each but that of the tests lists the columns that the comparison puts into it; a column that no row fills is left out.
Below the split of a gain, a column that only refusals fill is a sentence. Computes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from elicit.report.numbers import Shown, p_value, share
from elicit.report.rows import FITTED, TableRow, gathered, used_columns
from elicit.report.verdict import headline_ef
from elicit.results import Column, Comparison


@dataclass(frozen=True)
class Table:
    """One of the tables."""

    columns: list[Column]
    lines: list[tuple[TableRow, list[Shown], str]]
    """row, its cells, and what they rest on: the rung that the remainder is against, or items x samples"""
    missing: str = ""
    """why there is no line; empty if there are lines"""
    unmeasured: tuple[str, ...] = ()
    """columns left out because no row has a number there, with the reasons"""


def split_table(comparison: Comparison, table: Sequence[TableRow]) -> Table:
    """The split of every gain that was measured at B0's prompt."""
    columns = comparison.table("split")
    known = _measured(table, columns)
    filled = [column for column in columns if any(row.measured(column).point for row in known)]
    reasons: dict[str, list[str]] = {}
    for column in columns:
        if column not in filled and (why := sorted({row.measured(column).refused for row in known} - {""})):
            reasons.setdefault("; ".join(why), []).append(column.title)
    unmeasured = tuple(f"{', '.join(titles)}: {reason}" for reason, titles in reasons.items())
    return replace(
        _table(filled, known, lambda row: str(row.line.notes.get("split/against") or "?")), unmeasured=unmeasured
    )


def scorecard_columns(comparison: Comparison, table: Sequence[TableRow]) -> list[Column]:
    """The columns of the scorecard. Of the elicitation fractions, which nearly always agree, the one that counts.

    That is the pair of the most methods' `headline_ef`; `further_table` has all of them.
    """
    pairs = Counter(headline_ef(row.line)[0] for row in table if row.role == "method")
    kept = f"ef/{max(pairs, key=pairs.__getitem__)}" if pairs else ""
    return [c for c in used_columns(comparison, table) if not c.key.startswith("ef/") or c.key == kept]


def further_table(comparison: Comparison, table: Sequence[TableRow]) -> Table:
    """Elicitation fractions against every rung and ceiling that was measured, C2 and C3 if they were asked for."""
    fractions = [column for column in used_columns(comparison, table) if column.key.startswith("ef/")]
    columns = [*fractions, *comparison.table("further")]
    return _table(columns, [row for row in table if any(row.measured(c) != Shown() for c in columns)])


def distance_table(comparison: Comparison, table: Sequence[TableRow]) -> Table:
    """KL and likelihood of every annotated policy; without any, the reason given for a method."""
    columns = comparison.table("distance")
    known = _measured(table, columns)
    cells = [row.measured(column) for row in table if row.role == "method" for column in columns]
    missing = next((cell.refused for cell in cells if cell.refused), "") if not known else ""
    return _table(columns, known, _annotated_size, missing)


def figures_table(comparison: Comparison, table: Sequence[TableRow]) -> Table:
    """Every other reported number of the fitted policies, and of the base's rungs and ceilings what these have.

    A reference is a line if a number of it was measured (Cover@tau, coverage at large k, the covariance of reward and
    log-probability): what a method adds can be read only next to it.
    """
    columns = comparison.table("figures")
    measured = {row.line.id for row in _measured(table, columns)}
    return _table(columns, [row for row in table if row.role in FITTED or row.line.id in measured])


P_COLUMNS = (
    Column("p/gain", "Gain, p", "ratio", "sign-flip permutation of the paired gain over clusters"),
    Column("p/gain_holm", "after Holm", "ratio", "corrected over the primary family"),
    Column("p/ctrl", "Control-adjusted, p", "ratio", "one-sided, against the base and every placebo: the largest"),
    Column("p/ctrl_holm", "after Holm", "ratio", "corrected over the primary family"),
    Column("p/detectable", "Detectable, points", "points", "smallest gain that this number of items would have shown"),
)


def p_value_table(table: Sequence[TableRow]) -> Table:
    """The p values of the primary family; one that was refused is given with its reason."""

    def cell(row: TableRow, column: Column) -> Shown:
        value = row.line.get(column.key)
        if value is None or value.refused is not None:
            return Shown(refused=value.refused or "") if value is not None else Shown()
        return Shown(share(value.number) if column.unit == "points" else p_value(value.number))

    tested = [row for row in table if row.line.under("p")]
    lines = [(row, [cell(row, column) for column in P_COLUMNS], row.sample_size) for row in tested]
    return Table(list(P_COLUMNS), lines)


def refused_cells(table: Table) -> list[str]:
    """Each distinct reason of a refusal in a table, in full, with the cells that it concerns."""
    return gathered(
        (row.name, column.title, cell)
        for row, cells, _ in table.lines
        for column, cell in zip(table.columns, cells, strict=True)
    )


def crossings(table: Sequence[TableRow]) -> list[str]:
    """By policy, the tau at which its Cover@tau crosses the base's, in words."""
    noted = ((row.name, row.line.notes.get("cover/crossing")) for row in table)
    return [f"{name} {words}" for name, words in noted if words]


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
