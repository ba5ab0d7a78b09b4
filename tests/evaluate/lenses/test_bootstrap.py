"""Intervals of ratios and other functions of means, against a plain cluster bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from elicit.evaluate.statistics import resamples as module
from elicit.evaluate.statistics.ratios import Bootstrap
from elicit.evaluate.statistics.resamples import Resamples, jeffreys
from elicit.results import Estimate
from tests.reference import lenses as plain

RNG = np.random.default_rng(1)
CLUSTERS = np.repeat(np.arange(120), 2)
HITS = RNG.integers(0, 4, 240).astype(float)
OF = HITS + RNG.integers(0, 3, 240)


def test_a_share_is_a_ratio_of_sums_with_the_interval_of_resampled_clusters() -> None:
    found = Bootstrap(Resamples(CLUSTERS, 4_000)).share(HITS, OF, "none")
    low, high = plain.cluster_bootstrap(
        np.stack([HITS, OF], 1).tolist(), CLUSTERS.tolist(), lambda m: m[0] / m[1], 2_000
    )
    assert found.point == pytest.approx(HITS.sum() / OF.sum())
    assert found.lo == pytest.approx(low, abs=0.01) and found.hi == pytest.approx(high, abs=0.01)


def test_kept_and_new_weights_give_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Bootstrap(Resamples(CLUSTERS, 300)).share(HITS, OF, "none")
    monkeypatch.setattr(module, "KEPT_ELEMENTS", 0)
    assert Bootstrap(Resamples(CLUSTERS, 300)).share(HITS, OF, "none") == kept


def test_nothing_is_unknown_and_never_zero() -> None:
    boot = Bootstrap(Resamples(np.arange(6), 100))
    assert boot.share(np.zeros(6), np.zeros(6), "no trace") == Estimate(refused="no trace")
    assert boot.mean(np.full(6, np.nan), "no trace").refused == "no trace"
    assert boot.statistic(np.zeros((6, 2)), lambda m: m[..., 0] / m[..., 1], "no trace") == Estimate(refused="no trace")


def test_one_cluster_has_a_point_and_no_interval() -> None:
    alone = Bootstrap(Resamples(["a"] * 5, 100))
    assert alone.share(np.ones(5), np.full(5, 2.0), "none") == Estimate(0.5, refused="one cluster: no interval")
    few = Bootstrap(Resamples(np.arange(5), 100)).fraction(np.array([1.0, *[np.nan] * 4]), "none")
    assert few == Estimate(1.0, refused="one cluster: no interval")


def test_a_share_without_spread_has_an_interval_of_the_clusters_that_speak() -> None:
    of = np.zeros(200)
    of[:7] = 3
    found = Bootstrap(Resamples(np.arange(200), 200)).share(np.zeros(200), of, "none")
    assert found == jeffreys(0.0, 7)
    assert found.hi > 0.2
