"""coherence against validity: are single steps right even if the whole trace is not? (arXiv 2510.18176)

Every step is judged against the step before it (first-order errors), so an error is charged to the step that makes
it. A trace can be coherent in all its pairs and still be invalid (it stops early, or answers something else).

    formal families   the family's own check of each step        typed errors, see TYPES
    gsm8k             the equations that the trace writes down   wrong arithmetic only
    anything else     refused: formal tasks only

Strata cross the base's and the policy's answers on the same item: each sample of the policy is weighted by the
share of the base's samples of that item that are right (or wrong), which is the mean over all pairings. Gains over
the base (`coherent - base`, `valid - base`) are differences of shares of traced samples, resampled together.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.lenses.lens import SAMPLES, Reading, formatted, of_columns, reading, refusing
from elicit.evaluate.lenses.view import Side, View
from elicit.evaluate.metrics.accuracy import accuracy
from elicit.records import Item
from elicit.results import Estimate
from elicit.tasks.formal.family import KINDS, Family, WholeTrace, split_trace
from elicit.tasks.formal.task import FORMAL
from elicit.tasks.grading.extract import own_part
from elicit.tasks.natural import arithmetic
from elicit.tasks.task import Task

TYPES = {
    "wrong_result": "wrong arithmetic",
    "wrong_premise": "unsupported quantity, or a premise restated wrong",
    "broken_link": "contradiction of the step before",
    "wrong_rule": "inapplicable rule",
    "extra_step": "a step after the work is done",
    "unreadable": "no step of this family",
}
STRATA = tuple(f"base {base}, policy {policy}" for base in ("wrong", "right") for policy in ("right", "wrong"))


@dataclass(frozen=True)
class Coherence:
    """Share of steps without a local error, against validity of the whole."""

    name: str = "coherence"
    about: str = "share of steps that follow from the step before them, against validity of the whole trace"
    source: str = "2510.18176"
    needs: str = SAMPLES

    def read(self, view: View) -> Reading:
        if not all(checkable(view.task, item) for item in view.items):
            return refusing(self, f"formal tasks only: steps of {view.task.name} can't be checked")
        base_rate_N = np.nan_to_num(accuracy(view.base.measures))
        columns: dict[str, dict[str, Estimate]] = {}
        table: list[dict[str, Any]] = []
        sums: dict[str, NDArray] = {}
        for side in view.sides:
            pairs_N_J, good_N_J, errors = judged(side, view)
            columns[side.name] = self._columns(view, side, pairs_N_J, good_N_J, base_rate_N)
            sums[side.name] = sums_N_4(side, pairs_N_J, good_N_J)
            if side is not view.base:
                columns[side.name] |= gains(view, sums[side.name], sums[view.base.name])
            for kind, count in errors.most_common():
                meaning, share = TYPES.get(kind, KINDS.get(kind)), count / pairs_N_J.sum()
                row = {"policy": side.name, "error": kind, "means": meaning, "steps": count, "share of steps": share}
                table.append(row)
        figure = of_columns("Steps without a local error, and valid traces", "share", columns, ["coherent", "valid"])
        says = [
            f"{name}: {formatted(of['coherent'])} of the steps hold, {formatted(of['valid'])} of the traced samples"
            for name, of in columns.items()
        ]
        return reading(self, columns, figure, says, table)

    def _columns(
        self, view: View, side: Side, pairs_N_J: NDArray, good_N_J: NDArray, base_N: NDArray
    ) -> dict[str, Estimate]:
        traced = (pairs_N_J > 0) & side.graded_N_J
        share, none = view.bootstrap.share, "no sample with a step"
        out = {
            "coherent": share((good_N_J * traced).sum(1), (pairs_N_J * traced).sum(1), none),
            "coherent throughout": share(((good_N_J == pairs_N_J) & traced).sum(1), traced.sum(1), none),
            "valid": share(((side.measures.valid_N_J == 1) & traced).sum(1), traced.sum(1), none),
        }
        for stratum in STRATA:
            weight_N = base_N if stratum.startswith("base right") else 1 - base_N
            of = traced & (side.right_N_J == stratum.endswith("right"))
            out[stratum] = share(
                weight_N * (good_N_J * of).sum(1), weight_N * (pairs_N_J * of).sum(1), "no such sample with a step"
            )
        return out


def sums_N_4(side: Side, pairs_N_J: NDArray, good_N_J: NDArray) -> NDArray:
    """By item: right steps, steps, valid traced samples, traced samples."""
    traced = (pairs_N_J > 0) & side.graded_N_J
    valid = (side.measures.valid_N_J == 1) & traced
    return np.stack([(good_N_J * traced).sum(1), (pairs_N_J * traced).sum(1), valid.sum(1), traced.sum(1)], 1)


def gains(view: View, of_N_4: NDArray, base_N_4: NDArray) -> dict[str, Estimate]:
    """Coherence and validity less the base's, and the first gain less the second; resampled together."""
    both, none = np.concatenate([of_N_4, base_N_4], 1).astype(float), "no sample with a step"

    def coherent(m: NDArray) -> NDArray:
        return m[..., 0] / m[..., 1] - m[..., 4] / m[..., 5]

    def valid(m: NDArray) -> NDArray:
        return m[..., 2] / m[..., 3] - m[..., 6] / m[..., 7]

    return {
        "coherent - base": view.bootstrap.statistic(both, coherent, none),
        "valid - base": view.bootstrap.statistic(both, valid, none),
        "coherent gain - valid gain": view.bootstrap.statistic(both, lambda m: coherent(m) - valid(m), none),
    }


def checkable(task: Task, item: Item) -> bool:
    """Whether single steps can be judged."""
    return item.facts.get("family") in FORMAL or task.name == "gsm8k"


def judged(side: Side, view: View) -> tuple[NDArray, NDArray, Counter[str]]:
    """(steps that can be judged, those without an error, kinds of error), the first two [N, J]."""
    shape = side.texts_N_J.shape
    pairs_N_J, good_N_J, errors = np.zeros(shape), np.zeros(shape), Counter[str]()
    for i, item in enumerate(view.items):
        family = FORMAL.get(item.facts.get("family", ""))
        length = step_count(family, item.facts) if family else 0
        seen: dict[str, list[str | None]] = {}
        for j, text in enumerate(side.texts_N_J[i]):
            if text not in seen:
                part = own_part(text)[0]
                seen[text] = local_errors(family, item.facts, length, part) if family else equation_errors(part)
            faults = seen[text]
            pairs_N_J[i, j], good_N_J[i, j] = len(faults), faults.count(None)
            errors.update(fault for fault in faults if fault)
    return pairs_N_J, good_N_J, errors


def step_count(family: Family, facts: dict[str, Any]) -> int:
    """Number of right steps of an item; no limit for a search or a proof, which can take several ways."""
    return sys.maxsize if isinstance(family, WholeTrace) else len(family.steps(facts))


def local_errors(family: Family, facts: dict[str, Any], length: int, text: str) -> list[str | None]:
    """Kind of error of every step that can be judged, None for a right step; `length`: number of right steps.

    A readable step after an unreadable one is left out: there is no step that it could follow from.
    """
    steps, conclusion = split_trace(text)
    if len(steps) == 1 and conclusion is None:
        return []  # an answer without a trace
    out: list[str | None] = []
    previous = None
    for index, step in enumerate(steps):
        if index >= length:
            out.append("extra_step")
            continue
        fault = family.local_error(facts, index, previous, step)
        kind = fault[0] if fault else None
        if index == 0 or previous is not None or kind == "unreadable":
            out.append(kind)
        previous = None if kind == "unreadable" else step
    return out


def equation_errors(text: str) -> list[str | None]:
    """The same for the equations of a trace in words, each judged by itself."""
    out: list[str | None] = []
    for left, right in arithmetic.equations(text):
        fault = arithmetic.first_error(f"<<{left}={right}>>")
        if fault is None or fault.kind != "no_trace":
            out.append(fault.kind if fault else None)
    return out
