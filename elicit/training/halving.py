"""Successive halving over a list of tries: all of them on few dev items, the better half on twice as many, ...

Knows nothing about vectors. Every call of `score` is a try and is counted: a searched method is
compared with placebos that get exactly as many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Scored(Generic[T]):
    """One call of `score`."""

    option: T
    score: float
    limit: int
    """dev items that it was measured on"""


def halving(
    options: Sequence[T], score: Callable[[T, int], float], limit: int, halvings: int
) -> tuple[T, list[Scored[T]]]:
    """The best option and every try made. The last round measures on `limit` items, each one before on half as many.

    Ties go to the option that stands first. At least one option is needed.
    """
    tries: list[Scored[T]] = []
    alive = list(options)
    for left in range(halvings, -1, -1):
        items = max(1, limit >> left)
        scored = [Scored(option, score(option, items), items) for option in alive]
        tries += scored
        scored.sort(key=lambda each: -each.score)
        alive = [each.option for each in scored][: len(alive) if left == 0 else -(-len(alive) // 2)]
    return alive[0], tries
