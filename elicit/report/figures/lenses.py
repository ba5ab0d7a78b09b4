"""lenses.json as tables and figures: what the traces of each policy are made of, a lens at a time.

A lens brings columns of estimates by policy, one figure as plain data, and a sentence (`elicit lens GROUP` writes
them). Shown as they come: every cell with its interval, refusals as refusals. Knows the file, not what it measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elicit.errors import DataError
from elicit.files import read_json
from elicit.report.figures.svg import INK, PALETTE, PAPER, drawn
from elicit.report.numbers import Shown, show
from elicit.report.text import clean, one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from elicit.report.figures.series import Series
    from elicit.report.rows import Row

SCHEMA = 1
DRAWN = 8
"""series that a lens's figure shows; more are left to its table"""


@dataclass(frozen=True)
class LensView:
    """One lens, ready to print."""

    name: str
    about: str
    source: str
    says: str
    refused: str
    columns: list[str]
    lines: list[tuple[str, Row | None, list[Shown]]]
    """(policy's name, its row of the scorecard where it has one, a cell a column)"""


def load_lenses(path: Path) -> dict[str, Any]:
    """Readings by name, made inert; none where the file is not there. Raises DataError on another schema."""
    if not path.exists():
        return {}
    found = read_json(path)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise DataError(f"{path}: not schema {SCHEMA} of lenses.json; make it again with `elicit lens`")
    return dict(clean(found.get("lenses") or {}))


def views(readings: Mapping[str, Any], table: list[Row]) -> list[LensView]:
    """The lenses that say anything, refusals included."""
    by_name = {row.policy["name"]: row for row in table}
    out = []
    for name, reading in readings.items():
        told = reading.get("columns") or {}
        columns = list(dict.fromkeys(column for of_policy in told.values() for column in of_policy))
        lines = [
            (one_line(policy, 48), by_name.get(policy), [show(of_policy.get(column), "ratio") for column in columns])
            for policy, of_policy in told.items()
        ]
        about, source, says = (str(reading.get(key, "")) for key in ("about", "source", "says"))
        out.append(LensView(name, about, source, says, str(reading.get("refused") or ""), columns, lines))
    return out


def figure_series(reading: Mapping[str, Any]) -> Series:
    """The rows behind a lens's figure: one a series and place along x."""
    figure = reading.get("figure") or {}
    out = []
    for one in figure.get("series") or []:
        for place, x in enumerate(figure.get("x") or []):
            at = {part: (one.get(part) or [None] * (place + 1))[place] for part in ("y", "lo", "hi")}
            out.append({"series": str(one.get("name")), "x": x, **at})
    return [row for row in out if row["y"] is not None]


def draw(reading: Mapping[str, Any]) -> Figure:
    """The figure of a lens: dots with intervals, lines with bands, or a heat map."""
    figure = reading["figure"]
    kind = figure.get("kind")
    return _heat(figure) if kind == "heat" else _lines(figure) if kind == "lines" else _bars(figure)


def _bars(figure: Mapping[str, Any]) -> Figure:
    x, series = [one_line(name, 26) for name in figure["x"]], figure["series"][:DRAWN]
    step = 0.8 / max(len(series), 1)

    def paint(axes: Axes) -> None:
        for number, one in enumerate(series):
            colour = PALETTE[number % len(PALETTE)]
            for place, y in enumerate(one["y"]):
                if y is None:
                    continue
                at = place + (number - (len(series) - 1) / 2) * step
                lo, hi = ((one.get(part) or [None] * len(x))[place] for part in ("lo", "hi"))
                if lo is not None and hi is not None:
                    axes.plot([lo, hi], [at, at], color=colour, lw=1.3)
                axes.plot(y, at, "o", ms=4, color=colour)
        _named_below(axes, [one_line(one["name"], 30) for one in series])
        axes.set_yticks(range(len(x)), x)
        axes.set_ylim(len(x) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(one_line(figure.get("y_label", ""), 60))
        axes.grid(axis="x")

    return drawn(8.6, 1.0 + max(0.24, 0.13 * len(series)) * len(x), paint)


def _lines(figure: Mapping[str, Any]) -> Figure:
    def paint(axes: Axes) -> None:
        for number, one in enumerate(figure["series"][:DRAWN]):
            colour = PALETTE[number % len(PALETTE)]
            known = [place for place, y in enumerate(one["y"]) if y is not None]
            x = [figure["x"][place] for place in known]
            if one.get("lo") and all(one["lo"][place] is not None for place in known):
                axes.fill_between(x, [one["lo"][p] for p in known], [one["hi"][p] for p in known], color=colour,
                                  alpha=0.12, lw=0)  # fmt: skip
            axes.plot(x, [one["y"][place] for place in known], color=colour, lw=1.5, marker="o", ms=2.8)
        _named_below(axes, [one_line(one["name"], 30) for one in figure["series"][:DRAWN]])
        axes.set_xlabel(one_line(figure.get("x_label", ""), 60))
        axes.set_ylabel(one_line(figure.get("y_label", ""), 60))
        axes.grid(axis="y")

    return drawn(6.4, 3.6, paint)


def _heat(figure: Mapping[str, Any]) -> Figure:
    """One line a series, one column a place; darker is more. Lengths differ: what is missing stays blank."""
    series = figure["series"][:40]
    values = np.array([[np.nan if y is None else float(y) for y in one["y"]] for one in series], float)
    top = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    image = np.zeros((*values.shape, 4))
    image[..., 2] = 0.7
    image[..., 3] = np.where(np.isfinite(values), 0.05 + 0.9 * np.nan_to_num(values) / (top or 1.0), 0)

    def paint(axes: Axes) -> None:
        axes.imshow(image, aspect="auto", interpolation="none")
        axes.set_yticks(range(len(series)), [one_line(one["name"], 30) for one in series])
        axes.set_xticks(range(len(figure["x"])), [one_line(x, 12) for x in figure["x"]])
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"{one_line(figure.get('x_label', ''), 40)}; darkest: {top:.2f} {figure.get('y_label', '')}")

    return drawn(8.6, 0.8 + 0.22 * len(series), paint)


def _named_below(axes: Axes, names: list[str]) -> None:
    """A legend above the axes: lens series can lie on each other everywhere."""
    if len(names) > 1:
        handles = [axes.plot([], [], "o-", ms=4, color=PALETTE[i % len(PALETTE)])[0] for i in range(len(names))]
        axes.legend(handles, names, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=min(4, len(names)), fontsize=8,
                    frameon=False, labelcolor=INK, facecolor=PAPER, borderaxespad=0.2, handlelength=1.2)  # fmt: skip
