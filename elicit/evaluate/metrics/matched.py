"""Compute-matched base: what the base's majority vote reaches with the method's tokens.

k is the largest number of base samples whose mean tokens stay within the method's mean tokens an answer.
The paired difference method - base maj@k is a mandatory column: a gain that the same tokens buy from the
untouched base is not elicitation. Made in the regime of the comparison, and, where the base was sampled in
regime `support` too, against its vote at temperature 1 (`matched_support`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from elicit.evaluate.measure import Measures


class Match(NamedTuple):
    k: int
    note: str | None


def matched_k(method_tokens: float, base: Measures) -> Match:
    """The k to vote with; a note where it was bounded by 1 (the method is cheaper) or by the samples at hand."""
    single = float(np.nanmean(base.tokens_N_J))
    k = int(method_tokens / single + 1e-9) if single > 0 else 0
    most = max(1, base.n // 2)
    if k < 1:
        return Match(1, "one base sample already costs more tokens than the method")
    if k > most:
        return Match(most, f"the method's tokens would pay for k={k}; the base has samples for k={most}")
    return Match(k, None)
