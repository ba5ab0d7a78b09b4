"""Laws of tests and of the nested bootstrap, each against its plain restatement."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from elicit.evaluate.statistics.joint import Joint
from elicit.evaluate.statistics.resamples import Resamples, jeffreys
from elicit.evaluate.statistics.significance import benjamini_hochberg, detectable, holm, sign_flip, sign_flip_test
from tests.reference import statistics as plain


@pytest.mark.parametrize("one_sided", [False, True])
def test_the_convolution_is_the_enumeration_of_all_sign_patterns(one_sided: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        units = rng.integers(-6, 7, 16)
        sums, seen = plain.signed_sums(units.tolist()), int(units.sum())
        hits = sum(n for total, n in sums.items() if (total >= seen if one_sided else abs(total) >= abs(seen)))
        got = sign_flip_test(units / 8, np.arange(16), one_sided=one_sided)
        assert got.exact and got.p == pytest.approx(hits / 2**16)


def test_with_one_sample_an_item_the_exact_test_is_mcnemars() -> None:
    rng = np.random.default_rng(1)
    for items in (30, 80, 300):
        method, base = rng.random(items) < 0.5, rng.random(items) < 0.4
        got = sign_flip_test(method.astype(float) - base, np.arange(items))
        assert got.exact and got.p == pytest.approx(plain.mcnemar(method.tolist(), base.tolist()))


def test_grades_are_always_tested_exactly_also_over_clusters_and_seeds() -> None:
    rng = np.random.default_rng(2)
    clusters = np.arange(400) % 90
    three_seeds = rng.binomial(16, 0.5, (3, 400)).mean(0) / 16
    got = sign_flip_test(three_seeds - rng.binomial(16, 0.49, 400) / 16, clusters)
    assert got.exact
    free = sign_flip_test(rng.normal(0.1, 1, 60), np.arange(60))
    assert not free.exact and 0 < free.p <= 1


def test_the_exact_test_holds_its_level_on_few_items() -> None:
    rng, trials = np.random.default_rng(3), 1500
    p = [sign_flip((rng.binomial(4, 0.4, 25) - rng.binomial(4, 0.4, 25)) / 4, np.arange(25)) for _ in range(trials)]
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)


def test_holm_and_benjamini_hochberg_are_their_procedures() -> None:
    rng = np.random.default_rng(4)
    for size in (1, 5, 12):
        p = (rng.random(size) ** 2).tolist()
        assert holm(p) == pytest.approx(plain.holm(p), abs=1e-9)
        assert benjamini_hochberg(p) == pytest.approx(plain.benjamini_hochberg(p), abs=1e-9)


def test_holm_keeps_the_familywise_error_and_bh_rejects_no_less() -> None:
    rng = np.random.default_rng(5)
    wrong = np.mean([min(holm(rng.random(8).tolist())) <= 0.05 for _ in range(2000)])
    assert 0.035 < wrong < 0.065
    p = (rng.random(10) ** 3).tolist()
    assert all(b <= h + 1e-12 for b, h in zip(benjamini_hochberg(p), holm(p), strict=True))


def test_with_few_clusters_more_is_needed_to_be_detected() -> None:
    assert detectable(0.1, 10) > detectable(0.1, 100) > detectable(0.1)
    rng, n = np.random.default_rng(6), 12
    scale = 1 / np.sqrt(n)
    drawn = rng.normal(detectable(scale, n), 1.0, (8000, n))
    found = stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.03)


def test_standard_errors_and_jeffreys_are_the_plain_ones() -> None:
    rng = np.random.default_rng(7)
    values, clusters = rng.random(40), [f"c{i % 11}" for i in range(40)]
    assert Resamples(clusters, 10).standard_error(values) == pytest.approx(plain.robust_error(values, clusters))
    for right, n in ((3, 20), (17, 20), (40, 80)):
        got = jeffreys(right / n, n)
        assert (got.lo, got.hi) == pytest.approx(plain.jeffreys(right, n), abs=1e-4)


@pytest.mark.parametrize("mean", [0.9, 0.5])
def test_without_the_logit_side_curved_is_bca(mean: float) -> None:
    values = np.random.default_rng(9).beta(8 * mean, 8 * (1 - mean), 400)
    resamples = Resamples(np.arange(400), 8000)
    point, draws = resamples.means(values[:, None])
    got = resamples.curved(point[0], draws[:, 0], values, bounded=False)
    reference = stats.bootstrap((values,), np.mean, n_resamples=8000, method="BCa", rng=np.random.default_rng(1))
    low, high = reference.confidence_interval
    assert (got.lo, got.hi) == pytest.approx((low, high), abs=0.002)


def test_curved_covers_a_skewed_share_better_than_percentiles_and_stays_a_share() -> None:
    rng, curved, plain_ = np.random.default_rng(10), [], []
    for trial in range(300):
        values = rng.choice([0.2, 1.0], 80, p=[0.05, 0.95])
        resamples = Resamples(np.arange(80), 400, trial)
        point, draws = resamples.means(values[:, None])
        got = resamples.curved(point[0], draws[:, 0], values)
        low, high = np.quantile(draws[:, 0], [0.025, 0.975])
        curved.append(got.lo <= 0.96 <= got.hi)
        plain_.append(low <= 0.96 <= high)
        assert 0 <= got.lo <= got.point <= got.hi <= 1
    assert np.mean(curved) >= np.mean(plain_) and np.mean(curved) > 0.9


def test_curved_without_spread_or_clusters_is_as_honest_as_a_proportion() -> None:
    ones = np.ones(120)
    resamples = Resamples(np.arange(120), 100)
    assert 0.9 < resamples.curved(1.0, np.ones(100), ones).lo < 1
    assert Resamples(["a"] * 120, 100).curved(0.5, np.full(100, 0.5), ones / 2).refused


def test_seeds_are_the_top_level_of_the_nested_bootstrap() -> None:
    rng = np.random.default_rng(8)
    clusters = [f"c{i % 20}" for i in range(60)]
    values = [rng.random(60) + shift for shift in (0.0, 0.2, 0.5)]
    joint = Joint(Resamples(clusters, 6000))
    joint.add("m", "acc", values)
    joint.solve()
    point, draws = joint.mean("m")
    reference = plain.nested_means([list(v) for v in values], clusters, 6000, 1)
    assert point == pytest.approx(np.mean(values))
    assert np.median(draws) == pytest.approx(np.median(reference), abs=0.02)
    assert np.quantile(draws, [0.1, 0.9]) == pytest.approx(np.quantile(reference, [0.1, 0.9]), abs=0.04)


def test_the_seeds_of_a_row_are_the_same_for_all_its_columns() -> None:
    values = [np.full(120, 0.2), np.full(120, 0.6), np.full(120, 0.7)]
    joint = Joint(Resamples(np.arange(120), 500))
    for name in ("acc", "maj@4"):
        joint.add("m", name, values)
    joint.solve()
    assert np.array_equal(joint.mean("m", "acc")[1], joint.mean("m", "maj@4")[1])
    estimate = joint.resamples.proportion(*joint.mean("m"))
    assert 0 <= estimate.lo < 0.5 < estimate.hi <= 1
