"""Names next to dots and at the ends of curves, so that none covers another, a dot, or leaves the axes.

Greedy and without chance: labels are put from the top down, each at the first free one of a fixed list of positions
around its dot, else at the least crowded one; a label away from its dot is tied to it by a thin line. Knows no policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from elicit.report.figures.figure import Label
from elicit.report.figures.marks import RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[float, float, float, float]
"""left, bottom, right, top, in points"""
SIZE, WIDTH, HEIGHT, DOT = 8, 4.9, 9.5, 4.5
"""font size, and a character's width, a line's height, a dot's radius, all in points"""
_STEPS = (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7, 8, -8)
PLACES = tuple((side, step) for step in _STEPS for side in (1, -1))
"""right or left of the dot, this many lines up"""
_TIE = {"arrowstyle": "-", "color": RULE, "lw": 0.7, "shrinkA": 0, "shrinkB": 2}


def place(axes: Axes, labels: Sequence[Label]) -> None:
    """Annotate `axes`, whose limits and scales must be final."""
    scale = 72 / axes.figure.dpi
    frame = axes.get_window_extent()
    left, right, top = frame.x0 * scale, frame.x1 * scale, frame.y1 * scale
    dots = [tuple(scale * v for v in axes.transData.transform((x, y))) for x, y, _, _ in labels]
    taken: list[Box] = [(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in dots]
    for number in sorted(range(len(labels)), key=lambda i: (-dots[i][1], dots[i][0])):
        (x, y), (dx, dy, text, colour) = dots[number], labels[number]
        boxes = {choice: _box(x, y, text, *choice) for choice in PLACES}
        own = taken[number]
        side, step = min(PLACES, key=lambda choice: _cost(boxes[choice], taken, own, (left, right, top)))
        taken.append(boxes[side, step])
        axes.annotate(text, (dx, dy), xytext=(side * 7, step * HEIGHT), textcoords="offset points", va="center",
                      ha="left" if side > 0 else "right", fontsize=SIZE, color=colour, annotation_clip=False,
                      arrowprops=_TIE if abs(step) > 1 else None)  # fmt: skip


def _box(x: float, y: float, text: str, side: int, step: int) -> Box:
    width, middle = WIDTH * len(text), y + step * HEIGHT
    low, high = (x + 7, x + 7 + width) if side > 0 else (x - 7 - width, x - 7)
    return low, middle - HEIGHT / 2, high, middle + HEIGHT / 2


def _cost(box: Box, taken: Sequence[Box], own: Box, frame: tuple[float, float, float]) -> float:
    """Area that is covered already, plus what is outside of the frame; a little at the right costs least."""
    left, right, top = frame
    outside = max(0.0, left - box[0]) + max(0.0, box[2] - right) + 3 * max(0.0, box[3] - top) + 3 * max(0.0, -box[1])
    return sum(_overlap(box, other) for other in taken if other != own) + HEIGHT * outside


def _overlap(a: Box, b: Box) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return wide * high if wide > 0 and high > 0 else 0.0


def at_ends(axes: Axes, ends: Sequence[Label], limits: tuple[float, float]) -> None:
    """Labels at the right ends of curves, moved apart if they would touch, and then tied by a thin line."""
    gap = (limits[1] - limits[0]) * 0.05
    placed = apart([y for _, y, _, _ in ends], gap, limits)
    for (x, y, text, colour), at in zip(ends, placed, strict=True):
        axes.annotate(text, (x, y), xytext=(1.04, at), textcoords=("axes fraction", "data"), va="center",
                      fontsize=SIZE, color=colour, annotation_clip=False,
                      arrowprops=_TIE if abs(at - y) > gap / 3 else None)  # fmt: skip


def apart(values: Sequence[float], gap: float, limits: tuple[float, float]) -> list[float]:
    """Positions as near to `values` as a distance of `gap` and, if they fit, the limits allow, in the same order."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    placed: list[float] = []
    for i in order:
        placed.append(max(values[i], placed[-1] + gap) if placed else values[i])
    for n in range(len(placed) - 1, -1, -1):
        placed[n] = min(placed[n], limits[1] - (len(placed) - 1 - n) * gap)
    out = [0.0] * len(values)
    for i, y in zip(order, placed, strict=True):
        out[i] = y
    return out
