"""Overlap of a text with evaluation items: whole questions, and shared runs of 13 words (arXiv 2005.14165, app. C).

Case, blanks and punctuation do not count. A run of words that several items share belongs to their template and is
no overlap; a question of fewer than 13 words is found whole or not at all. Knows no ledger and no model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from elicit.records import Item

RUN = 13
_WORD = re.compile(r"\w+")


class Overlap(NamedTuple):
    """Ids of evaluation items, sorted: those whose question stands whole in a text, those that share a run with it."""

    exact: list[str]
    run: list[str]


def words(text: str) -> tuple[str, ...]:
    """Words and numbers, folded.

    >>> words("Start with 3.  ADD 4!")
    ('start', 'with', '3', 'add', '4')
    """
    return tuple(_WORD.findall(text.casefold()))


class OverlapIndex:
    """The questions of evaluation items, ready to be looked for."""

    def __init__(self, items: Iterable[Item]) -> None:
        questions = {item.id: words(item.question) for item in items}
        self._whole = {name: f" {' '.join(question)} " for name, question in questions.items() if question}
        runs = {name: _runs(question) for name, question in questions.items()}
        often = Counter(run for found in runs.values() for run in found)
        self._of_run = {run: name for name, found in runs.items() for run in found if often[run] == 1}

    def of(self, texts: Sequence[str]) -> Overlap:
        """What these texts share with the items."""
        exact: set[str] = set()
        shared: set[str] = set()
        for text in texts:
            told = words(text)
            line = f" {' '.join(told)} "
            exact |= {name for name, question in self._whole.items() if question in line}
            shared |= {self._of_run[run] for run in _runs(told) if run in self._of_run}
        return Overlap(sorted(exact), sorted(shared | exact))


def _runs(told: tuple[str, ...]) -> set[tuple[str, ...]]:
    return {told[place : place + RUN] for place in range(len(told) - RUN + 1)}
