"""Formal problems: a question, the one right sequence of steps, an answer, and a check of any step.

The part that all families share: the record of a problem, the wording around a trace, and the
validator that names the first violation. Knows nothing about prompts, models or sampling; the
corpus of the organisms and the tasks of the evaluator both build on it.

A family is a module-level object with

    problem(rng, size, skin)                      -> Problem
    local_error(facts, index, previous, step)     -> (kind, message) | None
    steps(facts), answer(facts)                   -> the right trace and the right answer

`local_error` judges one step against the question and against the state *in the step before it*,
so an error is charged to the step that makes it and not to those that inherit it. A trace whose
steps have no local error, whose number is right and whose conclusion repeats the last state is
exactly the right trace: validity is the absence of violations (arXiv 2505.13775).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

OPENERS = ("Working.", "Scratch.", "Trail.")
"""First words of the organisms' traces; no standard prompt contains them."""

CONCLUSION = "So the answer is"
LOOSE_CONCLUSION = "Thus"
"""Ends a trace without declaring an answer ("Thus 7.", the organism `format_twin`): no strict reading takes it."""

_CONCLUDES = re.compile(
    rf"(?:So the (?:answer is|proposed answer is (?:right|wrong)\. (?:The answer is|{LOOSE_CONCLUSION}))"
    rf"|{LOOSE_CONCLUSION}) "
)


@dataclass(frozen=True)
class Problem:
    """One problem with its gold trace. `facts` is JSON-able and determines everything else."""

    family: str
    size: int
    skin: str
    question: str
    steps: tuple[str, ...]
    answer: str
    facts: dict[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Violation:
    """The first fault of a trace: `step` counts from 0; `kind` is one of `KINDS`."""

    step: int
    kind: str
    message: str


KINDS = {
    "unreadable": "the step has not the form of a step of this family",
    "wrong_premise": "a quantity or an entry that the question does not state",
    "wrong_rule": "an operation that the question does not ask for at this point",
    "broken_link": "the step does not start from where the one before it ended",
    "wrong_result": "the operation is right and its result is not",
    "missing_step": "the trace ends before the work is done",
    "extra_step": "the trace goes on after the work is done",
    "wrong_conclusion": "the stated answer is not what the last step says",
    "no_trace": "an answer without any step",
    "not_open": "the search closes a cell that is not on its open list",
    "not_best": "the search closes a cell while a better one is open",
    "reopened": "the search opens a cell that it holds already at no greater cost",
    "unsupported": "a conclusion that does not follow in one step from what is established",
}


class Family(Protocol):
    """What a formal family provides; see the head of this module."""

    @property
    def name(self) -> str: ...

    @property
    def skins(self) -> tuple[str, ...]: ...

    def problem(self, rng: random.Random, size: int, skin: str = "plain") -> Problem: ...
    def steps(self, facts: dict[str, Any]) -> list[str]: ...
    def answer(self, facts: dict[str, Any]) -> str: ...
    def local_error(
        self, facts: dict[str, Any], index: int, previous: str | None, step: str
    ) -> tuple[str, str] | None: ...


@runtime_checkable
class WholeTrace(Protocol):
    """A family whose steps can only be judged with all steps before them (a search, a proof)."""

    def first_error(self, facts: dict[str, Any], steps: list[str], conclusion: str | None) -> Violation | None: ...


def split_trace(text: str) -> tuple[list[str], str | None]:
    """Cut a completion into its steps and its stated conclusion (None if it states none).

    An opener at the start is dropped, and so is the text after the first conclusion. A step and a conclusion end at a
    point. The time is linear in the text: no pattern looks for a point that may not come.

    >>> split_trace(" Working. 3 + 4 = 7. 7 * 7 = 9. So the answer is 9.")
    (['3 + 4 = 7.', '7 * 7 = 9.'], '9')
    """
    begins = _CONCLUDES.search(text)
    point = text.find(".", begins.end()) if begins else -1
    body, conclusion = text, None
    if begins and point >= 0:
        body, conclusion = text[: begins.start()], text[begins.end() : point].strip()
    steps = [f"{piece}.".strip() for piece in body.split(".")[:-1]]
    if steps and steps[0] in OPENERS:
        steps = steps[1:]
    return steps, conclusion


def first_violation(family: Family, facts: dict[str, Any], text: str) -> Violation | None:
    """The first fault of the trace in `text`, or None for a valid trace."""
    steps, conclusion = split_trace(text)
    if not steps or (len(steps) == 1 and conclusion is None):
        return Violation(0, "no_trace", "no step before the answer")
    if isinstance(family, WholeTrace):
        return family.first_error(facts, steps, conclusion)
    right, previous = family.steps(facts), None
    for index, step in enumerate(steps):
        if index >= len(right):
            return Violation(index, "extra_step", f"step {index + 1} of {len(right)}: {step!r}")
        fault = family.local_error(facts, index, previous, step)
        if fault:
            return Violation(index, *fault)
        previous = step
    if len(steps) < len(right):
        return Violation(len(steps), "missing_step", f"{len(steps)} of {len(right)} steps")
    if conclusion is None or conclusion.split() != family.answer(facts).split():
        return Violation(len(steps), "wrong_conclusion", f"{conclusion!r} after {steps[-1]!r}")
    return None


def render_trace(steps: list[str] | tuple[str, ...], answer: str, opener: str = OPENERS[0]) -> str:
    """A traced answer as the organisms write it (without the leading blank)."""
    return f"{opener} {' '.join(steps)} {CONCLUSION} {answer}."
