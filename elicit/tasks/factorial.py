"""A task with a factorial of prompts: demonstrations that differ in format, domain, position and validity.

    format      qa        "Question: ... Answer: ..."         plain     "Q: ... A: ..."
    domain      same      demonstrations of the own family    other     of another family
    position    before    demonstrations, then the question   after     the question, then demonstrations
    validity    right     their steps and answers as they are wrong     every step and the answer changed

The cells are prompts of the task, named form_FORMAT_DOMAIN_POSITION_VALIDITY, next to those it has. Demonstrations are
worked problems of the training split, the same ones in every cell of a domain (arXiv 2505.10185 varies format and
domain, 2212.10001 validity). Formal families only: their steps can be made wrong. Knows no model.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import ClassVar

from elicit.files import seed_of
from elicit.tasks.formal.family import Problem, render_trace
from elicit.tasks.formal.task import FORMAL, FormalTask
from elicit.tasks.review import inject_error
from elicit.tasks.splits import split_of
from elicit.tasks.task import PromptFormat

SHOTS = (2, 3, 4)
"""sizes of the demonstrations"""
FORMATS = {"qa": ("Question: ", "Answer:"), "plain": ("Q: ", "A:")}
LEVELS = (tuple(FORMATS), ("same", "other"), ("before", "after"), ("right", "wrong"))
_SHARES = {"train": 0.7, "dev": 0.15, "test": 0.15}


@dataclass(frozen=True)
class FactorialTask(FormalTask):
    """A formal family with one prompt per cell."""

    other_family: str = "walk"
    """whose problems are the demonstrations of another domain"""
    prefix: ClassVar[str] = "form"

    @property
    def fixed_prompts(self) -> dict[str, PromptFormat]:
        return super().fixed_prompts | {cell.name: cell for cell in cells(self.family, self.other_family)}


def cells(family: str, other: str) -> list[PromptFormat]:
    """One prompt per combination of levels."""
    out = []
    for names in itertools.product(*LEVELS):
        form, domain, position, validity = names
        ask, reply = FORMATS[form]
        shots = demonstrations(family if domain == "same" else other, validity == "right")
        shown = "\n\n".join(f"{ask}{question}\n{reply}{answer}" for question, answer in shots)
        shown = shown.replace("{", "{{").replace("}", "}}")
        parts = [f"{ask}{{question}}", shown] if position == "after" else [shown, f"{ask}{{question}}"]
        joint = "\n\n" if position == "after" else "\n"
        out.append(PromptFormat("_".join((FactorialTask.prefix, *names)), "\n\n".join(parts) + joint + reply))
    return out


def demonstrations(family: str, right: bool) -> list[tuple[str, str]]:
    """(question, worked answer with leading blank) of a few training problems; the same problems if not `right`."""
    rng = random.Random(seed_of("elicit.tasks.factorial", family))
    out: list[tuple[str, str]] = []
    while len(out) < len(SHOTS):
        problem: Problem = FORMAL[family].problem(rng, SHOTS[len(out)])
        if split_of(problem.question, _SHARES) == "train":
            steps, answer = list(problem.steps), problem.answer
            if not right:
                steps, answer = wrong(steps, answer, random.Random(seed_of("wrong", problem.question)))
            out.append((problem.question, f" {render_trace(steps, answer)}"))
    return out


def wrong(steps: list[str], answer: str, rng: random.Random) -> tuple[list[str], str]:
    """Every step with another last symbol, and the answer that the last one states."""
    new = [inject_error(rng, [step])[0][0] for step in steps]
    return new, new[-1].rstrip(".").rpartition(" ")[2]
