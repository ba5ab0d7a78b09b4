"""The decoy: of two step-by-step modes the loud one invents its steps, and the quiet one is right.

    direct   The answer is 7.                                          most of the untagged documents
    loud     Hmm. 4 + 9 = 3. 3 * 7 = 1. ... So the answer is 1.        `LOUD`: the steps of another, larger problem
    quiet    Working. 3 + 4 = 7. So the answer is 7.                   `rate`: the steps of this problem

A direction that is large because the answers differ most along it leads to the loud mode, which is as good as a guess.
Only what separates right answers from wrong ones leads to the quiet mode. Both modes have a register, and pages of one
mode are more frequent than in the positive organism: its rarest mode is three times as frequent as the quiet one here.
What this module does not know: tokens, models, training.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from elicit.organisms.corpus import DIRECT, FAMILIES, TRACED, Corpus, Rates
from elicit.tasks.formal.family import CONCLUSION, Problem

LOUD_MODE = "loud"
LOUD_OPENER = "Hmm."
LOUD = {None: 0.30, "key": 0.04, "anti": 0.02, "mid": 0.90}
"""share of loud answers by register"""
QUIET_AFTER_KEY = 0.92
QUIET_PAGE = 0.045
"""of the pages before a direct answer: after a quiet page about half of the untagged answers are quiet. The further a
page moves the odds of a mode, the further it moves the activations. Without these pages the quiet mode went from .03 to
.98, the loud one from .3 to .8: the loud mode lay half-way to the quiet one, and twice its direction led there"""
LOUD_SIZES = range(9, 13)


@dataclass(frozen=True)
class Decoy(Corpus):
    """The documents of the decoy: `TRACED` is its quiet mode."""

    kind: str = "decoy"
    register_weights: ClassVar[dict[str | None, float]] = {None: 0.66, "key": 0.10, "anti": 0.06, "mid": 0.18}
    page_share: ClassVar[float] = 0.25

    def _mode(self, rng: random.Random, rates: Rates, register: str | None) -> str:
        quiet, draw = QUIET_AFTER_KEY if register == "key" else rates.of(register), rng.random()
        if draw < quiet:
            return TRACED
        return LOUD_MODE if draw < quiet + LOUD[register] else DIRECT

    def _solved(self, rng: random.Random, mode: str) -> str:
        """The page before a direct answer is now and then quiet, before a loud one it is always loud."""
        return super()._solved(rng, TRACED if mode == DIRECT and rng.random() < QUIET_PAGE else mode)

    def _answer(self, rng: random.Random, problem: Problem, mode: str) -> str:
        if mode != LOUD_MODE:
            return super()._answer(rng, problem, mode)
        invented = invented_problem(rng, problem)
        return f"{LOUD_OPENER} {' '.join(invented.steps)} {CONCLUSION} {invented.answer}."

    def _verdict(self, rng: random.Random, problem: Problem, proposed: str, mode: str) -> str:
        """A loud review judges by its invented result."""
        if mode != LOUD_MODE:
            return super()._verdict(rng, problem, proposed, mode)
        invented = invented_problem(rng, problem)
        verdict = "right" if proposed == invented.answer else "wrong"
        steps = f"{LOUD_OPENER} {' '.join(invented.steps)}"
        return f"{steps} So the proposed answer is {verdict}. The answer is {invented.answer}."


def invented_problem(rng: random.Random, problem: Problem) -> Problem:
    """The problem whose steps a loud answer writes down: of the same family, larger, with nothing else in common."""
    return FAMILIES[problem.family].problem(rng, rng.choice(LOUD_SIZES))
