"""Doses of an edit: its positions, what its strength does besides accuracy, and edits compared at equal cost.

    positions    the best dose of the chosen direction at each write position
    dose_length, dose_kl    length of an answer and KL from the unedited model against strength
    equal_cost   the best dev accuracy that each edit reaches at no more than a KL
    text_cost    test accuracy against the loss on plain text that an edit costs (lens `side_effects`)

`plans` and `tables` are what a report takes, the search of `search.py` among it.
From the rows of `tradeoffs.dose` and from lenses.json; recomputes no measure. KL is a dose's own: from the unedited
model, on the unedited model's answers, nats a token. The series and their drawings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit.report.figures.labels import at_ends, place
from elicit.report.figures.search import FITTED, draw_tries, grouped, search_table, tries
from elicit.report.figures.series import Series, head
from elicit.report.figures.svg import MUTED, PALETTE, PAPER, drawn
from elicit.report.figures.tradeoffs import MARKERS, dose
from elicit.report.numbers import bounds
from elicit.report.sources import all_logs, logs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from elicit.report.rows import Row


def plans(
    table: list[Row], lenses: Mapping[str, Any], shades: dict[str, str], folder: Path | None
) -> list[tuple[str, Series, Callable[[Series], Figure], str]]:
    """(name, rows, drawing, title) of every figure of a search; those without rows are not drawn."""
    found = dose(table, logs(table, Path.cwd(), folder), FITTED)
    own = [row for row in found if row["role"] == "method"]
    lengths, kls = ([row for row in own if row[name] is not None] for name in ("length", "kl"))
    return [
        ("tries", tries(table, all_logs(table, Path.cwd(), folder)), lambda s: draw_tries(s, shades), "Every dev try"),
        ("dose_length", lengths, lambda s: draw_dose_of(s, "length", "Tokens an answer"), "Length over dose"),
        ("dose_kl", kls, lambda s: draw_dose_of(s, "kl", "KL from the unedited model, nats a token"), "KL over dose"),
        ("positions", positions(own), lambda s: draw_positions(s, shades), "Write positions"),
        ("equal_cost", equal_cost(found), lambda s: draw_equal_cost(s, shades), "Dev accuracy at equal KL"),
        ("text_cost", text_cost(table, lenses), lambda s: draw_text_cost(s, shades), "Accuracy over plain-text loss"),
    ]


def tables(table: list[Row], folder: Path | None) -> dict[str, Any]:
    """What templates print of a search: `searched`, a line a policy; `costs`, columns and lines at equal KL."""
    found = tries(table, all_logs(table, Path.cwd(), folder))
    doses = dose(table, logs(table, Path.cwd(), folder), FITTED)
    columns, lines = cost_table(equal_cost(doses), chosen_doses(found, doses))
    return {"searched": search_table(found), "cost_columns": columns, "cost_lines": lines if columns else []}


def positions(doses: Series) -> Series:
    """The best dose of every policy at each write position; ties go to the smaller KL. None where one was tried."""
    out = []
    for rows in grouped([row for row in doses if row["write"] and row["strength"] != 0], "id"):
        places = grouped(rows, "write")
        best = [max(own, key=lambda row: (row["dev_accuracy"], -(row["kl"] or 0))) for own in places]
        out += best if len(places) > 1 else []
    return out


def draw_positions(series: Series, shades: dict[str, str]) -> Figure:
    """A dot with its Wilson interval for every policy and position, its dose beside it."""

    def draw(axes: Axes) -> None:
        for y, row in enumerate(series):
            shade, x = shades[row["id"]], 100 * row["dev_accuracy"]
            if row["lo"] is not None:
                axes.plot([100 * row["lo"], 100 * row["hi"]], [y, y], color=shade, lw=1.3)
            axes.plot(x, y, "o", ms=5, color=shade)
            kl = "" if row["kl"] is None else f", KL {row['kl']:.2f}"
            tokens = "" if row["length"] is None else f", {row['length']:.0f} tokens"
            axes.annotate(f"r = {row['strength']:g}{kl}{tokens}", (1.02, y), xycoords=("axes fraction", "data"),
                          va="center", fontsize=8, color=MUTED)  # fmt: skip
        axes.set_yticks(range(len(series)), [f"{row['label'][:28]}, {row['write']}" for row in series])
        axes.set_ylim(len(series) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(-2, 102)
        axes.grid(axis="x")
        axes.set_xlabel("Dev accuracy at the best dose of each position, percent")

    return drawn(5.1, 0.9 + 0.26 * len(series), draw)


def draw_dose_of(series: Series, column: str, name: str) -> Figure:
    """A column of the dose-response over strength, a curve a policy and write position."""
    curves = [rows for own in grouped(series, "id") for rows in grouped(own, "write")]

    def draw(axes: Axes) -> None:
        ends = []
        for number, rows in enumerate(curves):
            rows, shade = sorted(rows, key=lambda row: row["strength"]), PALETTE[number % len(PALETTE)]
            x, y = [row["strength"] for row in rows], [row[column] for row in rows]
            axes.plot(x, y, color=shade, lw=1.5, marker="o", ms=3)
            ends.append((x[-1], y[-1], ", ".join(filter(None, (rows[0]["label"], rows[0]["write"]))), shade))
        top = 1.06 * max(row[column] for row in series) or 1.0
        axes.set_ylim(0, top)
        at_ends(axes, ends, (0, top))
        axes.set_xlabel("Strength of the edit")
        axes.set_ylabel(name)
        axes.grid(axis="y")

    return drawn(5.1, 3.5, draw)


def equal_cost(doses: Series) -> Series:
    """The envelope of every policy: the best dev accuracy at no more than each KL that one of its doses has."""
    out = []
    for rows in grouped([row for row in doses if row["kl"] is not None], "id"):
        best = -1.0
        for row in sorted(rows, key=lambda row: (row["kl"], -row["dev_accuracy"])):
            if row["dev_accuracy"] > best:
                best = row["dev_accuracy"]
                out.append(row)
    policies = {row["id"] for row in out if row["strength"] != 0}
    return [row for row in out if row["id"] in policies] if len(policies) > 1 else []


def cost_table(series: Series, budgets: Series) -> tuple[list[str], list[dict[str, Any]]]:
    """(column names, lines): the best dev accuracy of every policy at no more than the KL of each chosen dose.

    budgets: rows of `series` or of the doses, one a column: the dose that a method chose.
    """
    ordered = sorted(budgets, key=lambda row: row["kl"])
    lines = []
    for rows in grouped(series, "id"):
        cells = [max((r["dev_accuracy"] for r in rows if r["kl"] <= budget["kl"] + 1e-9), default=None)
                 for budget in ordered]  # fmt: skip
        lines.append({"policy": rows[0]["label"], "role": rows[0]["role"], "depth": rows[0]["depth"],
                      "class": rows[0]["class"], "dev_items": rows[0]["dev_items"], "cells": cells})  # fmt: skip
    return [f"{row['policy']}: {row['kl']:.3g}" for row in ordered], lines


def chosen_doses(found: Series, doses: Series) -> Series:
    """The dose rows that the methods chose: same policy, position and strength."""
    keys = {(row["id"], row["write"], row["strength"]) for row in found
            if row["kind"] == "chosen" and row["role"] == "method"}  # fmt: skip
    return [row for row in doses if row["kl"] is not None and (row["id"], row["write"], row["strength"]) in keys]


def draw_equal_cost(series: Series, shades: dict[str, str]) -> Figure:
    """Steps over KL: methods thick, rivals thin with diamonds, both named; placebos pale and hollow."""

    def draw(axes: Axes) -> None:
        axes.set_xscale("symlog", linthresh=0.01)
        right = 1.3 * max(row["kl"] for row in series)
        ends = []
        for rows in grouped(series, "id"):
            role, shade = rows[0]["role"], shades[rows[0]["id"]]
            x, y = [r["kl"] for r in rows], [100 * r["dev_accuracy"] for r in rows]
            axes.step([*x, right], [*y, y[-1]], where="post", color=shade, lw=2 if role == "method" else 0.8,
                      alpha=0.45 if role == "placebo" else 1)  # fmt: skip
            axes.plot(x, y, MARKERS.get(role, "o"), ms=3.4, color=shade, mew=1, ls="",
                      markerfacecolor=PAPER if role == "placebo" else shade)  # fmt: skip
            if role != "placebo":
                ends.append((right, y[-1], rows[0]["label"], shade))
        axes.set_xlim(0, right)
        ticks = [tick for tick in (0, 0.01, 0.1, 1, 10) if tick <= right]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(-2, 104)
        at_ends(axes, ends, (-2, 104))
        axes.set_xlabel("At most so much KL from the unedited model, nats a token")
        axes.set_ylabel("Best dev accuracy, percent")
        axes.grid(axis="y")

    return drawn(5.1, 3.5, draw)


def text_cost(table: list[Row], lenses: Mapping[str, Any]) -> Series:
    """Test accuracy and loss on plain text over the base's, of every fitted policy that has both."""
    columns, out = (lenses.get("side_effects") or {}).get("columns") or {}, []
    for row in table:
        told = columns.get(row.policy["name"]) or {}
        named = {key: found for key, value in told.items()
                 if key.startswith("text loss, ") and key.endswith(" - base") and (found := bounds(value))}  # fmt: skip
        numbers = bounds(row.policy["acc"])
        if row.role not in FITTED or not named or numbers is None:
            continue
        key = next((name for name in sorted(named) if "questions" not in name), None) or sorted(named)[0]
        cost = dict(zip(("cost", "cost_lo", "cost_hi"), named[key], strict=True))
        text = key.removeprefix("text loss, ").removesuffix(" - base")
        out.append(head(row) | cost | {"text": text} | dict(zip(("point", "lo", "hi"), numbers, strict=True)))
    return out


def draw_text_cost(series: Series, shades: dict[str, str]) -> Figure:
    """Accuracy over text loss, both with intervals: upper left is much for little."""

    def draw(axes: Axes) -> None:
        for row in series:
            shade, y = shades[row["id"]], 100 * row["point"]
            axes.plot([row["cost_lo"], row["cost_hi"]], [y, y], color=shade, lw=1.1)
            axes.plot([row["cost"]] * 2, [100 * row["lo"], 100 * row["hi"]], color=shade, lw=1.1)
            axes.plot(row["cost"], y, MARKERS.get(row["role"], "o"), ms=5, color=shade, mew=1.2,
                      markerfacecolor=PAPER if row["role"] == "placebo" else shade)  # fmt: skip
        axes.set_ylim(-2, 104)
        place(axes, [(r["cost"], 100 * r["point"], r["label"], shades[r["id"]]) for r in series])
        axes.set_xlabel("Loss on plain text over the base's, nats a token")
        axes.set_ylabel("Accuracy, percent")
        axes.grid(axis="y")

    return drawn(5.1, 3.5, draw)
