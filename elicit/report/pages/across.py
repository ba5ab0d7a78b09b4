"""Several comparisons side by side: template=bases (one task, several base models) or template=tasks (the reverse).

Each comparison is one column. What they have to share is checked, or the table would mix questions; other differences
(samples, regime, token limit, items) are listed above the table. Methods are matched by name. Over tasks there is a
last column, the mean with its interval: tasks have no item in common, so their estimates are independent. Recomputes
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from elicit.errors import ConfigError
from elicit.report.figures import lenses
from elicit.report.figures.figure import Figure
from elicit.report.figures.series import Rows, columns, head, interval
from elicit.report.numbers import Shown, show
from elicit.report.rows import TableRow
from elicit.report.text import one_line
from elicit.report.verdict import headline_ef, verdict_label
from elicit.results import Comparison, Estimate
from elicit.results.independent import mean_of_independent

SETTINGS = ("n", "n_items", "regime", "max_new_tokens", "dtype")
Across = Literal["bases", "tasks"]


@dataclass(frozen=True)
class Side:
    """One comparison: a base model, or a task, with everything that was measured."""

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


@dataclass(frozen=True)
class Mean:
    """A policy's mean over all tasks."""

    accuracy: Shown
    control: Shown


def sides_of(compared: Sequence[tuple[Comparison, list[TableRow]]], across: Across) -> list[Side]:
    """One side per comparison; bases smallest first, tasks as given.

    Raises ConfigError if bases were asked different questions, tasks were put to different bases, or one task is named
    twice: a mean over it would count its items twice.
    """
    first = compared[0][0]
    tasks = [comparison.task for comparison, _ in compared]
    if across == "tasks" and len(set(tasks)) < len(tasks):
        twice = next(task for task in tasks if tasks.count(task) > 1)
        raise ConfigError(
            f"template=tasks: {tasks.count(twice)} comparisons are of task {twice}: give one of each task"
        )
    for comparison, _ in compared:
        mine, theirs = (_shared(one, across) for one in (first, comparison))
        if mine != theirs:
            what = "task" if across == "bases" else "base model"
            raise ConfigError(
                f"template={across}: {first.group} is of {what} {mine}, {comparison.group} of {theirs}: "
                f"give comparisons of one {what}"
            )
    sides = [
        Side(_base(one) if across == "bases" else one_line(one.task or "?", 40),
             one.checkpoint.get("n_parameters"), one, table)
        for one, table in compared
    ]  # fmt: skip
    return sorted(sides, key=lambda side: (side.parameters or 0, side.name)) if across == "bases" else sides


def _shared(comparison: Comparison, across: Across) -> str | None:
    return comparison.task if across == "bases" else comparison.checkpoint.get("id")


def _base(comparison: Comparison) -> str:
    checkpoint = comparison.checkpoint
    name = one_line(checkpoint.get("name") or checkpoint.get("id") or comparison.group or "?", 40)
    revision = checkpoint.get("revision")
    return f"{name} @ {revision}" if revision else name


def matrix(sides: Sequence[Side]) -> list[tuple[str, list[Cell | None]]]:
    """(method, one cell per side), methods in the order of their first appearance, each at its first prompt."""
    by_side = [{row.line.name: row for row in reversed(side.rows) if row.role == "method"} for side in sides]
    names = list(dict.fromkeys(name for rows in by_side for name in reversed(rows)))
    return [(name, [_cell(rows[name]) if name in rows else None for rows in by_side]) for name in names]


def means(sides: Sequence[Side], table: Sequence[tuple[str, list[Cell | None]]]) -> list[Mean]:
    """The mean over the sides: of the base, then of every row of the matrix."""

    def mean(cells: Sequence[Cell | None], key: str) -> Estimate | None:
        return mean_of_independent([cell.row.line.get(key) if cell else None for cell in cells])

    bare = Mean(show(mean([side.bare for side in sides], "acc/strict"), "percent"), Shown())
    methods = [
        Mean(show(mean(cells, "acc/strict"), "percent"), show(mean(cells, "ctrl/gain"), "points")) for _, cells in table
    ]
    return [bare, *methods]


def _cell(row: TableRow) -> Cell:
    line, fraction = row.line, headline_ef(row.line)[1]
    accuracy, control = show(line.get("acc/strict"), "percent"), show(line.get("ctrl/gain"), "points")
    return Cell(row, accuracy, show(fraction, "ratio"), control, verdict_label(row))


def differing(sides: Sequence[Side]) -> list[tuple[str, list[str]]]:
    """Settings in which the comparisons differ: (key, one value per side)."""
    setups = [asdict(side.comparison.setup) for side in sides]
    lines = [(key, [str(setup[key] or "?") for setup in setups]) for key in SETTINGS]
    return [(key, values) for key, values in lines if len(set(values)) > 1]


def figure(sides: Sequence[Side], across: Across) -> Figure:
    """Accuracy of the base and of every method, by base or by task."""
    found = accuracies(sides)
    by = "base model" if across == "bases" else "task"
    return Figure(
        across, f"Accuracy by {by}", across,
        f"Strict accuracy of the base and of each method, by {by}, 95 % intervals.",
        lambda _: found, lambda rows, _: lenses.bars(_plain(rows)))  # fmt: skip


def accuracies(sides: Sequence[Side]) -> Rows:
    """Accuracy of the base and of every method on every side: the rows of the figure."""
    out = []
    for side in sides:
        for row in side.rows:
            numbers = interval(row.line.get("acc/strict"))
            if numbers and (row.badge == "B0" or row.role == "method"):
                name = "bare base" if row.badge == "B0" else row.name
                out.append({"side": side.name, "series": name} | head(row) | columns(numbers))
    return out


def _plain(rows: Rows) -> dict[str, Any]:
    """The same as a lens gives its figure: sides along one axis, one series per method."""
    sides, names = (list(dict.fromkeys(row[key] for row in rows)) for key in ("side", "series"))
    at = {(row["side"], row["series"]): row for row in rows}

    def values(name: str, part: str) -> list[float | None]:
        return [100 * at[side, name][part] if (side, name) in at else None for side in sides]

    lines = [{"name": name, "y": values(name, "point"), "lo": values(name, "lo"), "hi": values(name, "hi")}
             for name in names]  # fmt: skip
    return {"x": sides, "series": lines, "y_label": "Strict accuracy, percent"}
