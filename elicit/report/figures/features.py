"""Dictionary features of a method that steers with them: how strongly the chosen one fires. The figure and its tables.

Question: does the chosen feature fire rarely and strongly, as a feature should? From `fit/features.json`: the features
that were tried, their scores, token-injection badge, logit lens, strongest contexts and histogram of activations, and
the quality card of each dictionary. The file holds text that the model wrote: it is made inert on reading.
"""

from __future__ import annotations

from typing import Any

from elicit.errors import DataError
from elicit.files import read_json
from elicit.report.figures.figure import Axis, Chart, Figure, Inputs, Line, Mark, Text
from elicit.report.figures.marks import tone
from elicit.report.figures.series import Rows, grouped, head
from elicit.report.text import clean

SCHEMA = 1
SIDES = {1: "positive", 0: "negative", -1: "neither"}


def dashboards(inputs: Inputs) -> list[dict[str, Any]]:
    """One dashboard per method that left a features.json: {row, dictionaries, features (chosen first), chosen}.

    Raises DataError on another schema.
    """
    out = []
    for row in inputs.rows:
        logs = inputs.log_paths.get(row.line.id) if row.role == "method" else None
        file = logs[0].parent / "fit" / "features.json" if logs else None
        if file is None or not file.is_file():
            continue
        found = clean(read_json(file))
        if found.get("schema") != SCHEMA:
            raise DataError(f"{file}: not schema {SCHEMA} of features.json; fit again")
        if found["features"]:
            kept = found.get("chosen") or {}
            key = (kept.get("layer"), kept.get("feature"))
            features = sorted(found["features"], key=lambda each: (each["layer"], each["feature"]) != key)
            first = features[0]
            out.append({"row": row, "dictionaries": found["dictionaries"], "features": features,
                        "chosen": first if (first["layer"], first["feature"]) == key else None,
                        "scores": list(dict.fromkeys(name for each in features for name in each["scores"])),
                        "sides": SIDES})  # fmt: skip
    return out


def rows(inputs: Inputs) -> Rows:
    """Counts of the positive activations of every method's chosen feature, one row per bin."""
    out = []
    for each in dashboards(inputs):
        bins = (each["chosen"] or {}).get("histogram") or {"edges": [], "counts": []}
        for left, right, count in zip(bins["edges"], bins["edges"][1:], bins["counts"], strict=False):
            out.append(head(each["row"]) | {"feature": each["chosen"]["feature"], "layer": each["chosen"]["layer"],
                                            "left": left, "right": right, "tokens": count})  # fmt: skip
    return [row for row in out if row["right"] > row["left"]]


def chart(rows: Rows, inputs: Inputs) -> Chart:
    """The outline of a histogram per method, its name in the same tone above."""
    marks: list[Mark] = []
    for number, bins in enumerate(grouped(rows, "label", "layer", "feature")):
        edges = [bins[0]["left"], *(row["right"] for row in bins)]
        counts = [row["tokens"] for row in bins]
        marks.append(Line([edge for edge in edges for _ in (0, 1)], [0, *(c for c in counts for _ in (0, 1)), 0],
                          tone(number)))  # fmt: skip
        marks.append(Text(1, 1.02 + 0.07 * number, f"{bins[0]['label'][:30]}: layer {bins[0]['layer']}, feature "
                          f"{bins[0]['feature']}", tone(number), align="right", upright="baseline",
                          fractions="xy"))  # fmt: skip
    y_axis = Axis("Tokens of own samples", (0, 1.05 * max(row["tokens"] for row in rows) or 1), grid=True)
    return Chart((5.1, 3.1), marks, Axis("Activation of the chosen feature when it fires"), y_axis)


FEATURES = Figure(
    "features", "Activations of the chosen feature", "curves/features", "How strongly the chosen feature fires.",
    rows, chart)  # fmt: skip
