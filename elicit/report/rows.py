"""The rows of a scorecard: a comparison read, made inert and sorted for display.

Base rungs first, then ceilings, then every method followed by its placebos and its rivals. Knows the typed comparison,
not how a number is computed or drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from elicit.records import BARE
from elicit.report.numbers import Shown, show, show_measured
from elicit.report.text import clean, one_line
from elicit.results import Column, Comparison, Estimate, Line, read_comparison

Source = Comparison | Mapping[str, Any] | Path | str
"""a comparison, the content of comparison.json (schema 1 or 2), or its path"""
GROUPS = {"base": "Base rungs", "prompt": "Base rungs", "ceiling": "Ceilings"}
ROUTINE = ("base", "prompt", "ceiling")
"""roles that are references, not results"""
FITTED = ("method", "placebo", "rival")
WORDS = {
    "B0": "bare prompt",
    "B1": "best prompt",
    "B2": "best prompt at a method's tokens",
    "C1": "what sampling finds",
    "C2": "a post-trained sibling",
    "C3": "fine-tuned on gold traces",
    "C4": "trace mode forced",
}
"""the meaning of the codes of the base's rungs and of the ceilings"""


def words_of(code: str, prompt: str) -> str:
    """The meaning of a code; B0 is the base at the prompt of the comparison. Empty for what is no code."""
    return f"prompt {prompt}" if code == "B0" and prompt != BARE else WORDS.get(code, "")


STRAYS = "Controls without their method"
"""the group of those whose method failed, or is not in the comparison"""


@dataclass(frozen=True)
class TableRow:
    """One line of a comparison, ready to print."""

    line: Line
    name: str
    """the line's name, on one line and at most 48 characters long"""
    group: str
    depth: int
    """0 for base rungs, ceilings and methods; 1 for placebos and rivals under their method"""
    badge: str
    """B0, B1, or the role"""
    ceiling: Estimate | None = None
    """the value of a ceiling, in the row that it was measured on"""

    @property
    def label(self) -> str:
        """The name without its method's, for tables that indent the row under its method, if that is a row."""
        if self.depth and self.group != STRAYS:
            for parent in (self.line.parent, self.line.method):
                rest = self.name.removeprefix(one_line(parent or "", 48)).lstrip(" :/-.+")
                if parent and rest and rest != self.name:
                    return rest
        elsewhere = self.line.at_own_prompt or (self.line.name == "C1" and self.line.prompt != BARE)
        return f"{self.name}, asked {self.line.prompt}" if elsewhere else self.name

    @property
    def words(self) -> str:
        """The meaning of the code of a rung or a ceiling; empty for every other row."""
        code = self.line.name if self.ceiling is not None else self.badge
        return words_of(code, self.line.prompt)

    @property
    def role(self) -> str:
        return self.line.role

    @property
    def sample_size(self) -> str:
        """Items x samples, as text."""
        return f"{self.line.n_items or '?'}\u00a0\u00d7\u00a0{self.line.n or '?'}"

    @property
    def seeds(self) -> int:
        return self.line.seeds or 1

    @property
    def data_class(self) -> str:
        return self.line.data_class or "unaccounted"

    @property
    def class_and_choice(self) -> str:
        """The data class with the dev labels that were used for selection, which are no part of it: "Z +2,592 dev"."""
        bits = self.line.ledger.get("select_bits", 0)
        return f"{self.data_class} +{bits:,} dev" if bits else self.data_class

    def cell(self, column: Column) -> Shown:
        """The cell of a claim; blank if the column means nothing for this role, e.g. the gain of B0 over itself.

        The accuracy of a ceiling is its own value: C1 is a coverage, not the mean of its samples.
        """
        if self.ceiling is not None and column.key == "acc/strict":
            return show(self.ceiling, column.unit)
        if self.role not in column.roles or column.key == f"gain/{self.badge}":
            return Shown()
        return show(self.line.get(column.key), column.unit)

    def measured(self, column: Column) -> Shown:
        """The same, but a cost, a count or a share of votes needs no interval."""
        value = self.line.get(column.key) if self.role in column.roles else None
        return show_measured(value, column.unit)


def load(source: Source) -> Comparison:
    """A comparison whose text is inert. Raises DataError if it is not one that this version can read.

    Its traces hold the name of their policy instead of its id.
    """
    comparison = clean(source if isinstance(source, Comparison) else read_comparison(source))
    names = {line.id: line.name for line in comparison.lines}
    traces = tuple(
        replace(trace, method=replace(trace.method, policy=names.get(str(trace.method.policy), trace.method.policy)))
        for trace in comparison.traces
    )
    return replace(comparison, traces=traces)


def rows(comparison: Comparison) -> list[TableRow]:
    """Every line once, in the order of the scorecard: methods by their control-adjusted gain, the largest first."""
    badges = {rung: badge for rung, badge in ((comparison.rungs.b1, "B1"), (comparison.rungs.b0, "B0")) if rung}

    def row(line: Line, group: str, depth: int) -> TableRow:
        is_ceiling = line.role == "ceiling"
        badge = "ceiling" if is_ceiling else badges.get(line.id, line.role)
        ceiling = comparison.ceilings.get(line.name) if is_ceiling else None
        return TableRow(line, one_line(line.name, 48), group, depth, badge, ceiling)

    lines = comparison.lines
    given = [line for line in lines if line.role == "method"]
    bare = {line.name: line for line in reversed(given) if not line.at_own_prompt}
    gains = {name: line.number("ctrl/gain") for name, line in bare.items()}
    methods = sorted(given, key=lambda line: -gain if (gain := gains.get(line.name)) is not None else math.inf)
    controls = [line for line in lines if line.role in ("placebo", "rival")]
    homes = [_home(control, methods) for control in controls]
    out = [row(line, GROUPS[role], 0) for role in GROUPS for line in lines if line.role == role]
    for number, method in enumerate(methods):
        out.append(row(method, "Methods", 0))
        own = [control for control, home in zip(controls, homes, strict=True) if home == number]
        out.extend(row(line, "Methods", 1) for role in ("placebo", "rival") for line in own if line.role == role)
    strays = [control for control, home in zip(controls, homes, strict=True) if home is None]
    out.extend(row(line, STRAYS, 1) for line in strays)
    return out


def _home(control: Line, methods: Sequence[Line]) -> int | None:
    """The index of the method that a placebo or rival belongs to: by name, else by method, same prompt first."""
    parent = control.parent or control.method
    fits = [i for i, method in enumerate(methods) if method.name == parent] or [
        i for i, method in enumerate(methods) if method.method == parent
    ]
    if not fits:
        return None
    return max(fits, key=lambda i: (methods[i].prompt == control.prompt, methods[i].seed == control.seed, -i))


def used_columns(comparison: Comparison, table: Sequence[TableRow]) -> list[Column]:
    """The columns of the scorecard that at least one row fills, be it with a refusal."""
    return [c for c in comparison.table("scorecard") if any(row.cell(c) != Shown() for row in table)]


def reasons(table: Sequence[TableRow], columns: Sequence[Column]) -> list[str]:
    """Each distinct reason of a refusal in the table, in full, with the columns and rows that it concerns."""
    return gathered((row.name, column.title, row.cell(column)) for row in table for column in columns)


def gathered(cells: Iterable[tuple[str, str, Shown]]) -> list[str]:
    """Each distinct reason of a refusal among (row, column, cell), with the cells that it concerns."""
    refused: dict[str, list[str]] = {}
    for row, column, cell in cells:
        if cell.refused:
            refused.setdefault(cell.refused, []).append(f"{row} ({column})")
    return [f"{reason}: {', '.join(cells[:6])}" + (f" and {len(cells) - 6} more" if len(cells) > 6 else "")
            for reason, cells in refused.items()]  # fmt: skip


def unwarned(label: str) -> str:
    """A verdict's label without the remark that its fit warns: a claim with a warning is a claim."""
    return label.removesuffix(" (see warnings)")
