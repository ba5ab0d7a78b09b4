"""Several comparisons in one table of the terminal: one line per policy, one block of columns per comparison.

Printed after a sweep over tasks or base models. Every figure is the one of its own comparison, with its interval;
nothing is averaged over comparisons. Recomputes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from elicit.report.numbers import DASH
from elicit.report.rows import Source, TableRow, load, rows
from elicit.report.text import one_line

SHOWN = ("acc/strict", "ctrl/gain", "matched/hardest", "matched_support/hardest")
"""what a reader needs first: accuracy, control-adjusted gain, differences to the base's samples at equal tokens, in
the regime of the comparison and at temperature 1"""
Key = tuple[str, str, str]
"""the same policy in two comparisons: role, name, prompt"""


def overview(comparisons: Sequence[Source], console: Console) -> None:
    """Print the table; nothing for a single comparison."""
    if len(comparisons) < 2:
        return
    console.print(Text("All comparisons: percent and points, 95 % intervals", style="bold"))
    for line in lines(comparisons):
        console.print(Text(line), soft_wrap=True)


def lines(comparisons: Sequence[Source]) -> list[str]:
    """The table as aligned lines; a policy that a comparison lacks has dashes there."""
    loaded = [load(source) for source in comparisons]
    tables = [{_key(row): row for row in reversed(rows(comparison))} for comparison in loaded]
    policies = {_key(row): row for comparison in reversed(loaded) for row in reversed(rows(comparison))}
    order = dict.fromkeys(_key(row) for comparison in loaded for row in rows(comparison))
    blocks = [
        (table, column, one_line(comparison.group or "comparison", 48))
        for comparison, table in zip(loaded, tables, strict=True)
        for column in comparison.columns
        if column.key in SHOWN
    ]
    grid = [["", *(f"{group}: {column.title}" for _, column, group in blocks)]]
    for key in order:
        cells = [table[key].cell(column).line if key in table else DASH for table, column, _ in blocks]
        grid.append(["  " * policies[key].depth + policies[key].label, *cells])
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in grid]


def _key(row: TableRow) -> Key:
    return row.role, row.name, row.line.prompt
