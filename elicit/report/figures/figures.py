"""The figures of a comparison: accuracy, coverage, budget, validity, who solves what.

Each takes the rows of `series` (its CSV) and returns a matplotlib figure. Direct labels instead of legends;
placebos hollow, rivals as diamonds, so that role never rests on colour alone. Uses no pyplot: no global state.
Knows nothing of files or pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgb

from elicit.report.figures.labels import at_ends, place
from elicit.report.figures.svg import BAND, INK, MUTED, PALETTE, PAPER, drawn
from elicit.report.numbers import bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from elicit.report.figures.series import Series
    from elicit.report.rows import Row

MARKERS = {"placebo": "o", "rival": "D"}
LABELLED = 8
"""curves that get a colour and a label of their own; more are drawn in the muted tone"""


def colours(table: list[Row]) -> dict[str, str]:
    """A colour for every policy id, the same in all figures: base rungs and ceilings ink, methods the palette in order,
    controls as their method."""
    out, method, count = {}, INK, 0
    for row in table:
        if row.role == "method":
            method = PALETTE[count % len(PALETTE)]
            count += 1
        out[row.policy["id"]] = method if row.role in ("method", "placebo", "rival") else INK
    return out


def accuracy(series: Series, shades: dict[str, str], ceilings: dict[str, Any]) -> Figure:
    """Dots with intervals, one line a policy; the bare base as a band through the page, ceilings as dashed lines."""

    def draw(axes: Axes) -> None:
        draw_accuracy(axes, series, shades, ceilings)

    return drawn(8.6, 0.8 + 0.23 * len(series), draw)


def draw_accuracy(axes: Axes, series: Series, shades: dict[str, str], ceilings: dict[str, Any]) -> None:
    """What `accuracy` draws, into given axes."""
    for row in series:
        if row["badge"] == "B0":
            axes.axvspan(100 * row["lo"], 100 * row["hi"], color=BAND, lw=0, zorder=0)
    places: dict[float, list[str]] = {}
    for name, value in ceilings.items():
        if numbers := bounds(value):
            axes.axvline(100 * numbers[0], color=MUTED, lw=0.8, ls=(0, (4, 3)), zorder=1)
            near = next((x for x in places if abs(x - 100 * numbers[0]) < 4), 100 * numbers[0])
            places.setdefault(near, []).append(name)
    for x, names in places.items():
        axes.annotate(", ".join(names), (x, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
                      textcoords="offset points", ha="center", fontsize=8, color=MUTED)  # fmt: skip
    for y, row in enumerate(series):
        _dot(axes, 100 * row["point"], y, row, shades[row["id"]], 100 * row["lo"], 100 * row["hi"])
    _names(axes, series)
    axes.set_xlim(-2, 102)
    axes.set_xlabel("Strict accuracy, percent")


def _dot(axes: Axes, x: float, y: float, row: dict[str, Any], colour: str, lo: float, hi: float) -> None:
    face = PAPER if row["role"] == "placebo" else colour
    axes.plot([lo, hi], [y, y], color=colour, lw=1.3, solid_capstyle="butt", zorder=2)
    axes.plot(x, y, MARKERS.get(row["role"], "o"), ms=5 if row["role"] != "rival" else 4.2, color=colour,
              markerfacecolor=face, markeredgewidth=1.2, zorder=3)  # fmt: skip


def _names(axes: Axes, series: Series) -> None:
    axes.set_yticks(range(len(series)), [_label(row) for row in series])
    for tick, row in zip(axes.get_yticklabels(), series, strict=True):
        tick.set_color(MUTED if row["depth"] else INK)
    axes.set_ylim(len(series) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _label(row: dict[str, Any]) -> str:
    name = row["label"]
    text = name if len(name) <= 34 else name[:33] + "\u2026"
    return text + (f" ({row['badge']})" if row["badge"] in ("B0", "B1") else "")


def coverage(series: Series, shades: dict[str, str]) -> Figure:
    """cov@k over k on a log axis, with its 95 % band."""

    def draw(axes: Axes) -> None:
        ends = []
        for row in _by_policy(series)[: 4 * LABELLED]:
            first, shade = row[0], shades[row[0]["id"]]
            k, point, lo, hi = ([p[name] for p in row] for name in ("k", "point", "lo", "hi"))
            style = (0, (3, 2)) if first["role"] == "prompt" else "-"
            axes.fill_between(k, 100 * np.array(lo), 100 * np.array(hi), color=shade, alpha=0.12, lw=0)
            axes.plot(k, 100 * np.array(point), color=shade, lw=1.6, ls=style, marker="o", ms=2.8)
            ends.append((k[-1], 100 * point[-1], _label(first), shade))
        _log2(axes, sorted({p["k"] for p in series}))
        axes.set_ylim(0, 102)
        at_ends(axes, ends, (0, 102))
        axes.set_xlabel("Samples k (log scale)")
        axes.set_ylabel("Items solved at least once, percent")
        axes.grid(axis="y")

    return drawn(5.1, 3.5, draw)


def _by_policy(series: Series) -> list[Series]:
    out: dict[str, Series] = {}
    for row in series:
        out.setdefault(row["id"], []).append(row)
    return list(out.values())


def _log2(axes: Axes, ticks: Sequence[float]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(ticks), [f"{k:g}" for k in ticks])
    axes.minorticks_off()


def budget(series: Series, shades: dict[str, str]) -> Figure:
    """Accuracy against tokens an answer; the line is the base's majority vote, which any method has to beat."""
    dots = [row for row in series if row["kind"] == "accuracy"]
    vote = [row for row in series if row["kind"] != "accuracy"]

    def draw(axes: Axes) -> None:
        if vote:
            x = [p["tokens"] for p in vote]
            axes.fill_between(
                x, [100 * p["lo"] for p in vote], [100 * p["hi"] for p in vote], color=INK, alpha=0.1, lw=0
            )
            axes.plot(x, [100 * p["point"] for p in vote], color=INK, lw=1.4)
        for row in dots:
            shade = shades[row["id"]]
            axes.plot([row["tokens"]] * 2, [100 * row["lo"], 100 * row["hi"]], color=shade, lw=1.1, zorder=2)
            axes.plot(row["tokens"], 100 * row["point"], MARKERS.get(row["role"], "o"), ms=5, color=shade, zorder=3,
                      markerfacecolor=PAPER if row["role"] == "placebo" else shade, markeredgewidth=1.2)  # fmt: skip
        axes.set_xscale("log")
        axes.set_ylim(0, 102)
        _token_ticks(axes, [row["tokens"] for row in series])
        named = [r for r in dots if r["role"] == "method" or r["badge"] in ("B0", "B1")]
        told = [(r["tokens"], 100 * r["point"], r["badge"] if r["badge"] in ("B0", "B1") else _label(r),
                 shades[r["id"]]) for r in named]  # fmt: skip
        if vote:
            told.append((vote[-1]["tokens"], 100 * vote[-1]["point"], "base, majority vote", INK))
        place(axes, told)
        axes.set_xlabel("Tokens per answer (log scale)")
        axes.set_ylabel("Accuracy, percent")
        axes.grid(axis="y")

    return drawn(5.1, 3.5, draw)


def _token_ticks(axes: Axes, tokens: Sequence[float]) -> None:
    lo, hi = min(tokens) * 0.72, max(tokens) * 1.25
    steps = [m * 10**e for e in range(0, 8) for m in (1, 2, 5)]
    ticks = [s for s in steps if lo <= s <= hi]
    while len(ticks) > 7:
        ticks = ticks[::2]
    axes.set_xlim(lo, hi)
    axes.set_xticks(ticks, [f"{t:,g}" if t < 1e6 else f"{t:.0e}" for t in ticks])
    axes.minorticks_off()


def validity(series: Series) -> Figure:
    """Right answers, split: by a valid trace (full), by an invalid one (hollow, unearned)."""

    def draw(axes: Axes) -> None:
        for y, row in enumerate(series):
            earned, unearned = 100 * row["earned"], 100 * row["unearned"]
            axes.barh(y, earned, height=0.62, color=PALETTE[0], lw=0)
            axes.barh(
                y, unearned, left=earned, height=0.62, facecolor=PAPER, edgecolor=PALETTE[1], lw=1.1, hatch="////"
            )
        top = max(series, key=lambda row: row["earned"] + row["unearned"])
        y = series.index(top)
        axes.annotate("right, by a valid trace", (100 * top["earned"] / 2, y), ha="center", va="center", fontsize=8,
                      color=PAPER)  # fmt: skip
        widest = max(series, key=lambda row: row["unearned"])
        axes.annotate("right, by an invalid trace", (100 * (widest["earned"] + widest["unearned"]),
                      series.index(widest)), xytext=(5, 0), textcoords="offset points", va="center",
                      fontsize=8, color=PALETTE[1])  # fmt: skip
        _names(axes, series)
        axes.set_xlim(0, 102)
        axes.set_xlabel("Share of samples, percent")

    return drawn(8.6, 0.7 + 0.25 * len(series), draw)


def solves(series: Series, policies: dict[str, Row]) -> Figure:
    """A strip: one column an item, one line a policy, darker where more of its samples solve the item.

    The tone is opacity of one colour, so it reads on paper and in the dark. Right of the rule: never
    solved by the base.
    """
    names = list(policies)
    base = next((name for name, row in policies.items() if row.badge == "B0"), None)
    share = np.array([[float(row[name] or 0) for row in series] for name in names])  # policies x items
    image = np.zeros((*share.shape, 4))
    image[..., :3] = to_rgb(PALETTE[0])
    image[..., 3] = np.where(share > 0, 0.15 + 0.85 * share, 0)

    def draw(axes: Axes) -> None:
        axes.imshow(image, aspect="auto", interpolation="none", extent=(0, share.shape[1], len(names) - 0.5, -0.5))
        axes.set_yticks(
            range(len(names)), [_label({"label": row.label, "badge": row.badge}) for row in policies.values()]
        )
        for tick, row in zip(axes.get_yticklabels(), policies.values(), strict=True):
            tick.set_color(MUTED if row.depth else INK)
        for y in range(1, len(names)):
            axes.axhline(y - 0.5, color=PAPER, lw=1.2)
        if base is not None:
            solved = int((share[names.index(base)] > 0).sum())
            axes.axvline(solved, color=INK, lw=1)
            axes.annotate(f"{share.shape[1] - solved} items never solved by the base", (solved, 1), xytext=(3, 4),
                          xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=8, color=INK,
                          ha="left" if solved < 0.65 * share.shape[1] else "right")  # fmt: skip
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"{share.shape[1]} items, easiest for the base first")

    return drawn(10.4, 0.8 + 0.2 * len(names), draw)
