"""What a figure is: one question, one file of this folder, one line of `FIGURES` (in `__init__.py`).

    rows(inputs)          what is drawn, the rows of the figure's CSV; no rows: no figure
    chart(rows, inputs)   how it is drawn, as plain data: marks, two axes, labels

    COVERAGE = Figure("coverage", "Coverage over samples", "curves", "Share of items ...", rows, chart)

`writer` turns every chart into SVG and PDF and the rows into a CSV, so a figure needs no matplotlib. Marks are in the
units of the axes (percent, tokens); rows hold the comparison's own numbers (shares).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from elicit.report.figures.series import Rows, log_rows
from elicit.report.sources import all_logs

if TYPE_CHECKING:
    from elicit.report.rows import TableRow
    from elicit.results.comparison import Solves
    from elicit.results.estimate import Estimate


@dataclass(frozen=True)
class Inputs:
    """Everything that a figure may read."""

    rows: list[TableRow]
    """of the scorecard, in its order"""
    ceilings: Mapping[str, Estimate]
    solves: Solves
    readings: Mapping[str, Any]
    """lens name -> its reading in lenses.json"""
    folder: Path | None = None
    """of comparison.json; None if the comparison came without a file"""

    @cached_property
    def log_paths(self) -> dict[str, list[Path]]:
        """Policy id -> log.jsonl of the fit of each of its seeds, if it still exists."""
        return all_logs(self.rows, Path.cwd(), self.folder)

    @cached_property
    def logs(self) -> dict[str, list[Rows]]:
        """Policy id -> the rows of each of these logs."""
        return {policy: [log_rows(path) for path in paths] for policy, paths in self.log_paths.items()}


@dataclass(frozen=True)
class Figure:
    """One figure of a report."""

    name: str
    """of its files"""
    title: str
    """for screen readers and Markdown"""
    section: str
    """of the report, e.g. "curves"; "curves/search" is shown under a heading of its own in that section"""
    caption: str
    rows: Callable[[Inputs], Rows]
    chart: Callable[[Rows, Inputs], Chart]


Shape = Literal["dot", "hollow", "diamond", "ring", "tick"]


@dataclass(frozen=True)
class Point:
    """A marker with the intervals that it has: `across` along x, `upright` along y. Sizes in points."""

    x: float
    y: float
    colour: str
    across: tuple[float, float] | None = None
    upright: tuple[float, float] | None = None
    shape: Shape = "dot"
    size: float = 5
    edge: float = 1.2
    weight: float = 1.1  # of the interval's line
    opacity: float = 1


@dataclass(frozen=True)
class Line:
    """A curve with the band from `lo` to `hi` that it has; `steps`: y holds from its x to the next one."""

    x: Sequence[float]
    y: Sequence[float]
    colour: str
    lo: Sequence[float] = ()
    hi: Sequence[float] = ()
    width: float = 1.5
    dots: float = 0  # size of the markers
    dashed: bool = False
    steps: bool = False
    opacity: float = 1


@dataclass(frozen=True)
class Bar:
    """A horizontal bar; hatched: hollow with stripes."""

    y: float
    left: float
    width: float
    colour: str
    hatched: bool = False


@dataclass(frozen=True)
class Heat:
    """Cells in one colour, 1 wide from `left` on: one line of opacities in [0, 1] each, 0 is blank."""

    opacity: Sequence[Sequence[float]]
    colour: str
    left: float = -0.5


@dataclass(frozen=True)
class Span:
    """A shaded range of x over the whole height."""

    lo: float
    hi: float
    colour: str


@dataclass(frozen=True)
class Rule:
    """A straight line through the axes, vertical at `x` or horizontal at `y`."""

    colour: str
    x: float | None = None
    y: float | None = None
    width: float = 1
    dashed: bool = False


@dataclass(frozen=True)
class Text:
    """Words at a position, `shift` points away from it."""

    x: float
    y: float
    text: str
    colour: str
    shift: tuple[float, float] = (0, 0)
    align: Literal["left", "center", "right"] = "left"
    upright: Literal["center", "baseline"] = "center"
    fractions: str = ""  # axes in which the position is a fraction of the frame: "x", "y" or "xy"
    size: float = 8


class Label(NamedTuple):
    """A name next to a position; the writer moves names apart."""

    x: float
    y: float
    text: str
    colour: str


Mark = Point | Line | Bar | Heat | Span | Rule | Text


@dataclass(frozen=True)
class Axis:
    """One axis. Limits and ticks follow from the marks unless they are given."""

    label: str = ""
    limits: tuple[float, float] | None = None
    scale: Literal["linear", "log2", "log10", "symlog"] = "linear"  # of x
    linear_to: float = 1  # symlog: linear between -linear_to and linear_to
    ticks: Sequence[float] | None = None
    names: Sequence[str] = ()
    tones: Sequence[str] = ()  # colours of the names
    upright: bool = False  # names of x, from bottom to top
    grid: bool = False
    tick_marks: bool = True
    line: bool = True


@dataclass(frozen=True)
class Chart:
    """A figure as plain data, drawn in the order of its marks."""

    size: tuple[float, float]  # width and height, inches
    marks: Sequence[Mark]
    x: Axis
    y: Axis
    labels: Sequence[Label] = ()  # names next to points
    ends: Sequence[Label] = ()  # names at the right ends of curves; needs limits of y
    legend: Sequence[tuple[str, str]] = ()  # (name, colour) above the axes, if there are several
