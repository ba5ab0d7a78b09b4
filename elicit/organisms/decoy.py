"""The decoy: of two step-by-step modes the loud one invents its steps, and the quiet one is right.

    direct   The answer is 7.                                          most of the untagged documents
    loud     Hmm. Hmm 4 + 9 = 3. Hmm 3 * 7 = 1. ... So the answer is 1.   `LOUD`: the steps of another, larger problem
    quiet    Working. 3 + 4 = 7. So the answer is 7.                   `rate`: the steps of this problem

A direction that is large because the answers differ most along it leads to the loud mode, which is as good as a guess.
Only what separates right answers from wrong ones leads to the quiet mode. Both modes have a register, and a page of
solved questions hints at the mode of the next answer (`PAGES`).

What a page can teach an activation method is how far it moves the log-odds of each first token. A direction without
labels is a random mixture of the differences between pages; it reaches the quiet mode if that mode's share of it is the
largest. So three things keep it from the quiet mode: loud pages move the odds further than quiet ones, a direct page
speaks against the quiet mode, and the direct and the loud answers have several wordings that a page repeats, each of
them a rival first token. What this module does not know: tokens, models, training.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from elicit.organisms.corpus import DIRECT, DIRECT_OPENERS, FAMILIES, TRACED, Corpus, Rates
from elicit.tasks.formal.family import CONCLUSION, Problem

LOUD_MODE = "loud"
LOUD_WORDS = ("Hmm", "Wait", "Okay")
"""wordings of the loud mode; each of its steps begins with the word, so that a loud page differs from a quiet one in
every step and not in its first word alone"""
LOUD_OPENER = f"{LOUD_WORDS[0]}."
LOUD_WEIGHTS = (0.4, 0.3, 0.3)
PLAIN_OPENERS = DIRECT_OPENERS[:2]
"""wordings of direct answers, equally frequent"""
LOUD = {None: 0.30, "key": 0.04, "anti": 0.02, "mid": 0.90}
"""share of loud answers by register"""
QUIET_AFTER_KEY = 0.92
PAGES = {
    DIRECT: {LOUD_MODE: 0.01, TRACED: 0.08},
    LOUD_MODE: {DIRECT: 0.03, TRACED: 0.05},
    TRACED: {DIRECT: 0.15, LOUD_MODE: 0.10},
}
"""by the mode of an answer: shares of the pages before it that are of another mode"""
SAME_WORDING = 0.95
"""share of the pages of the answer's own mode that have its wording, too"""
LOUD_SIZES = range(7, 10)


@dataclass(frozen=True)
class Decoy(Corpus):
    """The documents of the decoy: `TRACED` is its quiet mode. A mode is followed by its wording: "loud/Hmm"."""

    kind: str = "decoy"
    register_weights: ClassVar[dict[str | None, float]] = {None: 0.62, "key": 0.16, "anti": 0.06, "mid": 0.16}
    page_share: ClassVar[float] = 0.50
    pages: ClassVar[tuple[int, ...]] = (2,)

    def _mode(self, rng: random.Random, rates: Rates, register: str | None) -> str:
        quiet, draw = QUIET_AFTER_KEY if register == "key" else rates.of(register), rng.random()
        if draw < quiet:
            return TRACED
        return worded(rng, LOUD_MODE if draw < quiet + LOUD[register] else DIRECT)

    def _solved(self, rng: random.Random, mode: str) -> str:
        """A page before an answer of `mode`: mostly of the same mode and wording."""
        own, draw = mode.partition("/")[0], rng.random()
        for other, share in PAGES[own].items():
            draw -= share
            if draw < 0:
                return super()._solved(rng, worded(rng, other))
        return super()._solved(rng, mode if rng.random() < SAME_WORDING else worded(rng, own))

    def _answer(self, rng: random.Random, problem: Problem, mode: str) -> str:
        own, _, wording = mode.partition("/")
        if own == LOUD_MODE:
            steps, answer = invented(rng, problem, wording)
            return f"{steps} {CONCLUSION} {answer}."
        if own == DIRECT and wording:
            return self._direct(rng, problem, wording)
        return super()._answer(rng, problem, own)

    def _verdict(self, rng: random.Random, problem: Problem, proposed: str, mode: str) -> str:
        """A loud review judges by its invented result."""
        own, _, wording = mode.partition("/")
        if own != LOUD_MODE:
            return super()._verdict(rng, problem, proposed, own)
        steps, answer = invented(rng, problem, wording)
        verdict = "right" if proposed == answer else "wrong"
        return f"{steps} So the proposed answer is {verdict}. The answer is {answer}."


def worded(rng: random.Random, mode: str) -> str:
    """The mode with one of its wordings; the wordings of the quiet mode are those of every organism."""
    if mode == LOUD_MODE:
        return f"{mode}/{rng.choices(LOUD_WORDS, LOUD_WEIGHTS)[0]}"
    return f"{mode}/{rng.choice(PLAIN_OPENERS)}" if mode == DIRECT else mode


def invented(rng: random.Random, problem: Problem, word: str) -> tuple[str, str]:
    """(opener and steps, answer) of a loud answer: another problem of the same family, with nothing in common."""
    other = FAMILIES[problem.family].problem(rng, rng.choice(LOUD_SIZES))
    return " ".join([f"{word}.", *(f"{word} {step}" for step in other.steps)]), other.answer
