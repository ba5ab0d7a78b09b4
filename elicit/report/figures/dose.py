"""What the strength of an edit does: dev accuracy, length of an answer and KL from the unedited model.

Question: does the effect grow with the dose, and where does it cost length or break the model? From the rows
`.../dose/...` of a run's log.jsonl. They describe the search by which a method was chosen, not its result. KL is from the
unedited model, on the unedited model's answers, in nats per token.
"""

from __future__ import annotations

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


def accuracy(inputs: Inputs) -> Rows:
    """The doses of methods."""
    return doses(inputs, ("method",))


def lengths(inputs: Inputs) -> Rows:
    """Those with a length."""
    return [row for row in accuracy(inputs) if row["length"] is not None]


def kls(inputs: Inputs) -> Rows:
    """Those with a KL."""
    return [row for row in accuracy(inputs) if row["kl"] is not None]


def curves(rows: Rows, column: str, y: Axis, unit: float = 1, bands: bool = False) -> Chart:
    """A column over strength, one curve per policy and write position."""
    lines, ends = [], []
    for number, points in enumerate(grouped(rows, "id", "write")):
        points, shade = sorted(points, key=lambda row: row["strength"]), tone(number)
        values = {part: [unit * point[part] for point in points] for part in (column, *(("lo", "hi") if bands and all(
            point["lo"] is not None for point in points) else ()))}  # fmt: skip
        strengths = [point["strength"] for point in points]
        lines.append(Line(strengths, values[column], shade, values.get("lo", ()), values.get("hi", ()), dots=3))
        named = ", ".join(filter(None, (points[0]["label"], points[0]["write"])))
        ends.append(Label(strengths[-1], values[column][-1], named, shade))
    return Chart(SMALL, lines, Axis("Strength of the edit"), y, ends=ends)


def accuracy_chart(rows: Rows, inputs: Inputs) -> Chart:
    """With bands if the number of dev items was logged."""
    return curves(rows, "dev_accuracy", Axis("Dev accuracy, percent", (-2, 104), grid=True), 100, bands=True)


def length_chart(rows: Rows, inputs: Inputs) -> Chart:
    """From 0."""
    return curves(rows, "length", _from_zero("Tokens per answer", rows, "length"))


def kl_chart(rows: Rows, inputs: Inputs) -> Chart:
    """From 0."""
    return curves(rows, "kl", _from_zero("KL from the unedited model, nats per token", rows, "kl"))


def _from_zero(label: str, rows: Rows, column: str) -> Axis:
    return Axis(label, (0, 1.06 * max(row[column] for row in rows) or 1.0), grid=True)


DOSE = Figure(
    "dose", "Dose-response", "curves",
    "Dev accuracy of an edit against its strength: the search that a method was chosen by, not its result. Bands are "
    "Wilson intervals over the dev items, if their number was logged.", accuracy, accuracy_chart)  # fmt: skip
DOSE_LENGTH = Figure(
    "dose_length", "Length over dose", "curves", "Length of an answer against strength, on train items.",
    lengths, length_chart)  # fmt: skip
DOSE_KL = Figure(
    "dose_kl", "KL over dose", "curves",
    "Distance against strength: KL from the unedited model on its own answers.", kls, kl_chart)  # fmt: skip
