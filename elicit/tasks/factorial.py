"""A task with a factorial of prompts: demonstrations that differ in format, domain, position and validity.

    format      qa        "Question: ... Answer: ..."         plain     "Q: ... A: ..."
    domain      same      demonstrations of the own family    other     of another family
    position    before    demonstrations, then the question   after     the question, then demonstrations
    validity    right     their steps and answers as they are wrong     every step and the answer changed

The cells are prompts of the task, named form_FORMAT_DOMAIN_POSITION_VALIDITY, next to those it has. Demonstrations are
worked problems of the training split, the same ones in every cell of a domain (arXiv 2505.10185 varies format and
domain, 2212.10001 validity). Two kinds of task have them, since their worked problems can be made wrong: the formal
families, and small arithmetic for pretrained bases. Knows no model.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

from elicit.errors import ConfigError
from elicit.files import seed_of
from elicit.tasks.formal.family import Problem, render_trace
from elicit.tasks.formal.task import FORMAL, FormalTask
from elicit.tasks.natural.small_math import FAMILIES, SmallMath
from elicit.tasks.review import inject_error, inject_wrong_result
from elicit.tasks.splits import split_of
from elicit.tasks.task import PromptFormat

PREFIX = "form"
"""of the names of the cells"""
SHOTS = (2, 3, 4)
"""sizes of a formal family's demonstrations; small arithmetic shows as many, of its one size"""
FORMATS = {"qa": ("Question: ", "Answer:"), "plain": ("Q: ", "A:")}
LEVELS = (tuple(FORMATS), ("same", "other"), ("before", "after"), ("right", "wrong"))
_SHARES = {"train": 0.7, "dev": 0.15, "test": 0.15}

Shots = list[tuple[str, str]]
"""(question, worked answer with leading blank)"""


@dataclass(frozen=True)
class FactorialTask(FormalTask):
    """A formal family with one prompt per cell."""

    other_family: str = "walk"
    """whose problems are the demonstrations of another domain"""

    @property
    def fixed_prompts(self) -> dict[str, PromptFormat]:
        return super().fixed_prompts | cells(demonstrations, self.family, self.other_family)


@dataclass(frozen=True)
class FactorialSmallMath(SmallMath):
    """A family of small arithmetic with one prompt per cell."""

    other_family: str = "words"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.other_family not in FAMILIES or self.other_family == self.family:
            raise ConfigError(f"other_family={self.other_family!r}: write a family of small_math besides {self.family}")

    @property
    def fixed_prompts(self) -> dict[str, PromptFormat]:
        return super().fixed_prompts | cells(self.demonstrations, self.family, self.other_family)

    def demonstrations(self, family: str, right: bool) -> Shots:
        """Training problems of `family` in this task's sizes; the same problems if not `right`."""
        rng = random.Random(seed_of("elicit.tasks.factorial", "small_math", family, self.operands, self.largest))
        sizes = SmallMath(family=family, operands=self.operands, largest=self.largest)
        out: Shots = []
        while len(out) < len(SHOTS):
            drawn = FAMILIES[family](sizes, rng)
            if drawn and split_of(drawn[0], _SHARES) == "train":
                question, answer, steps = drawn
                if not right:
                    changed = [inject_wrong_result(rng_of(question, step), step) for step in steps]
                    steps = tuple(pair[0] for pair in changed if pair)
                    answer = steps[-1].rstrip(".").rpartition(" ")[2]
                out.append((question, f" {' '.join(steps)} The answer is {answer}."))
        return out


def rng_of(*parts: str) -> random.Random:
    return random.Random(seed_of("wrong", *parts))


def cells(shots: Callable[[str, bool], Shots], family: str, other: str) -> dict[str, PromptFormat]:
    """One prompt per combination of levels, by name. `shots`: demonstrations of a family, right or wrong ones."""
    out = {}
    for names in itertools.product(*LEVELS):
        form, domain, position, validity = names
        ask, reply = FORMATS[form]
        pairs = shots(family if domain == "same" else other, validity == "right")
        shown = "\n\n".join(f"{ask}{question}\n{reply}{answer}" for question, answer in pairs)
        shown = shown.replace("{", "{{").replace("}", "}}")
        parts = [f"{ask}{{question}}", shown] if position == "after" else [shown, f"{ask}{{question}}"]
        joint = "\n\n" if position == "after" else "\n"
        name = "_".join((PREFIX, *names))
        out[name] = PromptFormat(name, "\n\n".join(parts) + joint + reply)
    return out


def demonstrations(family: str, right: bool) -> Shots:
    """A few training problems of a formal family; the same problems if not `right`."""
    rng = random.Random(seed_of("elicit.tasks.factorial", family))
    out: Shots = []
    while len(out) < len(SHOTS):
        problem: Problem = FORMAL[family].problem(rng, SHOTS[len(out)])
        if split_of(problem.question, _SHARES) == "train":
            steps, answer = list(problem.steps), problem.answer
            if not right:
                steps, answer = wrong(steps, answer, rng_of(problem.question))
            out.append((problem.question, f" {render_trace(steps, answer)}"))
    return out


def wrong(steps: list[str], answer: str, rng: random.Random) -> tuple[list[str], str]:
    """Every step with another last symbol, and the answer that the last one states."""
    new = [inject_error(rng, [step])[0][0] for step in steps]
    return new, new[-1].rstrip(".").rpartition(" ")[2]
