"""Laws of the mean of independent estimates: against the usual standard error, and coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from elicit.results import Estimate
from elicit.results.independent import mean_of_independent


def wilson(right: int, n: int) -> Estimate:
    """95 % interval of a share, restated."""
    z, share = 1.959964, right / n
    centre, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Estimate(share, (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n))


def test_symmetric_intervals_join_by_their_standard_errors() -> None:
    errors = [0.01, 0.02, 0.05]
    joined = mean_of_independent(
        [Estimate(0.2 * k, 0.2 * k - 1.96 * e, 0.2 * k + 1.96 * e) for k, e in enumerate(errors)]
    )
    half = 1.96 * math.sqrt(sum(e * e for e in errors)) / 3
    assert joined is not None and joined.bounds == pytest.approx((0.2, 0.2 - half, 0.2 + half))


def test_one_estimate_is_its_own_mean_and_none_has_no_mean() -> None:
    one = Estimate(0.9, 0.7, 0.95)
    assert mean_of_independent([one]) == Estimate(0.9, pytest.approx(0.7), pytest.approx(0.95))
    assert mean_of_independent([]) is None


@pytest.mark.parametrize("missing", [None, Estimate(refused="no placebo"), Estimate(0.5)])
def test_a_task_without_an_interval_leaves_no_mean(missing: Estimate | None) -> None:
    joined = mean_of_independent([Estimate(0.9, 0.7, 0.95), missing])
    assert joined is not None and joined.bounds is None and joined.refused == "measured on 1 of 2"


def test_the_interval_covers_the_true_mean_of_skewed_shares() -> None:
    rng = np.random.default_rng(0)
    shares, n = np.array([0.02, 0.5, 0.97]), 60
    covered = 0
    for right in rng.binomial(n, shares, size=(2000, 3)):
        joined = mean_of_independent([wilson(int(k), n) for k in right])
        assert joined is not None and joined.lo is not None and joined.hi is not None
        covered += joined.lo <= shares.mean() <= joined.hi
    assert 0.935 < covered / 2000 < 0.975
