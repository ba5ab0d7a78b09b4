"""What a gain costs besides tokens: labels, distance from the base, and the dose of an edit.

    label_bits   EF against the label bits that were read (0 at the left): 300 bits and 100,000 are not the same claim
    frontier     gain over the bare base against KL to the base, from the lens `divergence`
    dose         dev accuracy of an edit against its strength, from the rows `.../dose/...` of a run's log.jsonl

The series and their drawings. Dose rows describe a search on dev items: their intervals are Wilson's, over that many
items (E. B. Wilson, 1927). Knows comparison.json, lenses.json and log.jsonl; recomputes no measure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit.report.figures.labels import at_ends, place
from elicit.report.figures.series import Series, head
from elicit.report.figures.svg import PALETTE, PAPER, drawn
from elicit.report.numbers import bounds
from elicit.report.verdict import headline_ef

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from elicit.report.rows import Row

MARKERS = {"placebo": "o", "rival": "D"}


def label_bits(table: list[Row]) -> Series:
    """Headline EF and the bits read (train and select) of every method, placebo and rival that has both."""
    out = []
    for row in table:
        used, (pair, value) = row.policy.get("ledger") or {}, headline_ef(row.line)
        numbers = bounds(value)
        if row.role in ("base", "prompt", "ceiling") or numbers is None or used.get("label_bits") is None:
            continue
        bits = int(used["label_bits"]) + int(used.get("select_bits") or 0)
        out.append(head(row) | {"bits": bits, "pair": pair} | dict(zip(("point", "lo", "hi"), numbers, strict=True)))
    return out


def draw_label_bits(series: Series, shades: dict[str, str]) -> Figure:
    """EF over label bits on a log axis that begins at 0; budgets of one method joined by a line."""

    def draw(axes: Axes) -> None:
        axes.set_xscale("symlog", linthresh=10)
        for row in series:
            _cross(axes, max(row["bits"], 0), row, shades[row["id"]], 1)
        _joined(axes, series, shades)
        axes.set_xlim(-2, max(30, *(3 * row["bits"] for row in series)))
        ticks = [0, 10, 100, 1_000, 10_000, 100_000, 1_000_000]
        shown = [t for t in ticks if t <= axes.get_xlim()[1]]
        axes.set_xticks(shown, [f"{t:,}" for t in shown])
        axes.minorticks_off()
        low, high = min(row["lo"] for row in series), max(row["hi"] for row in series)
        axes.set_ylim(min(-0.06, low - 0.05), max(1.06, high + 0.05))
        place(axes, [(r["bits"], r["point"], r["label"], shades[r["id"]]) for r in series if r["role"] == "method"])
        axes.set_xlabel("Label bits read, fitting and selection (log scale)")
        axes.set_ylabel("Elicitation fraction")
        axes.grid(axis="y")

    return drawn(5.1, 3.5, draw)


def _joined(axes: Axes, series: Series, shades: dict[str, str]) -> None:
    """A line through the budgets of one method, where there are three or more."""
    budgets: dict[str, Series] = {}
    for row in series:
        if row["role"] == "method" and row.get("method"):
            budgets.setdefault(row["method"], []).append(row)
    for rows in budgets.values():
        rows = sorted(rows, key=lambda row: row["bits"])
        if len({row["bits"] for row in rows}) >= 3:
            colour = shades[rows[0]["id"]]
            axes.plot([r["bits"] for r in rows], [r["point"] for r in rows], color=colour, lw=1, zorder=1)


def frontier(table: list[Row], lenses: Mapping[str, Any]) -> Series:
    """Gain over the bare base and KL to it a completion, of every policy that the lens `divergence` measured."""
    columns = (lenses.get("divergence") or {}).get("columns") or {}
    out = []
    for row in table:
        gain = bounds((row.policy.get("gain") or {}).get("B0"))
        told = columns.get(row.policy["name"]) or columns.get(row.name) or {}
        named = {key: found for key, value in told.items() if key.startswith("sequence") and (found := bounds(value))}
        if gain is None or not named or row.role == "ceiling":
            continue
        key = "sequence" if "sequence" in named else sorted(named)[0]
        kl = dict(zip(("kl", "kl_lo", "kl_hi"), named[key], strict=True))
        out.append(head(row) | kl | {"measured_on": key} | dict(zip(("point", "lo", "hi"), gain, strict=True)))
    return out


def draw_frontier(series: Series, shades: dict[str, str]) -> Figure:
    """Gain in points over KL in nats a completion, both with intervals."""

    def draw(axes: Axes) -> None:
        for row in series:
            colour = shades[row["id"]]
            axes.plot([row["kl_lo"], row["kl_hi"]], [100 * row["point"]] * 2, color=colour, lw=1.1, zorder=2)
            _cross(axes, row["kl"], row, colour, 100)
        top = max(row["kl_hi"] for row in series)
        axes.set_xlim(min(0.0, min(row["kl_lo"] for row in series)) - 0.03 * top, 1.25 * top or 1.0)
        place(axes, [(r["kl"], 100 * r["point"], r["label"], shades[r["id"]]) for r in series if r["role"] == "method"])
        axes.set_xlabel("KL to the base, nats a completion")
        axes.set_ylabel("Gain over the bare base, points")
        axes.grid(axis="y")

    return drawn(5.1, 3.5, draw)


def _cross(axes: Axes, x: float, row: dict[str, Any], colour: str, unit: float) -> None:
    face = PAPER if row["role"] == "placebo" else colour
    axes.plot([x, x], [unit * row["lo"], unit * row["hi"]], color=colour, lw=1.1, zorder=2)
    axes.plot(x, unit * row["point"], MARKERS.get(row["role"], "o"), ms=5, color=colour, markerfacecolor=face,
              markeredgewidth=1.2, zorder=3)  # fmt: skip


def dose(table: list[Row], logs: Mapping[str, Path], roles: tuple[str, ...] = ("method",)) -> Series:
    """Rows of a dose-response: policy, write position, strength, dev accuracy with Wilson's interval, length, KL."""
    out = []
    for row in table:
        path = logs.get(row.policy["id"])
        if path is None or row.role not in roles:
            continue
        lines = log_rows(path)
        n = max((int(line["dev_items"]) for line in lines if line.get("dev_items")), default=None)
        for line in lines:
            found = {key.split("/dose/", 1)[1]: value for key, value in line.items() if "/dose/" in key}
            if "strength" in found and isinstance(found.get("accuracy"), int | float):
                out.append(head(row) | _dose_row(found, found.get("dev_items") or n))
    return out


def log_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a log.jsonl; a last line that a killed run left half-written is passed over."""
    out = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict):
            out.append(row)
    return out


def _dose_row(found: dict[str, Any], n: int | None) -> dict[str, Any]:
    share = float(found["accuracy"])
    lo, hi = wilson(share, n) if n else (None, None)
    return {"write": str(found.get("write", "")), "strength": float(found["strength"]), "dev_accuracy": share, "lo": lo,
            "hi": hi, "dev_items": n, "length": found.get("length"), "kl": found.get("kl")}  # fmt: skip


def wilson(share: float, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a share of n items, one sample each.

    For shares of a run's log, which no measure of comparison.json holds and no bootstrap can be made of; what is
    measured on test items comes with the evaluator's own intervals (`elicit.evaluate.statistics.resamples`).

    >>> [round(x, 3) for x in wilson(0.5, 100)]
    [0.404, 0.596]
    """
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def draw_dose(series: Series) -> Figure:
    """Dev accuracy over strength, a curve a policy and write position, with its band where the items are known."""
    curves: dict[tuple[str, str], Series] = {}
    for row in series:
        curves.setdefault((row["label"], row["write"]), []).append(row)

    def draw(axes: Axes) -> None:
        ends = []
        for number, ((label, write), rows) in enumerate(curves.items()):
            rows, colour = sorted(rows, key=lambda row: row["strength"]), PALETTE[number % len(PALETTE)]
            x, y = [r["strength"] for r in rows], [100 * r["dev_accuracy"] for r in rows]
            if all(r["lo"] is not None for r in rows):
                axes.fill_between(x, [100 * r["lo"] for r in rows], [100 * r["hi"] for r in rows], color=colour,
                                  alpha=0.12, lw=0)  # fmt: skip
            axes.plot(x, y, color=colour, lw=1.5, marker="o", ms=3)
            ends.append((x[-1], y[-1], f"{label}, {write}" if write else label, colour))
        axes.set_ylim(-2, 104)
        at_ends(axes, ends, (-2, 104))
        axes.set_xlabel("Strength of the edit")
        axes.set_ylabel("Dev accuracy, percent")
        axes.grid(axis="y")

    return drawn(5.1, 3.5, draw)
