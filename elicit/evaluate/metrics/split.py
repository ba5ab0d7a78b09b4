"""The split of a gain, telescoping: only the remainder is called reasoning elicitation.

    gain         m - B0, strict                      = format + termination + prompt + budget + remainder, exactly
    format       (m - B0) strict - (m - B0) lenient  goes when both are read leniently: declaring the answer
    termination  (m - B0) lenient - (m - B0) any     goes when both are read by their first declaration, too: stopping
    prompt       max(B0, B1) - B0                    the best fixed prompt, without the method
    budget       max(B0, B1, B2) - max(B0, B1)       that prompt, forced to the method's tokens, without it
    remainder    m - max(B0, B1, B2)

Form comes off first, so that prompt, budget and remainder are of the loosest reading that all policies have (`any`, or
`lenient` if no first declaration was graded; the readings are in `measures.measure`): what a method gains by declaring
its answer or by stopping after it is no gain of theirs. Maxima are taken inside every draw: a rung that harms the base
has no share, and the remainder never exceeds the gain of its reading. m is the method at its own dev-best prompt, as B1
is the base at its own. If a rung was not measured its part is refused and the remainder, which then contains it, names
the last rung that it is `against`. Parts come from joint draws, so that they are paired.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from elicit.evaluate.metrics.metric import CONTROLS_ELSEWHERE, Lines, Metric
from elicit.evaluate.metrics.table import Arm, Table
from elicit.evaluate.statistics.resamples import Mean, Resamples
from elicit.results import Column, Estimate

NO_B1 = Estimate(refused="rung B1 was not measured: sample more than B0's prompt (eval.prompts)")
NO_B2 = Estimate(refused="rung B2 was not measured: eval=full samples it")
NO_FIRST = Estimate(refused="first declarations were not graded of every policy: the task has none, or grade again")
PARTS = ("format", "termination", "prompt", "budget", "remainder")


class Graded(NamedTuple):
    """Joint means of one policy under each reading."""

    strict: Mean
    lenient: Mean
    any: Mean | None = None
    """None if the first declarations of some policy were not graded"""

    @property
    def loosest(self) -> Mean:
        return self.any or self.lenient


class Split(NamedTuple):
    """A gain and its parts."""

    values: dict[str, Estimate]
    """gain, format, termination, prompt, budget, remainder; the measured parts add up to the gain"""
    against: str
    """the last of the rungs that the remainder is measured against: B0, B1 or B2"""


def split_gain(
    resamples: Resamples, method: Graded, b0: Graded, b1: Graded | None = None, b2: Graded | None = None
) -> Split:
    """The parts of the gain of `method` over B0. B2 without B1 has no meaning: it is left out."""
    strict, lenient = _minus(method.strict, b0.strict), _minus(method.lenient, b0.lenient)
    loosest = _minus(method.loosest, b0.loosest)
    asked = _better(b0.loosest, b1.loosest) if b1 else b0.loosest
    forced = _better(asked, b2.loosest) if b1 and b2 else asked
    values = {
        "gain": resamples.difference(method.strict, b0.strict),
        "format": resamples.interval(*_minus(strict, lenient)),
        "termination": resamples.interval(*_minus(lenient, loosest)) if method.any and b0.any else NO_FIRST,
        "prompt": resamples.interval(*_minus(asked, b0.loosest)) if b1 else NO_B1,
        "budget": resamples.interval(*_minus(forced, asked)) if b1 and b2 else NO_B2 if b1 else NO_B1,
        "remainder": resamples.difference(method.loosest, forced),
    }
    return Split(values, "B2" if b1 and b2 else "B1" if b1 else "B0")


def _minus(a: Mean, b: Mean) -> Mean:
    return a[0] - b[0], a[1] - b[1]


def _better(a: Mean, b: Mean) -> Mean:
    """The larger of two means, in every draw."""
    return a if a is b else (max(a[0], b[0]), np.maximum(a[1], b[1]))


def _report(table: Table, lines: Lines) -> None:
    joint = table.joint

    def graded(arm: Arm) -> Graded:
        first = joint.mean(arm.key, "any") if joint.has(arm.key, "any") else None
        return Graded(joint.mean(arm.key), joint.mean(arm.key, "lenient"), first)

    for arm, line in lines:
        if not arm.fitted or not table.at_base(arm):
            reason = CONTROLS_ELSEWHERE if arm.fitted else Estimate(refused="not fitted")
            line.values |= {f"split/{part}": reason for part in ("gain", *PARTS)}
            continue
        own = table.at_best_prompt(arm)
        b1, b2 = (None if rung is None else graded(rung) for rung in (table.b1, table.b2(own)))
        split = split_gain(joint.resamples, graded(own), graded(table.base), b1, b2)
        line.values |= {f"split/{part}": value for part, value in split.values.items()}
        line.notes["split/against"] = split.against
        line.notes["split/prompt_of_method"] = ", ".join(dict.fromkeys(entry.prompt for entry in own.entries))
        if own.first.b2 is not None:
            line.notes["split/b2"] = own.first.b2


SPLIT = Metric(
    "split",
    (
        Column("split/gain", "Gain over B0", "points", "strict, the method as it is asked best", "split"),
        Column("split/format", "Format", "points", "the part that disappears if both are read leniently", "split"),
        Column(
            "split/termination", "Termination", "points",
            "the part that disappears if both are also read by their first declaration; the parts after it are of "
            "the loosest reading", "split",
        ),
        Column("split/prompt", "Prompt, B1 \u2212 B0", "points", "the best fixed prompt alone, at least 0", "split"),
        Column(
            "split/budget", "Budget, B2 \u2212 B1", "points",
            "that prompt forced to the method's tokens, at least 0", "split",
        ),
        Column("split/remainder", "Remainder", "points", "reasoning elicitation, and only this", "split"),
    ),
    report=_report,
)  # fmt: skip
