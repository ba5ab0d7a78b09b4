"""validity x correctness: is the trace right if the answer is, and the other way round? (arXiv 2505.13775)

             right answer   wrong answer
valid             a              b            phi = (ad - bc) / sqrt((a+b)(c+d)(a+c)(b+d))
not valid         c              d            odds ratio (Haldane) = (a+.5)(d+.5) / ((b+.5)(c+.5))

Counts are of the samples of all training seeds together.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np

from elicit.evaluate.measures.measure import Measures
from elicit.evaluate.metrics.metric import Lines, Metric, put
from elicit.evaluate.metrics.table import Table


class Validity(NamedTuple):
    """The table, [valid, not valid] x [right, wrong], and its shares; None if a share is over nothing."""

    table: tuple[tuple[int, int], tuple[int, int]]
    valid: float
    valid_given_correct: float | None
    correct_given_valid: float | None
    unearned: float | None
    """right answers without a valid trace"""
    phi: float | None
    odds_ratio: float


def validity(seeds: Sequence[Measures]) -> Validity | None:
    """Over the samples of all seeds that have a grade and a validated trace; None without a validator."""
    valid_S, strict_S = [m.valid_N_J.ravel() for m in seeds], [m.strict_N_J.ravel() for m in seeds]
    valid, strict = np.concatenate(valid_S), np.concatenate(strict_S)
    known = (valid >= 0) & (strict >= 0)
    if not known.any():
        return None
    valid, right = valid[known] == 1, strict[known] == 1
    a, b = int((valid & right).sum()), int((valid & ~right).sum())
    c, d = int((~valid & right).sum()), int((~valid & ~right).sum())
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    return Validity(
        table=((a, b), (c, d)),
        valid=(a + b) / (a + b + c + d),
        valid_given_correct=_share(a, a + c),
        correct_given_valid=_share(a, a + b),
        unearned=_share(c, a + c),
        phi=(a * d - b * c) / sqrt(margins) if margins else None,
        odds_ratio=(a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5)),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _report(table: Table, lines: Lines) -> None:
    for arm, line in lines:
        found = validity(arm.measures)
        if found is None:
            continue
        (valid_right, valid_wrong), (invalid_right, invalid_wrong) = found.table
        put(line, "valid/n/valid_right", valid_right)
        put(line, "valid/n/valid_wrong", valid_wrong)
        put(line, "valid/n/invalid_right", invalid_right)
        put(line, "valid/n/invalid_wrong", invalid_wrong)
        for name, share in found._asdict().items():
            if name != "table":
                put(line, f"valid/{name}", share)


VALIDITY = Metric("validity", report=_report)
"""shown as a figure: no table lists its numbers"""
