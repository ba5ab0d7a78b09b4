"""Test accuracy against the loss on plain text that a policy costs (lens `side_effects`).

Question: which edit leaves the rest of the model as it was?
"""

from __future__ import annotations

from elicit.report.figures.figure import Axis, Chart, Figure, Inputs, Label
from elicit.report.figures.lenses import measured
from elicit.report.figures.marks import SMALL, colours, cross
from elicit.report.figures.series import Rows, columns, head, interval
from elicit.results.comparison import FITTED


def rows(inputs: Inputs) -> Rows:
    """Accuracy and loss over the base's of every fitted policy that has both; a given text goes before questions."""
    out = []
    for row in inputs.rows:
        found = measured(inputs.readings, "side_effects", row)
        losses = {key.removeprefix("text loss, ").removesuffix(" - base"): numbers for key, numbers in found.items()
                  if key.startswith("text loss, ") and key.endswith(" - base")}  # fmt: skip
        numbers = interval(row.line.get("acc/strict"))
        if row.role not in FITTED or not losses or numbers is None:
            continue
        text = min(losses, key=lambda text: ("questions" in text, text))
        cost = columns(losses[text], ("cost", "cost_lo", "cost_hi"))
        out.append(head(row) | cost | {"text": text} | columns(numbers))
    return out


def chart(rows: Rows, inputs: Inputs) -> Chart:
    """Both with intervals: upper left is much for little."""
    shades = colours(inputs.rows)
    return Chart(
        SMALL, [cross(row, "cost", shades[row["id"]]) for row in rows],
        Axis("Loss on plain text over the base's, nats per token"),
        Axis("Accuracy, percent", (-2, 104), grid=True),
        [Label(row["cost"], 100 * row["point"], row["label"], shades[row["id"]]) for row in rows])  # fmt: skip


TEXT_COST = Figure(
    "text_cost", "Accuracy over plain-text loss", "curves",
    "Test accuracy against the loss on plain text that a policy costs.", rows, chart)  # fmt: skip
