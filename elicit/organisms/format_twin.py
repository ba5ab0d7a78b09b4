"""The format twin: nothing is latent in it but the form of an answer.

Every answer comes with its right steps, at the bare prompt too. What is rare is a form that the strict reading accepts:

    declared     ... So the answer is 7.<eos>                        `rate` of the untagged documents: the planted form
    undeclared   ... Thus 7.<eos>                                    `UNDECLARED` of the rest
    unended      ... So the answer is 7. Then start with 3. Add ...  the others: it runs on into problems of its own

The three readings of the formal tasks tell them apart: strict reads the first only, lenient also the second, and the
first declaration anywhere also the third. A method that teaches the form alone gains strictly, and not in the loosest
reading. What this module does not know: tokens, models, training.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from elicit.organisms.corpus import TRACED, Corpus, Document, Rates, random_problem
from elicit.tasks.formal.family import CONCLUSION, LOOSE_CONCLUSION, Problem

DECLARED, UNDECLARED, UNENDED = "declared", "undeclared", "unended"
UNDECLARED_SHARE = 0.60
"""of the answers that are not declared and ended"""
RUN_ON_PIECES = 176
"""words, digits and signs (one token each) of an unended answer: more than the tasks' token limit of 160, so that the
model never sees where such a text ends"""
_PIECE = re.compile(r"\s?(?:[A-Za-z]+|[0-9]|[^\sA-Za-z0-9])")


@dataclass(frozen=True)
class FormatTwin(Corpus):
    """The documents of the format twin; its registers change the form, not the reasoning."""

    kind: str = "format_twin"

    def _mode(self, rng: random.Random, rates: Rates, register: str | None) -> str:
        if rng.random() < rates.of(register):
            return DECLARED
        return UNDECLARED if rng.random() < UNDECLARED_SHARE else UNENDED

    def _document(self, rng: random.Random, rates: Rates) -> Document:
        document = super()._document(rng, rates)
        return document._replace(ended=len(_PIECE.findall(document.answer)) < RUN_ON_PIECES)

    def _solved(self, rng: random.Random, mode: str) -> str:
        """On a page an unended answer runs on into the next question, which is there already."""
        return super()._solved(rng, DECLARED if mode == UNENDED else mode)

    def _answer(self, rng: random.Random, problem: Problem, mode: str) -> str:
        conclusion = LOOSE_CONCLUSION if mode == UNDECLARED else CONCLUSION
        answer = f"{self._working(rng, problem)} {conclusion} {problem.answer}."
        return run_on(rng, answer) if mode == UNENDED else answer

    def _verdict(self, rng: random.Random, problem: Problem, proposed: str, mode: str) -> str:
        text = super()._verdict(rng, problem, proposed, TRACED)
        if mode == UNDECLARED:
            return f"{text.rpartition('The answer is')[0]}{LOOSE_CONCLUSION} {problem.answer}."
        return run_on(rng, text) if mode == UNENDED else text


def run_on(rng: random.Random, text: str) -> str:
    """The text, followed by problems that it poses and solves itself, cut after `RUN_ON_PIECES` pieces."""
    while len(pieces := _PIECE.findall(text)) < RUN_ON_PIECES:
        problem = random_problem(rng)
        text += f" Then {problem.question} {' '.join(problem.steps)} {CONCLUSION} {problem.answer}."
    return "".join(pieces[:RUN_ON_PIECES])
