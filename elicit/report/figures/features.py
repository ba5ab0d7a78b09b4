"""The feature dashboard: `fit/features.json` of a method that steers with dictionary features, as tables and a figure.

Which features were tried and which was chosen, their scores, the token-injection badge, logit lens, strongest contexts,
histogram of activations, and the quality card of each dictionary. The file holds text that the model wrote: made inert
on reading. Recomputes no measure.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit.errors import DataError
from elicit.files import read_json
from elicit.report.figures.series import Series, head
from elicit.report.figures.svg import PALETTE, drawn
from elicit.report.sources import logs
from elicit.report.text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from elicit.report.rows import Row

SCHEMA = 1
SIDES = {1: "positive", 0: "negative", -1: "neither"}


def dashboards(table: list[Row], folder: Path | None) -> list[dict[str, Any]]:
    """One dashboard a method that left a features.json: {row, dictionaries, features (chosen first), chosen}.

    Raises DataError on another schema.
    """
    out = []
    for row in table:
        path = logs([row], Path.cwd(), folder).get(row.policy["id"]) if row.role == "method" else None
        file = path.parent / "fit" / "features.json" if path else None
        if file is None or not file.is_file():
            continue
        found = clean(read_json(file))
        if found.get("schema") != SCHEMA:
            raise DataError(f"{file}: not schema {SCHEMA} of features.json; fit again")
        if found["features"]:
            out.append({"row": row} | _ordered(found))
    return out


def _ordered(found: dict[str, Any]) -> dict[str, Any]:
    kept = found.get("chosen") or {}
    key = (kept.get("layer"), kept.get("feature"))
    features = sorted(found["features"], key=lambda each: (each["layer"], each["feature"]) != key)
    chosen = next((each for each in features if (each["layer"], each["feature"]) == key), None)
    scores = list(dict.fromkeys(name for each in features for name in each["scores"]))
    return {"dictionaries": found["dictionaries"], "features": features, "chosen": chosen, "scores": scores,
            "sides": SIDES}  # fmt: skip


def histogram(shown: list[dict[str, Any]]) -> Series:
    """Counts of the positive activations of every method's chosen feature, a row a bin."""
    out = []
    for each in shown:
        bins = (each["chosen"] or {}).get("histogram") or {"edges": [], "counts": []}
        for left, right, count in zip(bins["edges"], bins["edges"][1:], bins["counts"], strict=False):
            out.append(head(each["row"]) | {"feature": each["chosen"]["feature"], "layer": each["chosen"]["layer"],
                                            "left": left, "right": right, "tokens": count})  # fmt: skip
    return [row for row in out if row["right"] > row["left"]]


def draw_histogram(series: Series) -> Figure:
    """Bars over activation, a tone a method."""
    names = list(dict.fromkeys((row["label"], row["layer"], row["feature"]) for row in series))

    def draw(axes: Axes) -> None:
        for number, key in enumerate(names):
            rows = [row for row in series if (row["label"], row["layer"], row["feature"]) == key]
            axes.stairs([row["tokens"] for row in rows], [rows[0]["left"], *(row["right"] for row in rows)],
                        color=PALETTE[number % len(PALETTE)], lw=1.5)  # fmt: skip
            axes.annotate(f"{key[0][:30]}: layer {key[1]}, feature {key[2]}", (1, 1.02 + 0.07 * number), ha="right",
                          xycoords="axes fraction", fontsize=8, color=PALETTE[number % len(PALETTE)])  # fmt: skip
        axes.set_xlabel("Activation of the chosen feature where it fires")
        axes.set_ylabel("Tokens of own samples")
        axes.grid(axis="y")

    return drawn(5.1, 3.1, draw)
