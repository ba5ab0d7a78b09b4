"""What a searched edit was chosen from: every dev try of a method and of its controls, the chosen one marked.

A best try is the best of many, so a method's is read against the distribution of as many placebo tries; both best arms
are measured again on test items (the scorecard's control-adjusted gain). From the rows `.../try/...`, `.../dose/...`
and `.../chosen/...` of the runs' log.jsonl; recomputes no measure. The series, its table and its drawing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from elicit.report.figures.series import Series, head
from elicit.report.figures.svg import INK, MUTED, drawn
from elicit.report.figures.tradeoffs import log_rows
from elicit.report.numbers import bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from elicit.report.rows import Row

FITTED = ("method", "placebo", "rival")


def tries(table: list[Row], logs: Mapping[str, Sequence[Path]]) -> Series:
    """Every dev try: a row each, `kind` search or sweep, and one `chosen` with the policy's test accuracy beside it."""
    out = []
    for row in table:
        for draw, path in enumerate(logs.get(row.policy["id"], ()) if row.role in FITTED else ()):
            lines = log_rows(path)
            found = [*_named(lines, "try", "dev", "search"), *_named(lines, "dose", "accuracy", "sweep")]
            chosen = _named(lines, "chosen", "accuracy", "chosen")
            test = dict(zip(("test", "test_lo", "test_hi"), bounds(row.policy["acc"]) or (None,) * 3, strict=True))
            if found and chosen:
                none = dict.fromkeys(test)
                out += [head(row) | {"draw": draw} | each | none for each in found if each["strength"] != 0]
                out.append(head(row) | {"draw": draw} | chosen[-1] | test)
    return out


def _named(lines: Sequence[dict[str, Any]], what: str, score: str, kind: str) -> list[dict[str, Any]]:
    """Log rows `.../<what>/...` that have a score and say on how many dev items."""
    out = []
    for line in lines:
        found = {key.split(f"/{what}/", 1)[1]: value for key, value in line.items() if f"/{what}/" in key}
        if found.get(score) is not None and found.get("dev_items"):
            own = {key: found.get(key) for key in ("layer", "feature", "write", "strength", "dev_items")}
            out.append({"kind": kind, "dev_accuracy": float(found[score]), **own})
    return out


def search_table(series: Series) -> list[dict[str, Any]]:
    """A line a policy: tries, the distribution of the first round (every option on the same items), best, test."""
    out = []
    for rows in grouped(series, "id"):
        made = [row for row in rows if row["kind"] != "chosen"]
        search = [row for row in made if row["kind"] == "search"]
        chosen = max((row for row in rows if row["kind"] == "chosen"), key=lambda row: row["dev_accuracy"])
        first_items = min((row["dev_items"] for row in search), default=None)
        first = [row["dev_accuracy"] for row in search if row["dev_items"] == first_items]
        out.append({
            "policy": rows[0]["label"], "role": rows[0]["role"], "depth": rows[0]["depth"], "class": rows[0]["class"],
            "draws": len({row["draw"] for row in rows}), "tries": len(made), "options": len(first),
            "first_items": first_items, "median": median(first) if first else None, "best": max(first, default=None),
            "chosen": chosen["dev_accuracy"], "dev_items": chosen["dev_items"], "what": _what(chosen),
            "test": {"point": chosen["test"], "lo": chosen["test_lo"], "hi": chosen["test_hi"]},
        })  # fmt: skip
    return out


def _what(row: dict[str, Any]) -> str:
    feature = f", feature {row['feature']}" if row.get("feature") is not None else ""
    return f"layer {row['layer']}{feature}, r = {row['strength']:g}, {row['write']}"


def draw_tries(series: Series, shades: dict[str, str]) -> Figure:
    """A strip a policy: one dot a try, stacked where equal, paler the fewer items it was measured on."""
    groups = grouped(series, "id")
    items = max(row["dev_items"] for row in series)

    def draw(axes: Axes) -> None:
        for y, rows in enumerate(groups):
            shade, at = shades[rows[0]["id"]], Counter[float]()
            made = sorted((r for r in rows if r["kind"] != "chosen"), key=lambda r: -r["dev_items"])
            most = max(Counter(round(r["dev_accuracy"], 3) for r in made).values())
            for row in made:
                x = round(row["dev_accuracy"], 3)
                axes.plot(100 * x, y - 0.28 + 0.6 * at[x] / max(most, 12), "o", ms=2.6, color=shade, mew=0,
                          alpha=min(1.0, 0.2 + 0.8 * row["dev_items"] / items))  # fmt: skip
                at[x] += 1
            _chosen(axes, y, [r for r in rows if r["kind"] == "chosen"], shade)
        axes.set_yticks(range(len(groups)), [f"{rows[0]['label'][:34]} ({_count(rows)} tries)" for rows in groups])
        for tick, rows in zip(axes.get_yticklabels(), groups, strict=True):
            tick.set_color(MUTED if rows[0]["depth"] else INK)
        axes.set_ylim(-0.7, len(groups) - 0.3)
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(-2, 102)
        axes.grid(axis="x")
        axes.set_xlabel("Accuracy, percent; dots: dev, every try; ring: chosen; bar: its test accuracy with interval")

    return drawn(8.6, 0.9 + 0.52 * len(groups), draw)


def _chosen(axes: Axes, y: float, rows: Series, shade: str) -> None:
    for row in rows:
        axes.plot(100 * row["dev_accuracy"], y - 0.28, "o", ms=7, color=shade, markerfacecolor="none", mew=1.4)
        if row["test"] is not None:
            axes.plot([100 * row["test_lo"], 100 * row["test_hi"]], [y - 0.44] * 2, color=shade, lw=1.3)
            axes.plot(100 * row["test"], y - 0.44, "|", ms=7, color=shade, mew=2)


def _count(rows: Series) -> int:
    return sum(row["kind"] != "chosen" for row in rows)


def grouped(series: Series, key: str) -> list[Series]:
    """Rows by the value of a column, in the order of first appearance."""
    out: dict[Any, Series] = {}
    for row in series:
        out.setdefault(row[key], []).append(row)
    return list(out.values())
