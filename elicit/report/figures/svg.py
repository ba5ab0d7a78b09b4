"""Matplotlib figures as inline SVG that follows the page: its font, its colours, light or dark.

Drawn in the light page's colours; in the SVG each known colour becomes the CSS variable of the same meaning.
Nothing in the result points outside: no DOCTYPE, no metadata, no namespace, ids prefixed so that several
figures live on one page. Knows nothing of what is drawn.

Palette: Okabe & Ito, "Color universal design" (2008), the yellow left out and two tones darkened for white paper.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, RULE, PAPER, BAND = "#1c1b19", "#6b6862", "#dcd8d0", "#ffffff", "#efece6"
PALETTE = ("#0072b2", "#c2500a", "#00805d", "#a8558a", "#3a8fc4", "#8a6d00", "#7a4fbf")
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


def drawn(width: float, height: float, draw: Callable[[Axes], None]) -> Figure:
    """A figure of width x height inches with one set of axes, drawn under the house style."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        draw(figure.subplots())
    return figure


def to_pdf(figure: Figure) -> bytes:
    """The figure as PDF, the same bytes every time."""
    out = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(out, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return out.getvalue()


def to_png(figure: Figure) -> bytes:
    """The figure as a picture of 160 dots an inch on white."""
    out = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(out, format="png", dpi=160, metadata={"Software": None})
    return out.getvalue()


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an SVG file without a background, the same text every time. `name` keeps ids of figures apart."""
    out = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
                       transparent=True)  # fmt: skip
    return out.getvalue()


def inline(svg: str, name: str, title: str) -> str:
    """An SVG file as part of an HTML page; `title` is what a screen reader says, `name` prefixes all ids."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"font:\s*([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family:[^;\"]*;?", "", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    width = re.search(r'<svg[^>]*?\swidth="([\d.]+)pt"', svg)
    pixels = round(float(width[1]) * 4 / 3) if width else 640
    svg = re.sub(r'(<svg[^>]*?)\sheight="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(
        r'(<svg[^>]*?)\swidth="[^"]*"',
        rf'\1 style="width:{pixels}px;min-width:{min(pixels, 580)}px"',
        svg,
        count=1,
    )
    label = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    svg = re.sub(r"<svg", f'<svg role="img" aria-label="{label}"', svg, count=1)
    return re.sub(r">\s+<", "><", re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL))
