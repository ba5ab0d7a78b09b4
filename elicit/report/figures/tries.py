"""Every dev try of a searched edit and of its controls, the chosen one marked. The figure and its table.

Question: is the chosen try better than the best of as many placebo tries? A best try is the best of many, so both best
arms are measured again on test items (the scorecard's control-adjusted gain). From the rows `.../try/...`,
`.../dose/...` and `.../chosen/...` of the runs' log.jsonl; recomputes no measure.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import median
from typing import Any

from elicit.report.figures.figure import Axis, Chart, Figure, Inputs, Mark, Point
from elicit.report.figures.marks import WIDE, colours, listed
from elicit.report.figures.series import Rows, columns, grouped, head, interval, logged
from elicit.results.comparison import FITTED

TEST = ("test", "test_lo", "test_hi")


def rows(inputs: Inputs) -> Rows:
    """One row per dev try, `kind` search or sweep, and one `chosen` per seed with the policy's test accuracy."""
    out: Rows = []
    for row in inputs.rows:
        for draw, log in enumerate(inputs.logs.get(row.line.id, ()) if row.role in FITTED else ()):
            tried = [*_scored(log, "try", "dev", "search"), *_scored(log, "dose", "accuracy", "sweep")]
            chosen = _scored(log, "chosen", "accuracy", "chosen")
            if tried and chosen:
                both = head(row) | {"draw": draw}
                out += [both | each | columns(None, TEST) for each in tried if each["strength"] != 0]
                out.append(both | chosen[-1] | columns(interval(row.line.get("acc/strict")), TEST))
    return out


def _scored(log: Rows, what: str, score: str, kind: str) -> Rows:
    """The log rows `.../<what>/...` that have a score and the number of its dev items."""
    kept = ("layer", "feature", "write", "strength", "dev_items")
    return [{"kind": kind, "dev_accuracy": float(found[score])} | {key: found.get(key) for key in kept}
            for found in logged(log, what) if found.get(score) is not None and found.get("dev_items")]  # fmt: skip


def table(tries: Rows) -> list[dict[str, Any]]:
    """One line per policy: tries, the distribution of the first round (every option on the same items), best, test."""
    out = []
    for rows in grouped(tries, "id"):
        made = [row for row in rows if row["kind"] != "chosen"]
        search = [row for row in made if row["kind"] == "search"]
        chosen = max((row for row in rows if row["kind"] == "chosen"), key=lambda row: row["dev_accuracy"])
        first_items = min((row["dev_items"] for row in search), default=None)
        first = [row["dev_accuracy"] for row in search if row["dev_items"] == first_items]
        feature = f", feature {chosen['feature']}" if chosen["feature"] is not None else ""
        out.append({
            "policy": rows[0]["label"], "role": rows[0]["role"], "depth": rows[0]["depth"], "class": rows[0]["class"],
            "draws": len({row["draw"] for row in rows}), "tries": len(made), "options": len(first),
            "first_items": first_items, "median": median(first) if first else None, "best": max(first, default=None),
            "chosen": chosen["dev_accuracy"], "dev_items": chosen["dev_items"],
            "what": f"layer {chosen['layer']}{feature}, r = {chosen['strength']:g}, {chosen['write']}",
            "test": {"point": chosen["test"], "lo": chosen["test_lo"], "hi": chosen["test_hi"]},
        })  # fmt: skip
    return out


def chart(rows: Rows, inputs: Inputs) -> Chart:
    """A strip per policy: one dot per try, stacked if equal, paler the fewer items it was measured on."""
    shades, policies = colours(inputs.rows), grouped(rows, "id")
    items = max(row["dev_items"] for row in rows)
    marks: list[Mark] = []
    names = []
    for y, own in enumerate(policies):
        shade, height = shades[own[0]["id"]], Counter[float]()
        made = sorted((row for row in own if row["kind"] != "chosen"), key=lambda row: -row["dev_items"])
        names.append(f"{own[0]['label'][:34]} ({len(made)} tries)")
        most = max(12, *Counter(round(row["dev_accuracy"], 3) for row in made).values())
        # 1) every try
        for row in made:
            x = round(row["dev_accuracy"], 3)
            marks.append(Point(100 * x, y - 0.28 + 0.6 * height[x] / most, shade, size=2.6, edge=0,
                               opacity=min(1.0, 0.2 + 0.8 * row["dev_items"] / items)))  # fmt: skip
            height[x] += 1
        # 2) the chosen one of each seed as a ring, its test accuracy as a bar above
        for row in own:
            if row["kind"] == "chosen":
                marks.append(Point(100 * row["dev_accuracy"], y - 0.28, shade, shape="ring", size=7, edge=1.4))
                if row["test"] is not None:
                    marks.append(Point(100 * row["test"], y - 0.44, shade, (100 * row["test_lo"], 100 * row["test_hi"]),
                                       shape="tick", size=7, edge=2, weight=1.3))  # fmt: skip
    y_axis = listed(names, [own[0]["depth"] for own in policies])
    return Chart(
        (WIDE, 0.9 + 0.52 * len(policies)), marks,
        Axis("Accuracy, percent; dots: dev, every try; ring: chosen; bar: its test accuracy with interval", (-2, 102),
             grid=True),
        replace(y_axis, limits=(len(policies) - 0.3, -0.7)))  # fmt: skip


TRIES = Figure(
    "tries", "Every dev try", "curves/search",
    "Every dev try of a method and of its controls, paler the fewer items it was measured on. The best of many tries "
    "is high by chance too: what counts is the test accuracy of both best arms, whose difference with interval is the "
    "scorecard's control-adjusted gain.", rows, chart)  # fmt: skip
