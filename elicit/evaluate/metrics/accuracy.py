"""accuracy: (1/N) sum_i c_i/n_i under each reading of a sample, strict first. The readings are in `measures.measure`.

    strict    the answer in the declared form, at the end of a finished completion
    lenient   from the end of the completion, declared or not            lenient - strict: the format share
    any       or from the first declaration, however it goes on          only if every policy was graded that way

Differences of policies under the loosest reading that all of them have hold neither form nor stopping.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measures.measure import READINGS, UNGRADED, Measures, Reading
from elicit.evaluate.metrics.metric import Lines, Metric
from elicit.evaluate.metrics.table import Table
from elicit.results import Column, Estimate
from elicit.results.comparison import ROLES

COLUMNS: dict[Reading, str] = {"strict": "acc", "lenient": "lenient", "any": "any"}
"""columns of the joint bootstrap by reading"""


def accuracy(m: Measures, reading: Reading = "strict") -> NDArray:
    """c_i/n_i by item [N]; nan if every sample of an item is ungraded (unknown, not wrong)."""
    grades_N_J = m.read(reading)
    known_N = (grades_N_J != UNGRADED).sum(1)
    return np.where(known_N > 0, (grades_N_J == 1).sum(1) / np.maximum(known_N, 1), np.nan)


def loosest(measures: Iterable[Measures]) -> Reading:
    """The loosest reading that all policies have, with a known grade of every item: `any`, else `lenient`."""
    known = all(m.first_N_J is not None and np.isfinite(accuracy(m, "any")).all() for m in measures)
    return "any" if known else "lenient"


def _add(table: Table) -> None:
    last = loosest(m for arm in table.arms for m in arm.measures)
    for reading in READINGS[: 1 + READINGS.index(last)]:
        for arm in table.arms:
            table.joint.add(arm.key, COLUMNS[reading], [accuracy(m, reading) for m in arm.measures])


def _report(table: Table, lines: Lines) -> None:
    for arm, line in lines:
        for reading, column in COLUMNS.items():
            if table.joint.has(arm.key, column):
                mean = table.joint.mean(arm.key, column)
                line.values[f"acc/{reading}"] = table.joint.resamples.proportion(*mean, seeds=len(arm.entries))
        strict, lenient = (line.values[f"acc/{reading}"].point or 0.0 for reading in ("strict", "lenient"))
        line.values["acc/format_share"] = Estimate(lenient - strict)


ACCURACY = Metric(
    "accuracy",
    (Column("acc/strict", "Accuracy", "percent", "strict accuracy, percent", "scorecard", ROLES),),
    _add,
    _report,
)
