"""One file per metric: its formula, its item values, its estimates, and what its columns are called.

`METRICS` lists them in the order in which the report shows their columns. A new metric is a file with a `Metric` and
one line here (`metric.py` describes the three parts). `table` is what they compute from, `rungs` and `ceilings` what
methods are measured against. Values are by item, so that intervals stay joint; no torch.
"""

from __future__ import annotations

from elicit.evaluate.metrics.accuracy import ACCURACY
from elicit.evaluate.metrics.beyond_form import BEYOND_FORM
from elicit.evaluate.metrics.control import CONTROL
from elicit.evaluate.metrics.cost import COST
from elicit.evaluate.metrics.cover import COVER
from elicit.evaluate.metrics.coverage import COVERAGE, PASS_HAT
from elicit.evaluate.metrics.distance import DISTANCE
from elicit.evaluate.metrics.elicitation import ELICITATION
from elicit.evaluate.metrics.endings import ENDINGS
from elicit.evaluate.metrics.large_k import LARGE_K
from elicit.evaluate.metrics.majority import MAJORITY, OPEN_VOTES
from elicit.evaluate.metrics.matched import MATCHED
from elicit.evaluate.metrics.metric import Metric
from elicit.evaluate.metrics.net import NET
from elicit.evaluate.metrics.p_values import P_VALUES
from elicit.evaluate.metrics.sharpening import SHARPENING
from elicit.evaluate.metrics.split import SPLIT
from elicit.evaluate.metrics.stack import STACK
from elicit.evaluate.metrics.support import SUPPORT
from elicit.evaluate.metrics.validity import VALIDITY

METRICS: tuple[Metric, ...] = (
    ACCURACY, ELICITATION, CONTROL, SUPPORT, COVERAGE, NET, LARGE_K, PASS_HAT, COVER, MAJORITY, MATCHED, OPEN_VOTES,
    SPLIT, COST, DISTANCE, SHARPENING, ENDINGS, VALIDITY, P_VALUES, BEYOND_FORM, STACK,
)  # fmt: skip

JUDGED: tuple[Metric, ...] = (ACCURACY, ELICITATION, CONTROL, SPLIT, P_VALUES, BEYOND_FORM)
"""what the verdict claims by (`report.verdict`), in the order of `METRICS`: a simulation of claims computes no more"""

__all__ = ["JUDGED", "METRICS", "Metric"]
