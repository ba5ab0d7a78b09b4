"""The scorecard in the terminal: one row per policy, base rungs, ceilings, then methods with their controls.

A rich table in a terminal, plain aligned lines in a file or a pipe. A terminal too narrow for all columns gets two
tables. Expected figures, if given, are printed next to the measured ones. Recomputes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from elicit.report.numbers import plain, show
from elicit.report.pages.tables import scorecard_columns
from elicit.report.rows import ROUTINE, Source, TableRow, load, reasons, rows, used_columns
from elicit.report.text import one_line
from elicit.report.verdict import MARGIN, headline_ef, verdict_label, verdicts
from elicit.results import Column, Comparison
from elicit.results.comparison import NO_CEILING

WIDE = 150
"""columns of a terminal that holds the whole table"""
STYLES = {"elicits": "green", "elicits, at a price": "green", "harms": "red", "withheld": "red", "gains": "yellow"}
Expected = Mapping[str, Any]


def scorecard(source: Source, expected: Expected | None = None, console: Console | None = None) -> None:
    """Print the scorecard. Raises DataError if the comparison can't be read.

    expected: policy name -> {"acc": x or [lo, hi], "ef": x or [lo, hi]}, shares and fractions; a bare x is read as
    x +- five points. A row agrees if the measured interval meets the expected one.
    """
    comparison, console = load(source), console or Console()
    table = rows(comparison)
    columns = scorecard_columns(comparison, table)
    console.print(Text(heading(comparison), style="bold"), soft_wrap=True)
    if console.is_terminal:
        _tables(console, table, columns, expected)
    else:
        for line in lines(table, columns, expected):
            console.print(Text(line), soft_wrap=True)
    for sentence in footnotes(comparison, table, used_columns(comparison, table)):
        console.print(Text(sentence, style="dim"), soft_wrap=True)
    for verdict in verdicts(comparison):
        console.print(Text.assemble((f"{verdict.answer}: ", "bold"), verdict.sentence), soft_wrap=True)


def heading(comparison: Comparison) -> str:
    """What was compared, on one line."""
    setup, checkpoint = comparison.setup, comparison.checkpoint
    parts = (
        one_line(comparison.group or "comparison"),
        f"task {one_line(comparison.task or '?')}",
        f"checkpoint {one_line(checkpoint.get('name') or checkpoint.get('id') or '?')}",
        f"{setup.n_items or '?'} items \u00d7 {setup.n or '?'} samples",
        f"regime {setup.regime}",
        "percent and points, 95 % intervals",
    )
    return " \u00b7 ".join(parts)


def footnotes(comparison: Comparison, table: Sequence[TableRow], columns: Sequence[Column]) -> list[str]:
    """What a reader of the table must know: seeds, base model, frozen when, refusals in full, draws of placebos."""
    notes = []
    if any(row.seeds == 1 for row in table if row.role not in ROUTINE):
        notes.append("1 seed: interval over items only.")
    if not comparison.checkpoint.get("base_model", True):
        notes.append("not a base model: no latent claim.")
    if comparison.frozen == "after":
        notes.append("Settings were frozen after the first test sample: everything here is exploratory.")
    notes += [f"{warning}." for warning in comparison.warnings if warning.startswith(NO_CEILING)]
    for row in table:
        if row.role == "placebo" and row.seeds > 1:  # a mean alone would hide a lottery over draws
            draws = ", ".join(f"{100 * acc:.1f}" for acc in sorted(member.acc for member in row.line.members))
            notes.append(f"{row.name}: {row.seeds} draws, accuracy {draws}.")
    return notes + [f"refused: {reason}" for reason in reasons(table, columns)]


def pair_lines(source: Source) -> list[str]:
    """The paired differences of every two methods, points, for the terminal; empty if there are none."""
    out = []
    for pair in load(source).pairs:
        first, second = (one_line(name, 40) for name in pair.names)
        own = "" if len(set(pair.prompts)) == 1 else " (each at its own best prompt)"
        out.append(f"  {first} \u2212 {second}{own}: {show(pair.difference, 'points').line}")
    head = "Paired differences in accuracy, points, same items, not corrected for their number:"
    return [head, *out] if out else []


def _expected_cell(row: TableRow, expected: Expected | None) -> str:
    """ ".97 ok" or ".97 DIFFERS", for accuracy and EF; empty if nothing is expected."""
    wanted = (expected or {}).get(row.line.name)
    if wanted is None:
        return ""
    wanted = wanted if isinstance(wanted, Mapping) else {"acc": wanted}
    parts = []
    for key, measured in (("acc", row.line.get("acc/strict")), ("ef", headline_ef(row.line)[1])):
        if (target := wanted.get(key)) is None:
            continue
        lo, hi = target if isinstance(target, list | tuple) else (target - MARGIN, target + MARGIN)
        bounds = measured.bounds if measured is not None else None
        agrees = "no figure" if bounds is None else "ok" if bounds[1] <= hi and lo <= bounds[2] else "DIFFERS"
        shown = f"{lo:.2f}\u2013{hi:.2f}" if isinstance(target, list | tuple) else f"{target:.2f}"
        parts.append(f"{key} {shown} {agrees}")
    return ", ".join(parts)


def _facts(row: TableRow) -> list[str]:
    tokens = plain(row.line.number("cost/tokens"))
    return [tokens, row.class_and_choice, row.sample_size, str(row.seeds), verdict_label(row)]


FACTS = ("Tokens", "Class", "Items \u00d7 n", "Seeds", "Verdict")


def lines(table: Sequence[TableRow], columns: Sequence[Column], expected: Expected | None = None) -> list[str]:
    """The table as aligned plain text: a header line, a rule, one line per policy."""
    grid = [["Policy", "Role", *(c.title for c in columns), *FACTS, *(["Expected"] if expected else [])]]
    for row in table:
        cells = [row.cell(column).line for column in columns]
        line = ["  " * row.depth + row.label, row.badge, *cells, *_facts(row)]
        grid.append(line + ([_expected_cell(row, expected)] if expected else []))
    widths = [max(len(line[i]) for line in grid) for i in range(len(grid[0]))]
    out = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in grid]
    return [out[0], "-" * min(len(out[0]), 200), *out[1:]]


def _tables(console: Console, table: Sequence[TableRow], columns: Sequence[Column], expected: Expected | None) -> None:
    if console.width >= WIDE:
        console.print(_table(table, columns, FACTS, expected))
        return
    first = [c for c in columns if not c.key.startswith("ef/")]
    console.print(_table(table, first, FACTS[-1:], expected))
    console.print(_table(table, [c for c in columns if c.key.startswith("ef/")], FACTS[:-1], None))


def _table(
    table: Sequence[TableRow], columns: Sequence[Column], facts: Sequence[str], expected: Expected | None
) -> Table:
    """A rich table: measured columns, then the given facts."""
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
        rung = f" ({row.badge})" if row.badge in ("B0", "B1") else ""
        cells = [Text("  " * row.depth + row.label + rung, style="dim" if row.depth else "")]
        for shown in (row.cell(column) for column in columns):
            if shown.point:
                cells.append(Text.assemble(shown.point, "\n", (shown.interval, "dim")))
            else:
                cells.append(Text(shown.line, style="dim italic"))
        own = dict(zip(FACTS, _facts(row), strict=True))
        cells += [Text(own[title], style=STYLES.get(own[title], "")) for title in facts]
        out.add_row(*cells, *([Text(_expected_cell(row, expected))] if expected else []))
    return out
