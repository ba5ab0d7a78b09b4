"""The scorecard in the terminal: one row a policy, base rungs, ceilings, then methods with their controls.

A rich table where a person looks, plain aligned lines where a file or a pipe does. A terminal too narrow
for all columns gets them in two tables. Expected figures, where given, stand beside the obtained ones.
Recomputes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from elicit.report.numbers import Shown, bounds, plain, show
from elicit.report.rows import Column, Row, load, reasons, rows, used_columns
from elicit.report.text import one_line
from elicit.report.verdict import MARGIN, headline_ef, verdicts, word

WIDE = 150
"""columns of a terminal that holds the whole table"""
STYLES = {"elicits": "green", "elicits, at a price": "green", "harms": "red", "withheld": "red", "gains": "yellow"}
Expected = Mapping[str, Any]


def scorecard(
    comparison: dict[str, Any] | Path, expected: Expected | None = None, console: Console | None = None
) -> None:
    """Print the scorecard.

    expected: policy name -> {"acc": x or [lo, hi], "ef": x or [lo, hi]}, shares and fractions; a bare x is read as
    x +- five points. A row agrees where the obtained interval meets the expected one.
    """
    inert, console = load(comparison), console or Console()
    table = rows(inert)
    columns = used_columns(table)
    console.print(Text(heading(inert), style="bold"), soft_wrap=True)
    if console.is_terminal:
        _tables(console, table, columns, expected)
    else:
        for line in lines(table, columns, expected):
            console.print(Text(line), soft_wrap=True)
    for sentence in footnotes(inert, table, columns):
        console.print(Text(sentence, style="dim"), soft_wrap=True)
    for verdict in verdicts(inert):
        console.print(Text.assemble((f"{verdict.answer}: ", "bold"), verdict.sentence), soft_wrap=True)


def heading(comparison: dict[str, Any]) -> str:
    """What was compared, on one line."""
    settings, checkpoint = comparison.get("settings") or {}, comparison.get("checkpoint") or {}
    parts = (
        one_line(comparison.get("group") or "comparison"),
        f"task {one_line(comparison.get('task') or '?')}",
        f"checkpoint {one_line(checkpoint.get('name') or checkpoint.get('id') or '?')}",
        f"{settings.get('n_items', '?')} items \u00d7 {settings.get('n', '?')} samples",
        f"regime {settings.get('regime', '?')}",
        "percent and points, 95 % intervals",
    )
    return " \u00b7 ".join(parts)


def footnotes(comparison: dict[str, Any], table: list[Row], columns: list[Column]) -> list[str]:
    """What must be known to read the table: seeds, base model, frozen when, refusals in full."""
    notes = []
    if any(row.seeds == 1 for row in table if row.role not in ("base", "prompt", "ceiling")):
        notes.append("1 seed: interval over items only.")
    if not (comparison.get("checkpoint") or {}).get("base_model", True):
        notes.append("not a base model: no latent claim.")
    if comparison.get("frozen") == "after":
        notes.append("Settings were frozen after the first test sample: everything here is exploratory.")
    notes += [_draws(row) for row in table if row.role == "placebo" and row.seeds > 1]
    return notes + [f"refused: {reason}" for reason in reasons(table, columns)]


def _draws(row: Row) -> str:
    """The draws of a placebo, from the weakest: a mean alone would hide a lottery."""
    found = sorted(member["acc"] for member in row.policy.get("members") or [] if member.get("acc") is not None)
    return f"{row.name}: {row.seeds} draws, accuracy {', '.join(f'{100 * acc:.1f}' for acc in found)}."


def pair_lines(comparison: dict[str, Any]) -> list[str]:
    """The paired differences of every two methods, points, for the terminal; empty where there are none."""
    pairs = comparison.get("pairs") or []
    if not pairs:
        return []
    told = [
        f"  {one_line(a, 40)} \u2212 {one_line(b, 40)}" + ("" if alike else " (each at its own best prompt)")
        + f": {show(pair['difference'], 'points').line}"
        for pair in pairs
        for a, b, alike in [(*pair["names"], len(set(pair["prompts"])) == 1)]
    ]  # fmt: skip
    return ["Paired differences in accuracy, points, same items, not corrected for their number:", *told]


def _cells(row: Row, columns: list[Column]) -> list[Shown]:
    return [row.cell(column) for column in columns]


def _expected_cell(row: Row, expected: Expected | None) -> str:
    """'.97 as expected' or '.97 DIFFERS', for accuracy and EF; empty where nothing is expected."""
    wanted = (expected or {}).get(row.policy["name"])
    if wanted is None:
        return ""
    wanted = wanted if isinstance(wanted, Mapping) else {"acc": wanted}
    obtained = {"acc": row.policy["acc"], "ef": headline_ef(row.policy)[1]}
    parts = []
    for key in ("acc", "ef"):
        if (target := wanted.get(key)) is None:
            continue
        lo, hi = target if isinstance(target, list | tuple) else (target - MARGIN, target + MARGIN)
        numbers = bounds(obtained[key])
        agrees = "no figure" if numbers is None else "ok" if numbers[1] <= hi and lo <= numbers[2] else "DIFFERS"
        shown = f"{lo:.2f}\u2013{hi:.2f}" if isinstance(target, list | tuple) else f"{target:.2f}"
        parts.append(f"{key} {shown} {agrees}")
    return ", ".join(parts)


def _facts(row: Row) -> list[str]:
    cost = row.policy.get("cost") or {}
    return [plain(cost.get("tokens_per_answer")), row.data_class, row.sample_size, str(row.seeds), word(row)]


FACTS = ("Tokens", "Class", "Items \u00d7 n", "Seeds", "Verdict")


def lines(table: list[Row], columns: list[Column], expected: Expected | None = None) -> list[str]:
    """The table as aligned plain text: a header line, a rule, one line a policy."""
    grid = [["Policy", "Role", *(c.title for c in columns), *FACTS, *(["Expected"] if expected else [])]]
    for row in table:
        line = ["  " * row.depth + row.label, row.badge, *(cell.line for cell in _cells(row, columns)), *_facts(row)]
        grid.append(line + ([_expected_cell(row, expected)] if expected else []))
    widths = [max(len(line[i]) for line in grid) for i in range(len(grid[0]))]
    out = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in grid]
    return [out[0], "-" * min(len(out[0]), 200), *out[1:]]


def _tables(console: Console, table: list[Row], columns: list[Column], expected: Expected | None) -> None:
    if console.width >= WIDE:
        console.print(_table(table, columns, FACTS, expected))
        return
    first = [c for c in columns if not c.key.startswith("ef_")]
    console.print(_table(table, first, FACTS[-1:], expected))
    console.print(_table(table, [c for c in columns if c.key.startswith("ef_")], FACTS[:-1], None))


def _table(table: list[Row], columns: list[Column], facts: Sequence[str], expected: Expected | None) -> Table:
    """A rich table of measured columns, then the facts asked for."""
    out = Table(box=None, header_style="bold", padding=(0, 1), collapse_padding=True)
    out.add_column("Policy", no_wrap=True, overflow="ellipsis", min_width=14, max_width=30)
    for column in columns:
        out.add_column(column.title, justify="right")
    for title in facts:
        out.add_column(title, justify="left" if title in ("Class", "Verdict") else "right")
    if expected:
        out.add_column("Expected")
    group = None
    for row in table:
        if row.group != group:
            group = row.group
            out.add_row(Text(group, style="dim italic"))
        out.add_row(*_rich_cells(row, columns, facts, expected))
    return out


def _rich_cells(row: Row, columns: list[Column], facts: Sequence[str], expected: Expected | None) -> list[Text]:
    label = "  " * row.depth + row.label + (f" ({row.badge})" if row.badge in ("B0", "B1") else "")
    cells = [Text(label, style="" if row.depth == 0 else "dim")]
    for shown in _cells(row, columns):
        if shown.point:
            cells.append(Text.assemble(shown.point, "\n", (shown.interval, "dim")))
        else:
            cells.append(Text(shown.line, style="dim italic"))
    told = [text for title, text in zip(FACTS, _facts(row), strict=True) if title in facts]
    cells += [Text(text, style=STYLES.get(text, "")) for text in told]
    return cells + ([Text(_expected_cell(row, expected))] if expected else [])
