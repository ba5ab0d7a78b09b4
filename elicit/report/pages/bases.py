"""template=bases: methods against several base models or pre-training revisions of one.

Each comparison is one base; all have the same task, or the table would mix questions. What else differs (samples,
regime, token limit, items) is said above the table. A method is the same across bases by its name. Recomputes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from elicit.errors import ConfigError
from elicit.report.figures import lenses
from elicit.report.figures.figure import Figure
from elicit.report.figures.series import Rows, columns, head, interval
from elicit.report.numbers import Shown, show
from elicit.report.rows import Row
from elicit.report.text import one_line
from elicit.report.verdict import headline_ef, word

SETTINGS = ("n", "n_items", "regime", "max_new_tokens", "dtype")


@dataclass(frozen=True)
class Base:
    """One base model with everything that was measured on it."""

    name: str
    parameters: int | None
    comparison: dict[str, Any]
    rows: list[Row]

    @property
    def bare(self) -> Cell | None:
        """The bare base."""
        return next((_cell(row) for row in self.rows if row.badge == "B0"), None)


@dataclass(frozen=True)
class Cell:
    """A method on a base."""

    row: Row
    accuracy: Shown
    fraction: Shown
    control: Shown
    verdict: str


def bases_of(compared: Sequence[tuple[dict[str, Any], list[Row]]]) -> list[Base]:
    """The bases, smallest first. Raises ConfigError where two comparisons ask different questions."""
    first = compared[0][0]
    for comparison, _ in compared[1:]:
        if comparison.get("task") != first.get("task"):
            raise ConfigError(
                f"template=bases: {first.get('group')} is of task {first.get('task')}, {comparison.get('group')} of "
                f"{comparison.get('task')}: give comparisons of one task"
            )
    out = [_base(comparison, table) for comparison, table in compared]
    return sorted(out, key=lambda base: (base.parameters or 0, base.name))


def _base(comparison: dict[str, Any], table: list[Row]) -> Base:
    checkpoint = comparison.get("checkpoint") or {}
    name = one_line(checkpoint.get("name") or checkpoint.get("id") or comparison.get("group") or "?", 40)
    revision = checkpoint.get("revision")
    return Base(f"{name} @ {revision}" if revision else name, checkpoint.get("n_parameters"), comparison, table)


def matrix(bases: Sequence[Base]) -> list[tuple[str, list[Cell | None]]]:
    """(method, a cell a base), methods in the order in which they first appear."""
    by_base = [{row.policy["name"]: row for row in base.rows if row.role == "method"} for base in bases]
    names = list(dict.fromkeys(name for rows in by_base for name in rows))
    return [(name, [_cell(rows[name]) if name in rows else None for rows in by_base]) for name in names]


def _cell(row: Row) -> Cell:
    control = (row.policy.get("ctrl") or {}).get("gain", row.policy.get("ctrl"))
    fraction = headline_ef(row.policy)[1]
    return Cell(row, show(row.policy["acc"], "percent"), show(fraction, "ratio"), show(control, "points"), word(row))


def differing(bases: Sequence[Base]) -> list[tuple[str, list[str]]]:
    """Settings in which the comparisons differ: (key, a value a base)."""
    told = [base.comparison.get("settings") or {} for base in bases]
    lines = [(key, [str(settings.get(key, "?")) for settings in told]) for key in SETTINGS]
    return [(key, values) for key, values in lines if len(set(values)) > 1]


def figure(bases: Sequence[Base]) -> Figure:
    """Accuracy of the bare base and of every method, by base."""
    found = accuracies(bases)
    return Figure(
        "bases", "Accuracy by base model", "bases",
        "Strict accuracy of the bare base and of each method, by base model, 95 % intervals.",
        lambda _: found, lambda rows, _: lenses.bars(_plain(rows)))  # fmt: skip


def accuracies(bases: Sequence[Base]) -> Rows:
    """Accuracy of the bare base and of every method on every base: the rows of the figure."""
    out = []
    for base in bases:
        for row in base.rows:
            numbers = interval(row.line.get("acc/strict"))
            if numbers and (row.badge == "B0" or row.role == "method"):
                name = "bare base" if row.badge == "B0" else row.name
                out.append({"base": base.name, "series": name} | head(row) | columns(numbers))
    return out


def _plain(rows: Rows) -> dict[str, Any]:
    """The same as a lens gives its figure: bases along one axis, one series per method."""
    bases, names = (list(dict.fromkeys(row[key] for row in rows)) for key in ("base", "series"))
    at = {(row["base"], row["series"]): row for row in rows}

    def values(name: str, part: str) -> list[float | None]:
        return [100 * at[base, name][part] if (base, name) in at else None for base in bases]

    lines = [{"name": name, "y": values(name, "point"), "lo": values(name, "lo"), "hi": values(name, "hi")}
             for name in names]  # fmt: skip
    return {"x": bases, "series": lines, "y_label": "Strict accuracy, percent"}
