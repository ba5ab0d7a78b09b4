"""template=bases: methods against several base models or pre-training revisions of one.

Each comparison is one base; all have the same task, or the table would mix questions. Other differences (samples,
regime, token limit, items) are listed above the table. Methods are matched across bases by name. Recomputes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from elicit.errors import ConfigError
from elicit.report.figures import lenses
from elicit.report.figures.figure import Figure
from elicit.report.figures.series import Rows, columns, head, interval
from elicit.report.numbers import Shown, show
from elicit.report.rows import TableRow
from elicit.report.text import one_line
from elicit.report.verdict import headline_ef, verdict_label
from elicit.results import Comparison

SETTINGS = ("n", "n_items", "regime", "max_new_tokens", "dtype")


@dataclass(frozen=True)
class Base:
    """One base model with everything that was measured on it."""

    name: str
    parameters: int | None
    comparison: Comparison
    rows: list[TableRow]

    @property
    def bare(self) -> Cell | None:
        """The bare base."""
        return next((_cell(row) for row in self.rows if row.badge == "B0"), None)


@dataclass(frozen=True)
class Cell:
    """A method on a base."""

    row: TableRow
    accuracy: Shown
    fraction: Shown
    control: Shown
    verdict: str


def bases_of(compared: Sequence[tuple[Comparison, list[TableRow]]]) -> list[Base]:
    """The bases, smallest first. Raises ConfigError if two comparisons ask different questions."""
    first, out = compared[0][0], []
    for comparison, table in compared:
        if comparison.task != first.task:
            raise ConfigError(
                f"template=bases: {first.group} is of task {first.task}, {comparison.group} of {comparison.task}: "
                "give comparisons of one task"
            )
        checkpoint = comparison.checkpoint
        name = one_line(checkpoint.get("name") or checkpoint.get("id") or comparison.group or "?", 40)
        revision = checkpoint.get("revision")
        full_name = f"{name} @ {revision}" if revision else name
        out.append(Base(full_name, checkpoint.get("n_parameters"), comparison, table))
    return sorted(out, key=lambda base: (base.parameters or 0, base.name))


def matrix(bases: Sequence[Base]) -> list[tuple[str, list[Cell | None]]]:
    """(method, one cell per base), methods in the order of their first appearance."""
    by_base = [{row.line.name: row for row in base.rows if row.role == "method"} for base in bases]
    names = list(dict.fromkeys(name for rows in by_base for name in rows))
    return [(name, [_cell(rows[name]) if name in rows else None for rows in by_base]) for name in names]


def _cell(row: TableRow) -> Cell:
    line, fraction = row.line, headline_ef(row.line)[1]
    accuracy, control = show(line.get("acc/strict"), "percent"), show(line.get("ctrl/gain"), "points")
    return Cell(row, accuracy, show(fraction, "ratio"), control, verdict_label(row))


def differing(bases: Sequence[Base]) -> list[tuple[str, list[str]]]:
    """Settings in which the comparisons differ: (key, one value per base)."""
    setups = [asdict(base.comparison.setup) for base in bases]
    lines = [(key, [str(setup[key] or "?") for setup in setups]) for key in SETTINGS]
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
