"""How completions end: every share of all samples wanted, so that nothing drops out of sight.

Truncated, empty, unanswered, ungraded and missing samples are outcomes of their own, shown beside accuracy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elicit.evaluate.measures.measure import MISSING, UNGRADED, Measures
from elicit.records import Finish


def endings(m: Measures) -> dict[str, Any]:
    """{"finish": {ending: share}, "truncated", "empty", "noanswer", "ungraded", "missing"}."""
    names, counts = np.unique(m.finish_N_J[m.finish_N_J != ""], return_counts=True)
    size = m.strict_N_J.size
    graded = m.strict_N_J >= 0
    return {
        "finish": {str(name): int(count) / size for name, count in zip(names, counts, strict=True)},
        "truncated": float((m.finish_N_J == Finish.LENGTH).sum() / size),
        "empty": float(m.empty_N_J.sum() / size),
        "noanswer": float((graded & (m.classes_N_J < 0)).sum() / size),
        "ungraded": float((m.strict_N_J == UNGRADED).sum() / size),
        "missing": float((m.strict_N_J == MISSING).sum() / size),
    }
