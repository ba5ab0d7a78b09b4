"""validity x correctness: is the trace right where the answer is, and the other way round? (arXiv 2505.13775)

             right answer   wrong answer
valid             a              b            phi = (ad - bc) / sqrt((a+b)(c+d)(a+c)(b+d))
not valid         c              d            odds ratio (Haldane) = (a+.5)(d+.5) / ((b+.5)(c+.5))
"""

from __future__ import annotations

from math import sqrt
from typing import Any

from elicit.evaluate.measures.measure import Measures


def validity(m: Measures) -> dict[str, Any] | None:
    """The table and its shares over samples with a grade and a validated trace; None without a validator.

    A share over nothing (no right answer at all) is None, not 0.
    """
    known = (m.valid_N_J >= 0) & (m.strict_N_J >= 0)
    if not known.any():
        return None
    valid, right = m.valid_N_J[known] == 1, m.strict_N_J[known] == 1
    a, b = int((valid & right).sum()), int((valid & ~right).sum())
    c, d = int((~valid & right).sum()), int((~valid & ~right).sum())
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    return {
        "table": [[a, b], [c, d]],
        "valid": (a + b) / (a + b + c + d),
        "valid_given_correct": _share(a, a + c),
        "correct_given_valid": _share(a, a + b),
        "unearned": _share(c, a + c),
        "phi": (a * d - b * c) / sqrt(margins) if margins else None,
        "odds_ratio": (a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5)),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
