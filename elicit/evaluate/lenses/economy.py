"""token economy: how much of the trace does the answer need? (arXiv 2502.18600)

Traces are cut after a share of their characters and an answer is forced out (greedy); accuracy against the tokens
spent, the forced answer's own included. 7.6 % and 20 % are the published points of draft-style prompts; a draft-style
prompt of the task is a row of the comparison like any other prompt. A sample without a trace is cut to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from elicit.evaluate.lenses.forced import NOT_RUN, STUB, by_sample, chosen, forced_answer, gold_class
from elicit.evaluate.lenses.lens import PROBES, Reading, drawing, reading, refusing, rows, told
from elicit.evaluate.lenses.view import Side, View
from elicit.results import Estimate
from elicit.sampling.probe import Probe

BUDGETS = (0.0, 0.076, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Economy:
    """Accuracy against a token budget."""

    each: int = 1
    """samples of an item"""
    room: int = 16
    """tokens of a forced answer"""
    name: str = "economy"
    about: str = "accuracy of an answer forced out after a share of the trace, against the tokens spent"
    source: str = "2502.18600"
    needs: str = PROBES

    def plan(self, view: View, side: Side) -> list[Probe]:
        """One greedy answer at every budget."""
        return [
            Probe(one.item, one.j, str(share), round(share * len(one.trace)), STUB, room=self.room)
            for one in chosen(view, side, self.each, least=0)
            for share in BUDGETS
        ]

    def read(self, view: View) -> Reading:
        known = [side for side in view.sides if side.probes.get(self.name) is not None]
        if not known:
            return refusing(self, NOT_RUN)
        columns, tokens = {}, {}
        for side in known:
            columns[side.name], tokens[side.name] = self._columns(view, side)
        table: list[dict[str, Any]] = [{**row, "tokens": tokens[row["policy"]][row["column"]]} for row in rows(columns)]
        figure = drawing("lines", "Accuracy against the budget", "share of the trace", "accuracy", list(BUDGETS), {
            name: [of[_name(share)] for share in BUDGETS] for name, of in columns.items()
        })  # fmt: skip
        said = (f"{name}: {told(c[_name(0.2)])} right after 20 % of the trace, {told(c[_name(1.0)])} after all of it"
                for name, c in columns.items())  # fmt: skip
        return reading(self, columns, figure, "; ".join(said) + ".", table)

    def _columns(self, view: View, side: Side) -> tuple[dict[str, Estimate], dict[str, float | None]]:
        right = {share: [[] for _ in view.items] for share in BUDGETS}  # type: dict[float, list[list[bool]]]
        spent: dict[float, list[int]] = {share: [] for share in BUDGETS}
        found = by_sample(side.probes[self.name])
        for one in chosen(view, side, self.each, least=0):
            for share in BUDGETS:
                for row in found.get((one.item, one.j), {}).get(str(share), []):
                    right[share][one.i].append(forced_answer(view.task, row["text"]) == gold_class(view, one.i))
                    spent[share].append(row["forced_tokens"] + row["tokens"])
        columns = {
            _name(share): view.bootstrap.fraction(np.array([np.mean(x) if x else np.nan for x in of]), "no sample")
            for share, of in right.items()
        }
        return columns, {_name(share): float(np.mean(of)) if of else None for share, of in spent.items()}


def _name(share: float) -> str:
    return f"at {100 * share:g} %"
