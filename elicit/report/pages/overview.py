"""Several comparisons of one command on one page of the terminal: a line a policy, a block of columns a comparison.

What a sweep over tasks or base models ends in. Every figure stands in its own comparison with its interval; nothing is
averaged over comparisons. Recomputes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from elicit.report.rows import COLUMNS, Row, load, rows
from elicit.report.text import one_line

SHOWN = ("acc", "ctrl", "matched", "matched_support")
"""what a reader needs first: accuracy, control-adjusted gain, differences to the base's samples at equal tokens, in
the regime of the comparison and at temperature 1"""


def overview(comparisons: Sequence[dict[str, Any]], console: Console) -> None:
    """Print the table; nothing for a single comparison."""
    if len(comparisons) < 2:
        return
    console.print(Text("All comparisons: percent and points, 95 % intervals", style="bold"))
    for line in lines(comparisons):
        console.print(Text(line), soft_wrap=True)


def lines(comparisons: Sequence[dict[str, Any]]) -> list[str]:
    """The table as aligned lines; a policy that a comparison has not is a dash there."""
    inert = [load(comparison) for comparison in comparisons]
    tables = [{_key(row): row for row in reversed(rows(each))} for each in inert]
    names = list(dict.fromkeys(key for each in inert for key in map(_key, rows(each))))
    heads = [one_line(each.get("group") or "comparison", 48) for each in inert]
    columns = [next(column for column in COLUMNS if column.key == key) for key in SHOWN]
    head = ["", *(f"{group}: {column.title}" for group in heads for column in columns)]
    body = [
        ["  " * depth + label, *(table[key].cell(column).line if key in table else "\u2013"
                                 for table in tables for column in columns)]
        for key in names
        for label, depth in [_label(key, tables)]
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in [head, *body]]  # fmt: skip


def _key(row: Row) -> tuple[str, str, str]:
    """The same policy in two comparisons: role, name, prompt."""
    return row.role, row.name, str(row.policy.get("prompt") or "")


def _label(key: tuple[str, str, str], tables: Sequence[dict[tuple[str, str, str], Row]]) -> tuple[str, int]:
    row = next(table[key] for table in tables if key in table)
    return row.label, row.depth
