"""token economy: how much of the trace does the answer need? (arXiv 2502.18600)

Traces are cut after a share of their characters and an answer is forced (greedy). Accuracy is reported against the
tokens spent, those of the forced answer included. 7.6 % and 20 % are the published points of draft-style prompts; a
draft-style prompt of the task is a line of the comparison like any other prompt. A sample without a trace is cut to
an empty text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from elicit.evaluate.lenses.forced import (
    NOT_RUN,
    STUB,
    by_sample,
    forced_answer,
    gold_class,
    item_means,
    traced_samples,
)
from elicit.evaluate.lenses.lens import PROBES, Reading, drawing, formatted, reading, refusing, rows
from elicit.evaluate.lenses.view import Side, View
from elicit.results import Estimate
from elicit.sampling.probe import Probe

BUDGETS = (0.0, 0.076, 0.2, 0.4, 0.6, 0.8, 1.0)
DRAFT = "at 7.6 % - at 100 %"
"""column of the paired difference"""


@dataclass(frozen=True)
class Economy:
    """Accuracy against a token budget."""

    per_item: int = 1
    """samples per item"""
    room: int = 16
    """tokens of a forced answer"""
    name: str = "economy"
    about: str = "accuracy of an answer forced after a share of the trace, against the tokens spent"
    source: str = "2502.18600"
    needs: str = PROBES

    def plan(self, view: View, side: Side) -> list[Probe]:
        """One greedy answer at every budget."""
        return [
            Probe(one.item, one.j, str(share), round(share * len(one.trace)), STUB, room=self.room)
            for one in traced_samples(view, side, self.per_item, least=0)
            for share in BUDGETS
        ]

    def read(self, view: View) -> Reading:
        sides = view.probed(self.name)
        if not sides:
            return refusing(self, NOT_RUN)
        columns, tokens = {}, {}
        for side in sides:
            columns[side.name], tokens[side.name] = self._columns(view, side)
        table: list[dict[str, Any]] = [
            {**row, "tokens": tokens[row["policy"]][row["column"]]} for row in rows(columns) if row["column"] != DRAFT
        ]
        series = {name: [of[_name(share)] for share in BUDGETS] for name, of in columns.items()}
        figure = drawing("lines", "Accuracy against the budget", "share of the trace", "accuracy", BUDGETS, series)
        says = [
            f"{name}: {formatted(of[_name(0.2)])} right after 20 % of the trace, "
            f"{formatted(of[_name(1.0)])} after all of it"
            for name, of in columns.items()
        ]
        return reading(self, columns, figure, says, table)

    def _columns(self, view: View, side: Side) -> tuple[dict[str, Estimate], dict[str, float | None]]:
        right = {share: [[] for _ in view.items] for share in BUDGETS}  # type: dict[float, list[list[bool]]]
        spent: dict[float, list[int]] = {share: [] for share in BUDGETS}
        rows_of = by_sample(side.probes[self.name])
        for one in traced_samples(view, side, self.per_item, least=0):
            for share in BUDGETS:
                for row in rows_of.get((one.item, one.j), {}).get(str(share), []):
                    right[share][one.i].append(forced_answer(view.task, row["text"]) == gold_class(view, one.i))
                    spent[share].append(row["forced_tokens"] + row["tokens"])
        means = {share: item_means(of) for share, of in right.items()}
        columns = {_name(share): view.bootstrap.fraction(means_N, "no sample") for share, means_N in means.items()}
        # the published claim: a draft is as good as the whole trace
        columns[DRAFT] = view.bootstrap.paired(means[0.076], means[1.0], "no sample")
        tokens = {_name(share): float(np.mean(of)) if of else None for share, of in spent.items()}
        return columns, tokens


def _name(share: float) -> str:
    return f"at {100 * share:g} %"
