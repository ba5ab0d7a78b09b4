"""Successive halving over a list of options: all of them on few dev items, the better half on twice as many, ...

Every call of `score` is a try and is counted: a method that searches is compared with placebos that get exactly as
many tries. After Jamieson and Talwalkar (arXiv 1502.07943). What this module does not know: vectors, dev items.
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
    """dev items on which it was measured"""


def halving(
    options: Sequence[T], score: Callable[[T, int], float], limit: int, halvings: int
) -> tuple[T, list[Scored[T]]]:
    """The best option and every try. The last round measures on `limit` items, each earlier one on half as many.

    `score(option, items)`: larger is better; ties go to the earlier option. At least one option is needed.
    """
    tries: list[Scored[T]] = []
    alive = list(options)
    for remaining in range(halvings, -1, -1):
        # 1) measure all that are left
        items = max(1, limit >> remaining)
        scored = [Scored(option, score(option, items), items) for option in alive]
        tries += scored
        # 2) the better half stays (rounded up); after the last round only the order matters
        scored.sort(key=lambda one: -one.score)
        survivors = len(alive) if remaining == 0 else -(-len(alive) // 2)
        alive = [one.option for one in scored[:survivors]]
    return alive[0], tries
