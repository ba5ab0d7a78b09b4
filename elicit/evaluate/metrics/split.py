"""The split of a gain, telescoping: only the remainder is called reasoning elicitation.

    gain       m - B0, strict                              = format + prompt + budget + remainder, exactly
    format     (m - B0) strict - (m - B0) lenient          what goes when both sides are read leniently
    prompt     B1 - B0, lenient                            the best fixed prompt, without the method
    budget     B2 - B1, lenient                            that prompt, forced to the method's tokens, without it
    remainder  m - B2, lenient

Format comes off first, so the other parts are of lenient grades: an answer that a method merely learned to declare is
no gain of theirs. m is the method at its own dev-best prompt, as B1 is the base at its own. If a rung was not
measured its part is refused and the remainder, which then contains it, names the rung that it is `against`.
Parts come from joint draws, so that they are paired.
"""

from __future__ import annotations

from typing import NamedTuple

from elicit.evaluate.metrics.metric import CONTROLS_ELSEWHERE, Lines, Metric
from elicit.evaluate.metrics.table import Arm, Table
from elicit.evaluate.statistics.resamples import Mean, Resamples
from elicit.results import Column, Estimate

NO_B1 = Estimate(refused="rung B1 was not measured: sample more than the bare prompt (eval.prompts)")
NO_B2 = Estimate(refused="rung B2 was not measured: eval=full samples it")
PARTS = ("format", "prompt", "budget", "remainder")


class Graded(NamedTuple):
    """Joint means of one policy under both gradings."""

    strict: Mean
    lenient: Mean


class Split(NamedTuple):
    """A gain and its parts."""

    values: dict[str, Estimate]
    """gain, format, prompt, budget, remainder; the measured parts add up to the gain"""
    against: str
    """the rung that the remainder is measured against: B0, B1 or B2"""


def split_gain(
    resamples: Resamples, method: Graded, b0: Graded, b1: Graded | None = None, b2: Graded | None = None
) -> Split:
    """The parts of the gain of `method` over B0. B2 without B1 has no meaning: it is left out."""
    rungs = [("B0", b0), *([("B1", b1)] if b1 else []), *([("B2", b2)] if b1 and b2 else [])]
    against, last = rungs[-1]
    # format: the strict gain without the lenient one, of the same draws
    point = (method.strict[0] - b0.strict[0]) - (method.lenient[0] - b0.lenient[0])
    draws_B = (method.strict[1] - b0.strict[1]) - (method.lenient[1] - b0.lenient[1])
    values = {
        "gain": resamples.difference(method.strict, b0.strict),
        "format": resamples.interval(point, draws_B),
        "prompt": resamples.difference(b1.lenient, b0.lenient) if b1 else NO_B1,
        "budget": resamples.difference(b2.lenient, b1.lenient) if b1 and b2 else NO_B2 if b1 else NO_B1,
        "remainder": resamples.difference(method.lenient, last.lenient),
    }
    return Split(values, against)


def _report(table: Table, lines: Lines) -> None:
    def graded(arm: Arm) -> Graded:
        return Graded(table.joint.mean(arm.key), table.joint.mean(arm.key, "lenient"))

    for arm, line in lines:
        if not arm.fitted or not table.bare(arm):
            reason = CONTROLS_ELSEWHERE if arm.fitted else Estimate(refused="not fitted")
            line.values |= {f"split/{part}": reason for part in ("gain", *PARTS)}
            continue
        own = table.at_best_prompt(arm)
        b1, b2 = (None if rung is None else graded(rung) for rung in (table.b1, table.b2(own)))
        split = split_gain(table.joint.resamples, graded(own), graded(table.base), b1, b2)
        line.values |= {f"split/{part}": value for part, value in split.values.items()}
        line.notes["split/against"] = split.against
        line.notes["split/prompt_of_method"] = ", ".join(dict.fromkeys(entry.prompt for entry in own.entries))
        if own.first.b2 is not None:
            line.notes["split/b2"] = own.first.b2


SPLIT = Metric(
    "split",
    (
        Column("split/gain", "Gain over B0", "points", "strict, the method as it is asked best", "split"),
        Column(
            "split/format", "Format", "points",
            "what goes when both are read leniently; the other parts are of lenient grades", "split",
        ),
        Column("split/prompt", "Prompt, B1 \u2212 B0", "points", "the best fixed prompt alone", "split"),
        Column("split/budget", "Budget, B2 \u2212 B1", "points", "that prompt forced to the method's tokens", "split"),
        Column("split/remainder", "Remainder", "points", "reasoning elicitation, and only this", "split"),
    ),
    report=_report,
)  # fmt: skip
