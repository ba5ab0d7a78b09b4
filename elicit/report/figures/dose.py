"""What the strength of an edit does: dev accuracy, length of an answer and KL from the unedited model.

Question: does the effect grow with the dose, and at which strength does it cost length or break the model? From the
rows `.../dose/...` of a run's log.jsonl, which describe the search by which a method was chosen, not its result. KL is
from the unedited model, on the unedited model's answers, in nats per token.
"""

from __future__ import annotations

from collections.abc import Callable

from elicit.report.figures.figure import Axis, Chart, Figure, Inputs, Label, Line
from elicit.report.figures.marks import SMALL, tone
from elicit.report.figures.series import Rows, grouped, head, logged, wilson
from elicit.results.comparison import FITTED


def doses(inputs: Inputs, roles: tuple[str, ...] = FITTED) -> Rows:
    """Write position, strength, dev accuracy with Wilson's interval, length and KL of every dose that was tried."""
    out = []
    for row in inputs.rows:
        logs = inputs.logs.get(row.line.id)
        if not logs or row.role not in roles:
            continue
        log = logs[0]  # the first seed's
        n = max((int(line["dev_items"]) for line in log if line.get("dev_items")), default=None)
        for found in logged(log, "dose"):
            if "strength" in found and isinstance(found.get("accuracy"), int | float):
                share, items = float(found["accuracy"]), found.get("dev_items") or n
                lo, hi = wilson(share, items) if items else (None, None)
                out.append(head(row) | {
                    "write": str(found.get("write", "")), "strength": float(found["strength"]), "dev_accuracy": share,
                    "lo": lo, "hi": hi, "dev_items": items, "length": found.get("length"), "kl": found.get("kl"),
                })  # fmt: skip
    return out


def having(column: str) -> Callable[[Inputs], Rows]:
    """The doses of methods that have a value in a column."""
    return lambda inputs: [row for row in doses(inputs, ("method",)) if row[column] is not None]


def curves(column: str, label: str) -> Callable[[Rows, Inputs], Chart]:
    """A column over strength, one curve per policy and write position; accuracy in percent and with bands."""

    def chart(rows: Rows, inputs: Inputs) -> Chart:
        share = column == "dev_accuracy"
        lines, ends = [], []
        for number, points in enumerate(grouped(rows, "id", "write")):
            points, shade = sorted(points, key=lambda row: row["strength"]), tone(number)
            strengths = [point["strength"] for point in points]
            values = [(100 if share else 1) * point[column] for point in points]
            band = share and all(point["lo"] is not None for point in points)
            lo, hi = ([100 * point[part] for point in points] if band else [] for part in ("lo", "hi"))
            lines.append(Line(strengths, values, shade, lo, hi, dots=3))
            named = ", ".join(filter(None, (points[0]["label"], points[0]["write"])))
            ends.append(Label(strengths[-1], values[-1], named, shade))
        limits = (-2, 104) if share else (0, 1.06 * max(row[column] for row in rows) or 1.0)
        return Chart(SMALL, lines, Axis("Strength of the edit"), Axis(label, limits, grid=True), ends=ends)

    return chart


DOSE = Figure(
    "dose", "Dose-response", "curves",
    "Dev accuracy of an edit against its strength: the search that a method was chosen by, not its result. Bands are "
    "Wilson intervals over the dev items, if their number was logged.",
    having("dev_accuracy"), curves("dev_accuracy", "Dev accuracy, percent"))  # fmt: skip
DOSE_LENGTH = Figure(
    "dose_length", "Length over dose", "curves", "Length of an answer against strength, on train items.",
    having("length"), curves("length", "Tokens per answer"))  # fmt: skip
DOSE_KL = Figure(
    "dose_kl", "KL over dose", "curves",
    "Distance against strength: KL from the unedited model on its own answers.",
    having("kl"), curves("kl", "KL from the unedited model, nats per token"))  # fmt: skip
