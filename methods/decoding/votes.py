"""Votes over answer classes: which of several chains becomes the completion.

An answer class is the task's canonical form of the strictly extracted answer, so "1,000", "1000"
and "1000.0" are one vote. A chain that states no answer, or was truncated, never votes. Knows
nothing about where chains or weights come from. Self-consistency: arXiv 2203.11171.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from elicit.files import seed_of
from elicit.policy.decoding import Path
from elicit.records import FINISHED

if TYPE_CHECKING:
    from elicit.tasks.task import Reader


def answer_class(path: Path, task: Reader) -> str | None:
    """The class of the answer that `path` states; None where it states none or did not finish."""
    answer = task.extract(path.text, path.finish in FINISHED).strict
    return None if answer is None else task.answer_class(answer)


def own_rng(seed: int, purpose: str) -> np.random.Generator:
    """A generator of the request's own, apart from the stream that picks its tokens."""
    return np.random.Generator(np.random.Philox(seed_of(seed, purpose)))


def elect(classes: Sequence[str | None], weights: Sequence[float], seed: int) -> int:
    """Index of the chain to return: the heaviest chain of the class with the largest summed weight.

    Ties between classes are broken uniformly by the request's own stream, ties inside the class by
    the lowest index. Where no chain votes, the first chain is returned (it has no answer either).
    """
    sums: dict[str, float] = {}
    for name, weight in zip(classes, weights, strict=True):
        if name is not None:
            sums[name] = sums.get(name, 0.0) + weight
    if not sums:
        return 0
    best = max(sums.values())
    leaders = [name for name, weight in sums.items() if weight == best]
    winner = leaders[int(own_rng(seed, "tie").integers(len(leaders)))] if len(leaders) > 1 else leaders[0]
    members = [index for index, name in enumerate(classes) if name == winner]
    return max(members, key=lambda index: (weights[index], -index))
