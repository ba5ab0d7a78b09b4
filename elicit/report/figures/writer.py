"""A chart as a matplotlib figure, and a figure as its files: the only module that draws.

Inline SVG follows the page: its font, its colours, light or dark. A chart is drawn in the light page's colours; in the
SVG each known colour becomes the CSS variable of the same meaning. Nothing in the result points outside: no DOCTYPE, no
metadata, no namespace; ids are prefixed so that several figures live on one page. Uses no pyplot: no global state.
Knows nothing of what is drawn.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib import figure as matplotlib_figure
from matplotlib.axis import Axis as MatplotlibAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from elicit.files import replacing, write_text
from elicit.report.figures.figure import Axis, Bar, Chart, Figure, Heat, Line, Mark, Point, Rule, Span, Text
from elicit.report.figures.labels import at_ends, place
from elicit.report.figures.marks import BAND, INK, MUTED, PALETTE, PAPER, RULE
from elicit.report.figures.series import Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", PAPER: "--paper", BAND: "--band"} | {
    colour: f"--c{i}" for i, colour in enumerate(PALETTE, 1)
}
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9, "text.parse_math": False,
    "axes.edgecolor": MUTED, "axes.labelcolor": INK, "text.color": INK, "xtick.color": MUTED, "ytick.color": MUTED,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.linewidth": 0.7, "xtick.major.width": 0.7, "ytick.major.width": 0.7, "grid.color": RULE,
    "grid.linewidth": 0.6, "axes.axisbelow": True, "figure.facecolor": PAPER, "axes.facecolor": PAPER,
    "svg.fonttype": "none", "pdf.fonttype": 42, "savefig.bbox": "tight", "savefig.pad_inches": 0.1,
}  # fmt: skip
SHAPES = {"dot": ("o", ""), "hollow": ("o", PAPER), "diamond": ("D", ""), "ring": ("o", "none"), "tick": ("|", "")}
"""marker and its fill if that is not the colour"""


@dataclass(frozen=True)
class Written:
    """A figure whose files are written, as templates show it."""

    name: str
    title: str
    section: str
    caption: str
    svg: Markup


def write(folder: Path, figure: Figure, rows: Rows, chart: Chart) -> Written:
    """Writes folder/<name>.csv, .svg and .pdf."""
    drawn = paint(chart)
    svg = to_svg(drawn, figure.name)
    write_text(folder / f"{figure.name}.csv", to_csv(rows))
    write_text(folder / f"{figure.name}.svg", svg)
    with replacing(folder / f"{figure.name}.pdf") as temporary:
        temporary.write_bytes(to_pdf(drawn))
    return Written(figure.name, figure.title, figure.section, figure.caption,
                   Markup(inline(svg, figure.name, figure.title)))  # fmt: skip


def paint(chart: Chart) -> matplotlib_figure.Figure:
    """The chart with one set of axes, in the style of the house."""
    with mpl.rc_context(STYLE):
        figure = matplotlib_figure.Figure(figsize=chart.size)
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        for mark in chart.marks:
            _draw(axes, mark)
        if len(chart.legend) > 1:
            handles = [axes.plot([], [], "o-", ms=4, color=colour)[0] for _, colour in chart.legend]
            axes.legend(handles, [name for name, _ in chart.legend], loc="lower left", bbox_to_anchor=(0, 1.0),
                        ncols=min(4, len(handles)), fontsize=8, frameon=False, labelcolor=INK, facecolor=PAPER,
                        borderaxespad=0.2, handlelength=1.2)  # fmt: skip
        if chart.x.scale == "symlog":
            axes.set_xscale("symlog", linthresh=chart.x.linear_to)
        elif chart.x.scale != "linear":
            axes.set_xscale("log", base=int(chart.x.scale.removeprefix("log")))
        axes.minorticks_off()
        _axis(axes, "x", chart.x)
        _axis(axes, "y", chart.y)
        axes.autoscale_view()  # limits that follow from the marks have to be final before labels are put
        place(axes, chart.labels)
        if chart.ends and chart.y.limits:
            at_ends(axes, chart.ends, chart.y.limits)
    return figure


def _draw(axes: Axes, mark: Mark) -> None:
    match mark:
        case Point(x, y, colour):
            for xs, ys in ((mark.across, (y, y)), ((x, x), mark.upright)):
                if xs is not None and ys is not None:
                    axes.plot(xs, ys, color=colour, lw=mark.weight, solid_capstyle="butt", zorder=2)
            marker, fill = SHAPES[mark.shape]
            axes.plot(x, y, marker, ms=mark.size, color=colour, markerfacecolor=fill or colour,
                      markeredgewidth=mark.edge, alpha=mark.opacity, zorder=3)  # fmt: skip
        case Line(xs, ys, colour):
            if len(mark.lo):
                axes.fill_between(xs, mark.lo, mark.hi, color=colour, alpha=0.12, lw=0)
            axes.plot(xs, ys, color=colour, lw=mark.width, ls=(0, (3, 2)) if mark.dashed else "-",
                      marker="o" if mark.dots else "", ms=mark.dots, alpha=mark.opacity,
                      drawstyle="steps-post" if mark.steps else "default")  # fmt: skip
        case Bar(hatched=True):
            axes.barh(mark.y, mark.width, left=mark.left, height=0.62, facecolor=PAPER, edgecolor=mark.colour, lw=1.1,
                      hatch="////")  # fmt: skip
        case Bar():
            axes.barh(mark.y, mark.width, left=mark.left, height=0.62, color=mark.colour, lw=0)
        case Heat():
            opacity = np.asarray(mark.opacity, float)
            lines, cells = opacity.shape
            image = np.concatenate([np.broadcast_to(to_rgb(mark.colour), (lines, cells, 3)), opacity[..., None]], -1)
            axes.imshow(image, aspect="auto", interpolation="none",
                        extent=(mark.left, mark.left + cells, lines - 0.5, -0.5))  # fmt: skip
        case Span():
            axes.axvspan(mark.lo, mark.hi, color=mark.colour, lw=0, zorder=0)
        case Rule():
            style: dict[str, Any] = {"color": mark.colour, "lw": mark.width, "zorder": 1,
                                     "ls": (0, (4, 3)) if mark.dashed else "-"}  # fmt: skip
            if mark.x is not None:
                axes.axvline(mark.x, **style)
            if mark.y is not None:
                axes.axhline(mark.y, **style)
        case Text():
            frame_x, frame_y = ("axes fraction" if axis in mark.fractions else "data" for axis in "xy")
            axes.annotate(mark.text, (mark.x, mark.y), xycoords=(frame_x, frame_y), xytext=mark.shift,
                          textcoords="offset points", ha=mark.align, va=mark.upright, fontsize=mark.size,
                          color=mark.colour, annotation_clip=False)  # fmt: skip


def _axis(axes: Axes, which: Literal["x", "y"], axis: Axis) -> None:
    ours: MatplotlibAxis = axes.xaxis if which == "x" else axes.yaxis
    if axis.ticks is not None:
        ours.set_ticks(list(axis.ticks), list(axis.names) or None)
    for label, colour in zip(ours.get_ticklabels() if axis.tones else (), axis.tones, strict=True):
        label.set_color(colour)
    if axis.upright:
        axes.tick_params(axis=which, labelrotation=90)
    if axis.limits is not None:
        axes.set(**{f"{which}lim": axis.limits})
    if not axis.tick_marks:
        axes.tick_params(axis=which, length=0)
    axes.spines["bottom" if which == "x" else "left"].set_visible(axis.line)
    if axis.grid:
        axes.grid(axis=which)
    ours.set_label_text(axis.label)


def to_csv(rows: Rows) -> str:
    """Rows as CSV text, columns in the order of the first row."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def to_pdf(figure: matplotlib_figure.Figure) -> bytes:
    """The figure as PDF, the same bytes every time."""
    out = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(out, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return out.getvalue()


def to_png(figure: matplotlib_figure.Figure) -> bytes:
    """The figure as a picture of 160 dots per inch on white."""
    out = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(out, format="png", dpi=160, metadata={"Software": None})
    return out.getvalue()


def to_svg(figure: matplotlib_figure.Figure, name: str) -> str:
    """The figure as an SVG file without a background, the same text every time. `name` keeps ids of figures apart."""
    out = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
                       transparent=True)  # fmt: skip
    return out.getvalue()


def inline(svg: str, name: str, title: str) -> str:
    """An SVG file as part of an HTML page; `title` is the text for screen readers, `name` prefixes all ids."""
    svg = svg[svg.index("<svg") :]
    svg = _without(_without(svg, "<metadata>", "</metadata>"), "<!--", "-->")
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^()]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"font:\s*([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family:[^;\"]*;?", "", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    width = re.search(r'<svg[^<>]*?\swidth="([\d.]+)pt"', svg)
    pixels = round(float(width[1]) * 4 / 3) if width else 640
    svg = re.sub(r'(<svg[^<>]*?)\sheight="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(
        r'(<svg[^<>]*?)\swidth="[^"]*"',
        rf'\1 style="width:{pixels}px;min-width:{min(pixels, 580)}px"',
        svg,
        count=1,
    )
    label = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    svg = re.sub(r"<svg", f'<svg role="img" aria-label="{label}"', svg, count=1)
    return re.sub(r">\s+<", "><", svg)


def _without(text: str, begin: str, end: str) -> str:
    """The text without what lies from each `begin` to the next `end`, in linear time."""
    kept, last = [], 0
    while (first := text.find(begin, last)) >= 0 and (stop := text.find(end, first)) >= 0:
        kept.append(text[last:first])
        last = stop + len(end)
    return "".join([*kept, text[last:]])
