"""Laws of intervals and tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from elicit.errors import DataError
from elicit.evaluate.statistics.resamples import Resamples, jeffreys
from elicit.evaluate.statistics.significance import benjamini_hochberg, detectable, holm, sign_flip
from elicit.results import Estimate
from tests.reference import metrics as plain


def test_the_bootstrap_is_the_plain_loop_over_clusters() -> None:
    rng = np.random.default_rng(1)
    values, clusters = rng.random(60), [f"c{i % 23}" for i in range(60)]
    point, draws = Resamples(clusters, 8000).means(values[:, None])
    reference = plain.bootstrap_mean(list(values), clusters, 8000, 3)
    assert point[0] == pytest.approx(values.mean())
    assert draws.mean() == pytest.approx(np.mean(reference), abs=0.002)
    assert draws.std() == pytest.approx(np.std(reference), rel=0.05)
    assert np.quantile(draws, [0.025, 0.975]) == pytest.approx(np.quantile(reference, [0.025, 0.975]), abs=0.006)


def test_all_columns_see_the_same_clusters() -> None:
    values = np.random.default_rng(0).random(150)
    _, draws = Resamples(np.arange(150), 500).means(np.stack([values, values, 1 - values], 1))
    assert np.array_equal(draws[:, 0], draws[:, 1])
    assert np.allclose(draws[:, 0] + draws[:, 2], 1)


ITSELF = """
import numpy as np
from elicit.evaluate.statistics.ratios import Bootstrap
from elicit.evaluate.statistics.resamples import Resamples
rng = np.random.default_rng(0)
wrong = 0
for columns in (2, 3, 7, 17, 33):
    values = rng.integers(0, 8, (90, columns)) / 7  # sevenths have no exact binary sums
    places = rng.permutation(2 * columns)
    for kind in (np.float64, np.float32):
        twice = np.concatenate([values, values], axis=1).astype(kind)[:, places]
        resamples = Resamples(np.arange(90) % 40, 300)
        point, draws = resamples.means(twice)
        for column in range(columns):
            a, b = np.flatnonzero(places % columns == column)
            same = resamples.interval(point[a] - point[b], draws[:, a] - draws[:, b])
            wrong += (same.point, same.lo, same.hi) != (0.0, 0.0, 0.0)
        of = Bootstrap(resamples).statistic(
            np.concatenate([values, values], axis=1),
            lambda m: np.abs(m[..., :columns]).sum(-1) - np.abs(m[..., columns:]).sum(-1), "none",
        )
        wrong += (of.point, of.lo, of.hi) != (0.0, 0.0, 0.0)
print(wrong)
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_column_and_itself_differ_by_exactly_zero_in_every_draw_on_any_number_of_threads(threads: str) -> None:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, "-c", ITSELF], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        env={**os.environ, **dict.fromkeys(names, threads)},
    )  # fmt: skip
    assert done.stdout.strip() == "0", done.stderr


def test_a_tie_with_the_point_is_no_matter_of_the_last_bits() -> None:
    values = np.random.default_rng(3).integers(0, 8, 60) / 7
    resamples = Resamples(np.arange(60), 2000)
    point, draws = resamples.means(values[:, None])
    plain_ = resamples.curved(point[0], draws[:, 0], values)
    shaken = draws[:, 0] * (1 + 2e-16 * np.random.default_rng(4).integers(-1, 2, 2000))
    again = resamples.curved(point[0], shaken, values)
    assert (again.lo, again.hi) == pytest.approx((plain_.lo, plain_.hi), abs=1e-12)


def test_draws_depend_on_the_seed_only() -> None:
    values = np.random.default_rng(0).random((50, 1))
    again = [Resamples(np.arange(50), 1500, seed).means(values)[1] for seed in (7, 7, 8)]
    assert np.array_equal(again[0], again[1]) and not np.array_equal(again[0], again[2])


@pytest.mark.parametrize("spread", [0.0, 0.3])
@pytest.mark.parametrize("items", [30, 200])
def test_intervals_of_paired_differences_cover_95_percent(items: int, spread: float) -> None:
    rng, n, trials, covered = np.random.default_rng(5), 16, 500, 0
    for trial in range(trials):
        base = np.clip(rng.normal(0.3, spread, items), 0.02, 0.98) if spread else np.full(items, 0.3)
        a, b = rng.binomial(n, base) / n, rng.binomial(n, np.clip(base + 0.01, 0, 1)) / n
        resamples = Resamples(np.arange(items), 600, trial)
        point, draws = resamples.means(np.stack([a, b], 1))
        got = resamples.difference((point[1], draws[:, 1]), (point[0], draws[:, 0]))
        covered += got.lo <= 0.01 <= got.hi
    assert 0.92 <= covered / trials <= 0.98


def test_sampling_inside_items_as_well_is_too_wide() -> None:
    right = np.random.default_rng(2).binomial(16, 0.3, 200)
    once = Resamples(np.arange(200), 4000).means(right[:, None] / 16)[1].std()
    twice = np.std(plain.two_stage_mean(right.tolist(), 16, 1000, 0))
    assert twice / once == pytest.approx(np.sqrt(2), rel=0.1)


def test_one_cluster_is_a_refusal_and_never_a_zero() -> None:
    resamples = Resamples(["a"] * 5, 100)
    point, draws = resamples.means(np.ones((5, 1)))
    for estimate in (resamples.interval(point[0], draws[:, 0]), resamples.proportion(point[0], draws[:, 0])):
        assert estimate.refused and estimate.lo is None
    assert np.isnan(resamples.standard_error(np.ones(5)))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_right_or_all_wrong_has_an_honest_width(share: float) -> None:
    resamples = Resamples(np.arange(200), 500)
    point, draws = resamples.means(np.full((200, 1), share))
    got = resamples.proportion(point[0], draws[:, 0])
    assert got.lo <= share <= got.hi and 0.005 < got.hi - got.lo < 0.03


def test_a_difference_without_spread_still_has_a_width() -> None:
    resamples = Resamples(np.arange(50), 500)
    ones, zeros = (1.0, np.ones(500)), (0.0, np.zeros(500))
    got = resamples.difference(ones, zeros)
    assert got.point == 1 and 0.8 < got.lo < 1
    assert resamples.difference(ones, ones) == Estimate(0.0, 0.0, 0.0)


@pytest.mark.parametrize(("count", "decides"), [(4, False), (30, False), (60, True)])
def test_two_policies_that_agree_on_every_item_may_differ_on_others(count: int, decides: bool) -> None:
    """Both sides solve nothing, or the same half: on four items that says little about a margin of five points."""
    for values_N in (np.zeros(count), np.arange(count) % 2.0):
        resamples = Resamples(np.arange(count), 500)
        point, draws = resamples.means(np.stack([values_N, values_N], 1))
        got = resamples.difference((point[0], draws[:, 0]), (point[1], draws[:, 1]))
        assert got.point == 0 and got.lo == pytest.approx(-(got.hi or 0)) and (0 < (got.hi or 0) < 0.05) == decides
        assert got.hi == pytest.approx(jeffreys(0.0, count).hi)


def test_jeffreys_is_the_beta_quantile() -> None:
    from scipy.stats import beta

    got = jeffreys(0.3, 50)
    assert got.lo == pytest.approx(beta.ppf(0.025, 15.5, 35.5))
    assert got.hi == pytest.approx(beta.ppf(0.975, 15.5, 35.5))


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(DataError, match="item 1, column 0"):
        Resamples(np.arange(3), 10).means(np.array([[1.0], [np.nan], [0.0]]))


def test_sign_flips_are_the_enumeration() -> None:
    rng = np.random.default_rng(4)
    differences, clusters = rng.normal(0.2, 0.5, 24), [f"c{i % 9}" for i in range(24)]
    assert sign_flip(differences, np.array(clusters)) == pytest.approx(plain.sign_flip(list(differences), clusters))


def test_random_sign_flips_agree_with_the_t_test() -> None:
    from scipy.stats import ttest_1samp

    differences = np.random.default_rng(6).normal(0.1, 0.5, 120)
    assert sign_flip(differences, np.arange(120)) == pytest.approx(ttest_1samp(differences, 0).pvalue, abs=0.01)


def test_no_difference_has_p_1() -> None:
    assert sign_flip(np.zeros(10), np.arange(10)) == 1.0


def test_corrections_agree_with_statsmodels() -> None:
    p = [0.01, 0.04, 0.03, 0.005, 0.5, 0.04]
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1])
    assert holm([]) == [] == benjamini_hochberg([])


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(0)
    se = 0.1
    found = np.abs(rng.normal(detectable(se), se, 20_000)) > 1.96 * se
    assert found.mean() == pytest.approx(0.8, abs=0.01)


def test_ten_thousand_paired_draws_of_a_whole_suite_are_quick() -> None:
    rng = np.random.default_rng(0)
    right = rng.binomial(16, 0.4, (2, 1319))
    begun = time.process_time()
    resamples = Resamples(np.arange(1319))
    resamples.means(right.T / 16)
    assert time.process_time() - begun < 2
