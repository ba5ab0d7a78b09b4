"""accuracy: (1/N) sum_i c_i/n_i, strict; lenient next to it. Their difference is the format share.

Strict asks for the answer in the declared form, lenient takes it from anywhere in the completion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measures.measure import UNGRADED, Measures
from elicit.evaluate.metrics.metric import Lines, Metric
from elicit.evaluate.metrics.table import Table
from elicit.results import Column, Estimate
from elicit.results.comparison import ROLES


def accuracy(m: Measures, lenient: bool = False) -> NDArray:
    """c_i/n_i by item [N]; nan if every sample of an item is ungraded (unknown, not wrong)."""
    known_N_J = m.strict_N_J != UNGRADED
    if lenient:
        known_N_J = known_N_J & (m.lenient_N_J != UNGRADED)
    grades_N_J, known_N = m.lenient_N_J if lenient else m.strict_N_J, known_N_J.sum(1)
    right_N = ((grades_N_J == 1) & known_N_J).sum(1)
    return np.where(known_N > 0, right_N / np.maximum(known_N, 1), np.nan)


def _add(table: Table) -> None:
    for arm in table.arms:
        table.joint.add(arm.key, "acc", [accuracy(m) for m in arm.measures])
        table.joint.add(arm.key, "lenient", [accuracy(m, lenient=True) for m in arm.measures])


def _report(table: Table, lines: Lines) -> None:
    for arm, line in lines:
        strict, lenient = table.joint.mean(arm.key), table.joint.mean(arm.key, "lenient")
        seeds = len(arm.entries)
        line.values["acc/strict"] = table.joint.resamples.proportion(*strict, seeds=seeds)
        line.values["acc/lenient"] = table.joint.resamples.proportion(*lenient, seeds=seeds)
        line.values["acc/format_share"] = Estimate(lenient[0] - strict[0])


ACCURACY = Metric(
    "accuracy",
    (Column("acc/strict", "Accuracy", "percent", "strict accuracy, percent", "scorecard", ROLES),),
    _add,
    _report,
)
