"""cov_net@k: coverage net of guessing. What is left of cov@k when the larger of two guessing nulls is taken off.

    permuted   the policy's own answers, taken from other items of the same answer type
    direct     draws at a prompt that asks for the answer alone, where they were sampled (ceiling row C1/direct)

On ten-way answers plain guessing covers .88 of the items in 20 samples: cov@k alone then says nothing. The null
that counts is the one with the larger mean. May be negative. Does not know what an answer is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numpy.typing import NDArray

from elicit.evaluate.measures.measure import Measures
from elicit.evaluate.metrics.coverage import coverage
from elicit.evaluate.metrics.rungs import guessing
from elicit.records import Item


def coverage_net(
    m: Measures, items: Sequence[Item], answer_class: Callable[[str], str], k: int, direct: Measures | None = None
) -> tuple[NDArray, NDArray]:
    """(cov_net@k, the null taken off) by item. Raises ConfigError where an item has fewer than 2k samples.

    `direct` are the direct-answer draws on the same items; with fewer than 2k of them they are left out.
    """
    null_N = guessing(m, items, answer_class, k)
    if direct is not None and int(direct.total_N.min()) >= 2 * k:
        null_N = max(null_N, coverage(direct.right_N, direct.total_N, k), key=lambda values: float(values.mean()))
    return coverage(m.right_N, m.total_N, k) - null_N, null_N
