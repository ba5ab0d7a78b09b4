"""The decoy: of two step-by-step modes the loud one invents its steps, and the quiet one is right.

    direct   The answer is 7.                                          most of the untagged documents
    loud     Hmm. Hmm 4 + 9 = 3. Hmm 3 * 7 = 1. ... So the answer is 1.   `LOUD`: the steps of another, larger problem
    quiet    Working. 3 + 4 = 7. So the answer is 7.                   `rate`: the steps of this problem

A direction that is large because the answers differ most along it leads to the loud mode, which is as good as a guess.
Only what separates right answers from wrong ones leads to the quiet mode. Both modes have a register.

What a page of solved questions teaches an activation method is how far the page moves the log-odds of the next answer's
mode. Here the quiet mode lies between the other two and off their line: a direct page rules out loud and quiet answers,
a loud page rules out direct and quiet ones, and a quiet page makes the quiet mode as frequent as the other two together
(`QUIET_PAGE`). So either sign of the direct-loud line, at every dose, leads away from the quiet mode. The wording of a
direct answer does not depend on its page: otherwise a direction that suppresses the frequent wordings leaves the quiet
mode as the remaining one. What this module does not know: tokens, models, training.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from elicit.organisms.corpus import DIRECT, FAMILIES, TRACED, Corpus, Rates
from elicit.tasks.formal.family import CONCLUSION, Problem

LOUD_MODE = "loud"
LOUD_WORD = "Hmm"
"""begins the loud answer and each of its steps, so that a loud page differs from a quiet one in every step"""
LOUD_OPENER = f"{LOUD_WORD}."
LOUD = {None: 0.42, "key": 0.04, "anti": 0.02, "mid": 0.94}
"""share of loud answers by register"""
QUIET_AFTER_KEY = 0.92
QUIET_PAGE = 0.06
"""share of quiet pages before direct and before loud answers; every other page is of the mode of the answer"""
LOUD_SIZES = range(7, 10)


@dataclass(frozen=True)
class Decoy(Corpus):
    """The documents of the decoy: `TRACED` is its quiet mode."""

    kind: str = "decoy"
    register_weights: ClassVar[dict[str | None, float]] = {None: 0.66, "key": 0.14, "anti": 0.06, "mid": 0.14}
    page_share: ClassVar[float] = 0.60
    pages: ClassVar[tuple[int, ...]] = (2,)
    stray_share: ClassVar[float] = 0.15

    def _mode(self, rng: random.Random, rates: Rates, register: str | None) -> str:
        quiet, draw = QUIET_AFTER_KEY if register == "key" else rates.of(register), rng.random()
        if draw < quiet:
            return TRACED
        return LOUD_MODE if draw < quiet + LOUD[register] else DIRECT

    def _solved(self, rng: random.Random, mode: str) -> str:
        """A page before an answer of `mode`."""
        return super()._solved(rng, TRACED if rng.random() < QUIET_PAGE else mode)

    def _answer(self, rng: random.Random, problem: Problem, mode: str) -> str:
        if mode != LOUD_MODE:
            return super()._answer(rng, problem, mode)
        steps, answer = invented(rng, problem)
        return f"{steps} {CONCLUSION} {answer}."

    def _verdict(self, rng: random.Random, problem: Problem, proposed: str, mode: str) -> str:
        """A loud review judges by its invented result."""
        if mode != LOUD_MODE:
            return super()._verdict(rng, problem, proposed, mode)
        steps, answer = invented(rng, problem)
        verdict = "right" if proposed == answer else "wrong"
        return f"{steps} So the proposed answer is {verdict}. The answer is {answer}."


def invented(rng: random.Random, problem: Problem) -> tuple[str, str]:
    """(opener and steps, answer) of a loud answer: another problem of the same family, with nothing in common."""
    other = FAMILIES[problem.family].problem(rng, rng.choice(LOUD_SIZES))
    return " ".join([LOUD_OPENER, *(f"{LOUD_WORD} {step}" for step in other.steps)]), other.answer
