"""Overlap of a text with evaluation items: whole questions, and shared runs of 13 words (arXiv 2005.14165, app. C).

Case, blanks and punctuation do not count. A run of words that several items share belongs to their template and is
no overlap; a question of fewer than 13 words only overlaps as a whole. Knows no ledger and no model.
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
    """Sorted ids of evaluation items: those whose whole question is in a text, those that share a run with it."""

    exact: list[str]
    run: list[str]


def words(text: str) -> tuple[str, ...]:
    """Words and numbers, folded.

    >>> words("Start with 3.  ADD 4!")
    ('start', 'with', '3', 'add', '4')
    """
    return tuple(_WORD.findall(text.casefold()))


class OverlapIndex:
    """The questions of evaluation items, indexed for search."""

    def __init__(self, items: Iterable[Item]) -> None:
        questions = {item.id: words(item.question) for item in items}
        self._whole = {name: f" {' '.join(question)} " for name, question in questions.items() if question}
        runs = {name: _runs(question) for name, question in questions.items()}
        frequency = Counter(run for runs_of_item in runs.values() for run in runs_of_item)
        self._of_run = {run: name for name, of_item in runs.items() for run in of_item if frequency[run] == 1}

    def of(self, texts: Sequence[str]) -> Overlap:
        """What these texts share with the items."""
        exact: set[str] = set()
        shared: set[str] = set()
        for text in texts:
            folded = words(text)
            line = f" {' '.join(folded)} "
            exact |= {name for name, question in self._whole.items() if question in line}
            shared |= {self._of_run[run] for run in _runs(folded) if run in self._of_run}
        return Overlap(sorted(exact), sorted(shared | exact))


def _runs(folded: tuple[str, ...]) -> set[tuple[str, ...]]:
    return {folded[start : start + RUN] for start in range(len(folded) - RUN + 1)}
