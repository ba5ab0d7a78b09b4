"""How completions end: every share of all samples wanted, so that nothing drops out of sight.

Truncated, empty, unanswered, ungraded and missing samples are outcomes of their own, shown next to accuracy.
"""

from __future__ import annotations

import numpy as np

from elicit.evaluate.measures.measure import MISSING, UNGRADED, Measures
from elicit.evaluate.metrics.metric import Lines, Metric, put
from elicit.evaluate.metrics.table import Table
from elicit.records import Finish


def endings(m: Measures) -> dict[str, float]:
    """Shares of all samples by their key in a line: finish/ENDING, truncated, empty, noanswer, ungraded, missing."""
    names, counts = np.unique(m.finish_N_J[m.finish_N_J != ""], return_counts=True)
    size = m.strict_N_J.size
    graded = m.strict_N_J >= 0
    return {
        **{f"finish/{name}": int(count) / size for name, count in zip(names, counts, strict=True)},
        "truncated": float((m.finish_N_J == Finish.LENGTH).sum() / size),
        "empty": float(m.empty_N_J.sum() / size),
        "noanswer": float((graded & (m.classes_N_J < 0)).sum() / size),
        "ungraded": float((m.strict_N_J == UNGRADED).sum() / size),
        "missing": float((m.strict_N_J == MISSING).sum() / size),
    }


def _report(table: Table, lines: Lines) -> None:
    for arm, line in lines:
        of_seeds = [endings(m) for m in arm.measures]
        for key in dict.fromkeys(key for shares in of_seeds for key in shares):
            put(line, key, float(np.mean([shares.get(key, 0.0) for shares in of_seeds])))


ENDINGS = Metric("endings", report=_report)
"""shown as a table of its own"""
