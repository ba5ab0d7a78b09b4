"""lenses.json as tables and figures: what the traces of each policy are made of, one lens at a time.

A lens brings columns of estimates by policy, one figure as plain data (bars, lines or heat), and a sentence (`elicit
lens GROUP` writes them). Shown as they come: every cell with its interval, refusals as refusals. So each reading is a
figure of its own, without a line in `FIGURES`. Knows the file, not what it measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit.errors import DataError
from elicit.files import read_json
from elicit.report.figures.figure import Axis, Chart, Figure, Heat, Inputs, Line, Mark, Point
from elicit.report.figures.marks import WIDE, listed, tone
from elicit.report.figures.series import Rows
from elicit.report.numbers import Shown, bounds, estimate_of, show_measured
from elicit.report.text import clean, one_line, slug

if TYPE_CHECKING:
    from elicit.report.rows import TableRow

SCHEMA = 1
DRAWN, HEATED, ABREAST = 8, 40, 6
"""series that a figure of bars or lines, or a heat map shows; more are left to the table"""


@dataclass(frozen=True)
class LensView:
    """One lens, ready to print."""

    name: str
    about: str
    source: str
    says: str
    refused: str
    columns: list[str]
    lines: list[tuple[str, TableRow | None, list[Shown]]]
    """(policy's name, its row of the scorecard if it has one, one cell per column)"""


def load_lenses(path: Path) -> dict[str, Any]:
    """Readings by name, made inert; none if there is no file. Raises DataError on another schema."""
    if not path.exists():
        return {}
    found = read_json(path)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise DataError(f"{path}: not schema {SCHEMA} of lenses.json; make it again with `elicit lens`")
    return dict(clean(found.get("lenses") or {}))


def views(readings: Mapping[str, Any], table: list[TableRow]) -> list[LensView]:
    """Every lens of the file, refused ones included."""
    by_name = {row.line.name: row for row in table}
    out = []
    for name, reading in readings.items():
        by_policy = reading.get("columns") or {}
        columns = list(dict.fromkeys(column for of_policy in by_policy.values() for column in of_policy))
        lines = [
            (
                one_line(policy, 48),
                by_name.get(policy),
                [show_measured(estimate_of(of_policy.get(column)), "ratio") for column in columns],
            )
            for policy, of_policy in by_policy.items()
        ]
        about, source, says = (str(reading.get(key, "")) for key in ("about", "source", "says"))
        out.append(LensView(name, about, source, says, str(reading.get("refused") or ""), columns, lines))
    return out


def measured(readings: Mapping[str, Any], lens: str, row: TableRow) -> dict[str, tuple[float, float, float]]:
    """The columns of a lens that have an interval for a policy: name -> (point, lo, hi)."""
    by_policy = (readings.get(lens) or {}).get("columns") or {}
    found = by_policy.get(row.line.name) or by_policy.get(row.name) or {}
    return {column: numbers for column, value in found.items() if (numbers := bounds(value))}


def figures(readings: Mapping[str, Any]) -> list[Figure]:
    """The figure of every reading."""
    out = []
    for name, reading in readings.items():
        data, key = reading.get("figure") or {}, slug(name)
        out.append(Figure(f"lens-{key}", str(data.get("title") or name), f"validity/{key}",
                          f"{reading.get('about', '')}, 95 % intervals.",
                          partial(_rows, data), partial(_chart, data)))  # fmt: skip
    return out


def _rows(data: Mapping[str, Any], _: Inputs) -> Rows:
    """One row per series and position along x."""
    out = []
    for one in data.get("series") or []:
        for i, x in enumerate(data.get("x") or []):
            at = {part: (one.get(part) or [None] * (i + 1))[i] for part in ("y", "lo", "hi")}
            out.append({"series": str(one.get("name")), "x": x, **at})
    return [row for row in out if row["y"] is not None]


def _chart(data: Mapping[str, Any], _: Rows, __: Inputs) -> Chart:
    kind = data.get("kind")
    return _heat(data) if kind == "heat" else _lines(data) if kind == "lines" else bars(data)


def bars(data: Mapping[str, Any]) -> Chart:
    """Dots with intervals, several series next to each other in each line of a list."""
    x, series = [one_line(name, 26) for name in data["x"]], data["series"][:DRAWN]
    step = 0.8 / max(len(series), 1)
    marks: list[Mark] = []
    for number, one in enumerate(series):
        for i, y in enumerate(one["y"]):
            if y is not None:
                lo, hi = ((one.get(part) or [None] * len(x))[i] for part in ("lo", "hi"))
                at = i + (number - (len(series) - 1) / 2) * step
                marks.append(Point(y, at, tone(number), None if lo is None or hi is None else (lo, hi), size=4, edge=1,
                                   weight=1.3))  # fmt: skip
    return Chart((WIDE, 1.0 + max(0.24, 0.13 * len(series)) * len(x)), marks,
                 Axis(one_line(data.get("y_label", ""), 60), grid=True), listed(x), legend=_legend(series))  # fmt: skip


def _lines(data: Mapping[str, Any]) -> Chart:
    lines, series = [], data["series"][:DRAWN]
    for number, one in enumerate(series):
        known = [i for i, y in enumerate(one["y"]) if y is not None]
        banded = one.get("lo") and all(one["lo"][i] is not None for i in known)
        y, lo, hi = ([one[part][i] for i in known] if part == "y" or banded else [] for part in ("y", "lo", "hi"))
        lines.append(Line([data["x"][i] for i in known], y, tone(number), lo, hi, dots=2.8))
    return Chart((6.4, 3.6), lines, Axis(one_line(data.get("x_label", ""), 60)),
                 Axis(one_line(data.get("y_label", ""), 60), grid=True), legend=_legend(series))  # fmt: skip


def _heat(data: Mapping[str, Any]) -> Chart:
    """One line per series, one column per position; darker is more, missing is blank, below 0 is palest."""
    series = data["series"][:HEATED]
    top = max((y for one in series for y in one["y"] if y is not None), default=1.0)
    cells = [[0 if y is None else 0.05 + 0.9 * max(y, 0.0) / (top or 1.0) for y in one["y"]] for one in series]
    label = f"{one_line(data.get('x_label', ''), 40)}; darkest: {top:.2f} {data.get('y_label', '')}"
    names = data["x"]
    upright = len(names) > ABREAST and any(len(str(name)) > 3 for name in names)
    shown = [one_line(name, 30 if upright else 12) for name in names]
    return Chart((WIDE, (2.6 if upright else 0.8) + 0.22 * len(series)), [Heat(cells, "#0000b2")],
                 Axis(label, ticks=range(len(names)), names=shown, upright=upright),
                 listed([one_line(one["name"], 30) for one in series]))  # fmt: skip


def _legend(series: list[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Names above the axes: the series of a lens can cover each other everywhere."""
    return [(one_line(one["name"], 34), tone(number)) for number, one in enumerate(series)]
