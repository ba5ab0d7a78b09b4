"""Edits at equal cost: the best dev accuracy that any tried dose of an edit reaches at no more than a KL.

Question: is an edit better than its rivals and placebos if all of them may move the model equally far? KL is a dose's
own: from the unedited model, on the unedited model's answers, in nats per token. The figure and its table.
"""

from __future__ import annotations

from typing import Any

from elicit.report.figures import tries
from elicit.report.figures.dose import doses
from elicit.report.figures.figure import Axis, Chart, Figure, Inputs, Label, Line, Mark, Point
from elicit.report.figures.marks import SMALL, colours, shape
from elicit.report.figures.series import Rows, grouped


def rows(inputs: Inputs) -> Rows:
    """The envelope of every fitted policy."""
    return envelope(doses(inputs))


def envelope(doses: Rows) -> Rows:
    """The doses that no cheaper dose of their policy reaches; nothing if there is only one policy to compare."""
    out = []
    for rows in grouped([row for row in doses if row["kl"] is not None], "id"):
        best = -1.0
        for row in sorted(rows, key=lambda row: (row["kl"], -row["dev_accuracy"])):
            if row["dev_accuracy"] > best:
                best = row["dev_accuracy"]
                out.append(row)
    policies = {row["id"] for row in out if row["strength"] != 0}
    return [row for row in out if row["id"] in policies] if len(policies) > 1 else []


def table(inputs: Inputs) -> tuple[list[str], list[dict[str, Any]]]:
    """(column names, lines) at the KL of each dose that a method chose: same policy, position and strength."""
    chosen = {(row["id"], row["write"], row["strength"]) for row in tries.rows(inputs)
              if row["kind"] == "chosen" and row["role"] == "method"}  # fmt: skip
    budgets = [row for row in doses(inputs)
               if row["kl"] is not None and (row["id"], row["write"], row["strength"]) in chosen]  # fmt: skip
    names, lines = at_budgets(rows(inputs), budgets)
    return names, lines if names else []


def at_budgets(envelope: Rows, budgets: Rows) -> tuple[list[str], list[dict[str, Any]]]:
    """(column names, lines): the best dev accuracy of every policy at no more than the KL of each budget."""
    ordered = sorted(budgets, key=lambda row: row["kl"])
    lines = []
    for rows in grouped(envelope, "id"):
        cells = [max((r["dev_accuracy"] for r in rows if r["kl"] <= budget["kl"] + 1e-9), default=None)
                 for budget in ordered]  # fmt: skip
        lines.append({"policy": rows[0]["label"], "role": rows[0]["role"], "depth": rows[0]["depth"],
                      "class": rows[0]["class"], "dev_items": rows[0]["dev_items"], "cells": cells})  # fmt: skip
    return [f"{row['policy']}: {row['kl']:.3g}" for row in ordered], lines


def chart(rows: Rows, inputs: Inputs) -> Chart:
    """Steps over KL: methods thick, rivals thin with diamonds, both named; placebos pale and hollow."""
    shades, right = colours(inputs.rows), 1.3 * max(row["kl"] for row in rows)
    marks: list[Mark] = []
    ends = []
    for steps in grouped(rows, "id"):
        role, shade = steps[0]["role"], shades[steps[0]["id"]]
        x, y = [row["kl"] for row in steps], [100 * row["dev_accuracy"] for row in steps]
        marks.append(Line([*x, right], [*y, y[-1]], shade, width=2 if role == "method" else 0.8, steps=True,
                          opacity=0.45 if role == "placebo" else 1))  # fmt: skip
        marks += [Point(kl, share, shade, shape=shape(role), size=3.4, edge=1) for kl, share in zip(x, y, strict=True)]
        if role != "placebo":
            ends.append(Label(right, y[-1], steps[0]["label"], shade))
    ticks = [tick for tick in (0, 0.01, 0.1, 1, 10) if tick <= right]
    return Chart(SMALL, marks,
                 Axis("At most this KL from the unedited model, nats per token", (0, right), "symlog", 0.01, ticks,
                      [f"{tick:g}" for tick in ticks]),
                 Axis("Best dev accuracy, percent", (-2, 104), grid=True), ends=ends)  # fmt: skip


EQUAL_COST = Figure(
    "equal_cost", "Dev accuracy at equal KL", "curves",
    "Edits at equal cost: the best dev accuracy that any tried dose of an edit reaches at no more than a KL. Thick: "
    "methods; diamonds: rivals; pale and hollow: placebos.", rows, chart)  # fmt: skip
