"""The scorecard as one picture, for a README or a slide: accuracy drawn, what to believe of it beside.

Names, dots with intervals, and in columns the control-adjusted gain, the least favourable difference at equal tokens,
the ledger class and the verdict, each as the scorecard prints it. Knows no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from elicit.report.figures.figures import draw_accuracy
from elicit.report.figures.svg import INK, MUTED, drawn
from elicit.report.numbers import Shown, show
from elicit.report.rows import ROUTINE, Row
from elicit.report.verdict import harder_to_beat, verdict_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from elicit.report.figures.series import Series

PLACES = (1.07, 1.46, 1.85, 1.96)
"""left edges of the columns, in widths of the plot"""
TITLES = ("Control-adjusted", "At equal tokens", "Class", "Verdict")
SMALL = 8


def picture(
    table: list[Row], accuracy: Series, shades: dict[str, str], ceilings: dict[str, Any], title: str
) -> Figure | None:
    """The rows of `accuracy` with their columns; None where no policy has one. `title` says what was compared."""
    by_id = {row.policy["id"]: row for row in reversed(table)}
    if not accuracy:
        return None

    def draw(axes: Axes) -> None:
        draw_accuracy(axes, accuracy, shades, ceilings)
        axes.set_xlabel("Strict accuracy, percent (hollow: placebo, diamond: rival)")
        axes.set_title(f"{title} \u00b7 {_seeds(table)}", fontsize=SMALL + 1, color=MUTED, loc="left", pad=22, x=-0.42)
        for place, text in zip(PLACES, TITLES, strict=True):
            _text(axes, place, -1.05, text, MUTED)
        for y, line in enumerate(accuracy):
            row = by_id[line["id"]]
            colour = MUTED if row.depth else INK
            for place, text in zip(PLACES, _columns(row), strict=True):
                _text(axes, place, y, text, colour)

    return drawn(4.6, 0.9 + 0.25 * len(accuracy), draw)


def _columns(row: Row) -> tuple[str, str, str, str]:
    adjusted = show(row.line.get("ctrl/gain"), "points") if row.role == "method" else Shown()
    tokens = Shown() if row.role in ROUTINE else show(harder_to_beat(row.line), "points")
    return adjusted.line, tokens.line, row.data_class, verdict_label(row)


def _seeds(table: list[Row]) -> str:
    """How many seeds the methods have: "1 seed", "1 to 3 seeds"."""
    counts = sorted({row.seeds for row in table if row.role == "method"}) or [1]
    span = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    return f"{span} seed" + ("" if counts[-1] == 1 else "s")


def _text(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    axes.annotate(text, (x, y), xycoords=("axes fraction", "data"), va="center", fontsize=SMALL, color=colour,
                  annotation_clip=False)  # fmt: skip
