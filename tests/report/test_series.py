"""Laws of the rows behind figures: the interval of a logged share."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from elicit.report.figures.series import wilson


@pytest.mark.parametrize(("hits", "n"), [(0, 8), (1, 8), (4, 8), (8, 8), (17, 48), (240, 256)])
def test_a_logged_share_has_wilson_s_interval(hits: int, n: int) -> None:
    theirs = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert wilson(hits / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-6)
