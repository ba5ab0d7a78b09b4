"""Gain over the base against the KL divergence to it (lens `divergence`).

Question: which method gains much and changes the base little?
"""

from __future__ import annotations

from elicit.report.figures.figure import Axis, Chart, Figure, Inputs, Label
from elicit.report.figures.lenses import measured
from elicit.report.figures.marks import SMALL, colours, cross
from elicit.report.figures.series import Rows, columns, head, interval


def rows(inputs: Inputs) -> Rows:
    """Gain and KL per completion of every policy that the lens measured."""
    out = []
    for row in inputs.rows:
        gain = interval(row.line.get("gain/B0"))
        found = measured(inputs.readings, "divergence", row)
        kls = {key: numbers for key, numbers in found.items() if key.startswith("sequence")}
        if gain is None or not kls or row.role == "ceiling":
            continue
        key = "sequence" if "sequence" in kls else min(kls)
        kl = columns(kls[key], ("kl", "kl_lo", "kl_hi"))
        out.append(head(row) | kl | {"measured_on": key} | columns(gain))
    return out


def chart(rows: Rows, inputs: Inputs) -> Chart:
    """Gain in points over KL in nats per completion, both with intervals."""
    shades = colours(inputs.rows)
    top = max(row["kl_hi"] for row in rows)
    left = min(0.0, *(row["kl_lo"] for row in rows)) - 0.03 * top
    return Chart(
        SMALL, [cross(row, "kl", shades[row["id"]]) for row in rows],
        Axis("KL to the base, nats per completion", (left, 1.25 * top or 1.0)),
        Axis("Gain over the base, points", grid=True),
        [Label(row["kl"], 100 * row["point"], row["label"], shades[row["id"]])
         for row in rows if row["role"] == "method"])  # fmt: skip


FRONTIER = Figure(
    "frontier", "Gain over KL to the base", "curves",
    "Gain over the base against distance from it. Upper left is cheap: much gained, little changed.",
    rows, chart)  # fmt: skip
