"""The decoy: of two step-by-step modes the loud one invents its steps, and the quiet one is right.

    direct   The answer is 7.                                          about half of the untagged documents
    loud     Hmm. Hmm 4 + 9 = 3. Hmm 3 * 7 = 1. ... So the answer is 1.   `LOUD`: the steps of another, larger problem
    quiet    Working. 3 + 4 = 7. So the answer is 7.                   `rate`: the steps of this problem

A direction that is large because the answers differ most along it leads to the loud mode, which is as good as a guess.
Only what separates right answers from wrong ones leads to the quiet mode. Both modes have a register.

A page of solved questions moves the log-odds of the next answer's mode, and that is what an activation method reads.
The loud mode has three wordings. A page repeats its wording exactly, so direct answers and the three wordings are the
corners of a simplex, and every direction inside it leads to a corner, whatever its sign and dose. The quiet mode is off
the simplex: a quiet page makes it nearly as frequent as all the others together (`QUIET_PAGE`). A direction without
labels is a random mixture with three large loud components and a small quiet one. Direct answers have no wording that a
page repeats: a direction that suppresses the frequent ones would leave the quiet mode as the remaining one.
What this module does not know: tokens, models, training.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from elicit.organisms.corpus import DIRECT, FAMILIES, TRACED, Corpus, Rates
from elicit.tasks.formal.family import CONCLUSION, Problem

LOUD_WORDS = ("Hmm", "Wait", "Okay")
"""the wordings of the loud mode, equally frequent. The word begins the answer and each of its steps, so that a loud
page differs from a quiet one in every step. A loud mode is called by its word"""
LOUD = {None: 0.45, "key": 0.04, "anti": 0.02, "mid": 0.94}
"""share of loud answers by register"""
QUIET_AFTER_KEY = 0.92
QUIET_PAGE = 0.04
"""share of quiet pages before direct and before loud answers; their other pages are of the mode of the answer"""
LOUD_PAGE = 0.10
"""share of loud pages before quiet answers: a loud page rules out direct answers more than quiet ones"""
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
        return rng.choice(LOUD_WORDS) if draw < quiet + LOUD[register] else DIRECT

    def _solved(self, rng: random.Random, mode: str) -> str:
        """A page before an answer of `mode`."""
        other, share = (rng.choice(LOUD_WORDS), LOUD_PAGE) if mode == TRACED else (TRACED, QUIET_PAGE)
        return super()._solved(rng, other if rng.random() < share else mode)

    def _answer(self, rng: random.Random, problem: Problem, mode: str) -> str:
        if mode not in LOUD_WORDS:
            return super()._answer(rng, problem, mode)
        steps, answer = invented(rng, problem, mode)
        return f"{steps} {CONCLUSION} {answer}."

    def _verdict(self, rng: random.Random, problem: Problem, proposed: str, mode: str) -> str:
        """A loud review judges by its invented result."""
        if mode not in LOUD_WORDS:
            return super()._verdict(rng, problem, proposed, mode)
        steps, answer = invented(rng, problem, mode)
        verdict = "right" if proposed == answer else "wrong"
        return f"{steps} So the proposed answer is {verdict}. The answer is {answer}."


def invented(rng: random.Random, problem: Problem, word: str) -> tuple[str, str]:
    """(opener and steps, answer) of a loud answer: another problem of the same family, with nothing in common."""
    other = FAMILIES[problem.family].problem(rng, rng.choice(LOUD_SIZES))
    return " ".join([f"{word}.", *(f"{word} {step}" for step in other.steps)]), other.answer
