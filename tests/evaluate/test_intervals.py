"""Exact values of intervals, tests and ratios, each against an independent restatement (`tests.reference`)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from elicit import files
from elicit.errors import DataError
from elicit.evaluate.statistics import shipped, significance
from elicit.evaluate.statistics.beta_binomial import BetaFit, all_right, covered, fit
from elicit.evaluate.statistics.joint import Joint
from elicit.evaluate.statistics.ratios import Bootstrap, by_item, over_seeds
from elicit.evaluate.statistics.resamples import ONE_CLUSTER, Resamples, jeffreys
from elicit.evaluate.statistics.significance import detectable, sign_flip_test, tail_share
from elicit.results import Estimate
from tests.reference import intervals as plain

LEVELS = (0.8, 0.95)


def skewed(
    clusters: int, seed: int = 0, draws: int = 700
) -> tuple[Resamples, list[str], np.ndarray, float, np.ndarray]:
    """Clusters of different sizes and a skewed share: (resamples, names, values, mean, draws)."""
    rng = np.random.default_rng(seed)
    names = [f"c{i}" for i in range(clusters) for _ in range(1 + i % 3)]
    values = rng.choice([0.1, 0.7, 1.0], len(names), p=[0.1, 0.2, 0.7])
    resamples = Resamples(names, draws, seed)
    point, drawn = resamples.means(values[:, None])
    return resamples, names, values, float(point[0]), drawn[:, 0]


def bounds(found: Estimate) -> tuple[float, float]:
    assert found.refused is None and found.lo is not None and found.hi is not None
    return found.lo, found.hi


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("clusters", [2, 7, 40])
def test_an_interval_is_the_expanded_percentiles(clusters: int, level: float) -> None:
    resamples, _, _, point, draws = skewed(clusters)
    found = resamples.interval(point, draws, level)
    assert found.point == point and bounds(found) == pytest.approx(plain.percentile(draws.tolist(), clusters, level))


@pytest.mark.parametrize(
    ("clusters", "level"), [(2, 0.8), *((clusters, level) for clusters in (3, 9, 40, 130) for level in LEVELS)]
)
def test_curved_is_bca_and_for_shares_its_hull_with_the_logit_interval(clusters: int, level: float) -> None:
    resamples, names, values, point, draws = skewed(clusters)
    by_bca = plain.bca(point, draws.tolist(), values.tolist(), names, level)
    assert bounds(resamples.curved(point, draws, values, level, bounded=False)) == pytest.approx(by_bca)
    by_t = plain.logit_t(point, draws.tolist(), clusters, level)
    hull = max(0.0, min(by_bca[0], by_t[0])), min(1.0, max(by_bca[1], by_t[1]))
    found = resamples.curved(point, draws, values, level)
    assert found.point == point and bounds(found) == pytest.approx(hull) and by_t != pytest.approx(by_bca)


@pytest.mark.parametrize("level", LEVELS)
def test_with_several_seeds_curved_is_the_hull_of_bca_and_percentiles_inside_of_its_bounds(level: float) -> None:
    resamples, names, values, point, draws = skewed(25)
    wide = point + 6 * (draws - point)  # seeds overstretch a share
    for given in (draws, wide):
        by_bca = plain.bca(point, given.tolist(), values.tolist(), names, level)
        sides = by_bca, plain.percentile(given.tolist(), 25, level)
        low, high = min(one[0] for one in sides), max(one[1] for one in sides)
        free = resamples.curved(point, given, values, level, bounded=False, seeds=3)
        assert bounds(free) == pytest.approx((low, high))
        share = resamples.curved(point, given, values, level, seeds=3)
        assert bounds(share) == pytest.approx((max(0.0, low), min(1.0, high)))
    assert high > 1


def test_bca_of_a_constant_has_no_skew_and_ties_count_half() -> None:
    resamples = Resamples(np.arange(30), 100)
    draws = np.array([0.3] * 40 + [0.4] * 40 + [0.5] * 20)
    found = resamples.curved(0.4, draws, np.full(30, 0.4), bounded=False)
    levels = [
        plain.NORMAL.cdf(2 * plain.NORMAL.inv_cdf(0.6) + plain.NORMAL.inv_cdf(tail)) for tail in plain.tails(30, 0.95)
    ]
    assert bounds(found) == pytest.approx([plain.quantile(draws.tolist(), one) for one in levels])
    low = resamples.curved(0.1, draws, np.full(30, 0.4), bounded=False)  # no draw below: the bias is cut at .001
    level = plain.NORMAL.cdf(2 * plain.NORMAL.inv_cdf(0.001) + plain.NORMAL.inv_cdf(plain.tails(30, 0.95)[1]))
    assert low.hi == pytest.approx(plain.quantile(draws.tolist(), level))


def test_without_spread_curved_is_the_point_alone_or_a_proportion() -> None:
    resamples = Resamples(np.arange(30), 50)
    values = np.linspace(0, 1, 30)
    assert resamples.curved(2.0, np.full(50, 2.0), values, bounded=False) == Estimate(2.0, 2.0, 2.0)
    for share in (0.0, 0.4, 1.0):
        still = resamples.curved(share, np.full(50, share), values, 0.8)
        assert bounds(still) == pytest.approx(plain.jeffreys(share, 30, 0.8))
    draws = np.linspace(0.9, 1.0, 50)
    assert resamples.curved(1.0, draws, values, 0.8) == resamples.proportion(1.0, draws, 0.8)
    assert resamples.curved(1.0, draws, values, 0.8, seeds=2) == resamples.proportion(1.0, draws, 0.8, seeds=2)
    alone = Resamples(["a", "a"], 50).curved(0.5, draws, values[:2], bounded=False)
    assert alone == Estimate(0.5, refused=ONE_CLUSTER)


@pytest.mark.parametrize("level", LEVELS)
def test_a_proportion_of_few_clusters_is_jeffreys_at_its_effective_size(level: float) -> None:
    resamples, _, _, point, draws = skewed(60)
    effective = max(60.0, point * (1 - point) / float(np.var(draws, ddof=1)))
    assert effective > 60
    assert bounds(resamples.proportion(point, draws, level)) == pytest.approx(plain.jeffreys(point, effective, level))
    wide = point + 3 * (draws - point)
    assert bounds(resamples.proportion(point, wide, level)) == pytest.approx(plain.jeffreys(point, 60, level))
    few = resamples.proportion(point, wide, level, clusters=11)
    assert bounds(few) == pytest.approx(
        plain.jeffreys(point, max(11.0, point * (1 - point) / float(np.var(wide, ddof=1))), level)
    )
    assert resamples.proportion(point, draws, level, clusters=1) == Estimate(point, refused=ONE_CLUSTER)
    still = resamples.proportion(point, np.full(700, point), level)
    assert bounds(still) == pytest.approx(plain.jeffreys(point, 60, level))
    assert bounds(resamples.proportion(point, draws[:1], level)) == pytest.approx(plain.jeffreys(point, 60, level))


@pytest.mark.parametrize("level", LEVELS)
def test_a_proportion_of_many_clusters_is_percentiles_inside_of_0_and_1(level: float) -> None:
    for clusters in (100, 140):
        resamples, _, _, point, draws = skewed(clusters)
        assert bounds(resamples.proportion(point, draws, level)) == pytest.approx(
            plain.percentile(draws.tolist(), clusters, level)
        )
    wide = point + 90 * (draws - point)
    assert bounds(resamples.proportion(point, wide, level)) == (0.0, 1.0)
    still = resamples.proportion(point, np.full(700, point), level)
    assert bounds(still) == pytest.approx(plain.jeffreys(point, 140, level))


@pytest.mark.parametrize("level", LEVELS)
def test_a_proportion_of_several_seeds_is_the_hull_of_percentiles_and_jeffreys(level: float) -> None:
    resamples, _, _, point, draws = skewed(60)
    for given in (draws, point + 3 * (draws - point), np.full(700, point), point + 30 * (draws - point)):
        sides = plain.percentile(given.tolist(), 60, level), plain.jeffreys(point, 60, level)
        hull = max(0.0, min(one[0] for one in sides)), min(1.0, max(one[1] for one in sides))
        assert bounds(resamples.proportion(point, given, level, seeds=2)) == pytest.approx(hull)


@pytest.mark.parametrize("level", LEVELS)
def test_a_difference_without_spread_is_newcombes(level: float) -> None:
    resamples = Resamples(np.arange(50), 300)
    a, b = (0.8, np.full(300, 0.8)), (0.3, np.full(300, 0.3))
    of_a, of_b = plain.jeffreys(0.8, 50, level), plain.jeffreys(0.3, 50, level)
    below = np.hypot(0.8 - of_a[0], of_b[1] - 0.3)
    above = np.hypot(of_a[1] - 0.8, 0.3 - of_b[0])
    found = resamples.difference(a, b, level)
    assert found.point == pytest.approx(0.5) and bounds(found) == pytest.approx((0.5 - below, 0.5 + above))
    for of, than in ((0.0, 0.3), (1.0, 0.3), (0.3, 0.0), (0.3, 1.0), (0.5, 0.4)):
        for clusters in (2, 50):
            one, other = plain.jeffreys(of, clusters, level), plain.jeffreys(than, clusters, level)
            low = of - than - np.hypot(of - one[0], other[1] - than)
            high = of - than + np.hypot(one[1] - of, than - other[0])
            again = Resamples(np.arange(clusters), 9).difference((of, np.full(9, of)), (than, np.full(9, than)), level)
            assert bounds(again) == pytest.approx((max(low, -1.0), min(high, 1.0)))
    same = resamples.difference((0.3, np.full(300, 0.3)), b, level)
    assert bounds(same) == pytest.approx((-plain.jeffreys(0, 50, level)[1], plain.jeffreys(0, 50, level)[1]))


@pytest.mark.parametrize("level", LEVELS)
def test_a_difference_with_spread_is_the_percentiles_of_the_paired_draws(level: float) -> None:
    resamples, _, _, point, draws = skewed(20)
    other = draws[::-1] * 0.5
    found = resamples.difference((point, draws), (0.4, other), level)
    assert found.point == pytest.approx(point - 0.4)
    assert bounds(found) == pytest.approx(plain.percentile((draws - other).tolist(), 20, level))
    alone = Resamples(["a", "a"], 50)
    assert alone.difference((0.5, np.full(50, 0.5)), (0.2, np.full(50, 0.2))).refused == ONE_CLUSTER


def test_jeffreys_is_closed_at_0_and_1_and_holds_its_share_at_any_level() -> None:
    for share, n, level in ((0.0, 9, 0.95), (1.0, 9, 0.95), (0.01, 10, 0.5), (0.99, 10, 0.5), (0.3, 7.5, 0.8)):
        found = jeffreys(share, n, level)
        assert found.point == share and bounds(found) == pytest.approx(plain.jeffreys(share, n, level))


@pytest.mark.parametrize(("clusters", "draws"), [(3, 1), (7, 999), (5, 2500)])
def test_every_draw_takes_as_many_clusters_as_there_are(clusters: int, draws: int) -> None:
    resamples = Resamples(np.arange(clusters), draws, 3)
    rows = [(part, weights) for part, weights in resamples.weights()]
    counts = np.concatenate([weights for _, weights in rows])
    assert counts.shape == (draws, clusters) and (counts.sum(1) == clusters).all() and (counts >= 0).all()
    assert [index for part, _ in rows for index in range(part.start, part.stop)] == list(range(draws))
    if draws == 2500:
        assert counts.mean(0) == pytest.approx(np.ones(clusters), abs=0.1)
        assert counts.var(0) == pytest.approx(np.full(clusters, 1 - 1 / clusters), abs=0.1)


def test_clusters_without_names_or_in_a_table_are_refused() -> None:
    for wrong in ([], [["a", "b"]]):
        with pytest.raises(DataError, match="one name per item"):
            Resamples(wrong)


@pytest.mark.parametrize("one_sided", [False, True])
def test_a_tail_share_counts_the_draws_on_the_other_side_of_0(one_sided: bool) -> None:
    rng = np.random.default_rng(0)
    for shift in (-3.0, -0.5, 0.0, 0.2, 4.0):
        draws = rng.normal(shift, 1, 99)
        assert tail_share(draws, one_sided) == pytest.approx(plain.tail_share(draws.tolist(), one_sided))
    assert tail_share(np.full(19, 2.0), one_sided) == pytest.approx(0.05 if one_sided else 0.1)
    assert tail_share(np.full(19, -2.0), one_sided) == pytest.approx(1.0 if one_sided else 0.1)
    nothing = np.array([0.0, 1e-13, -1e-13, 3.0])  # what is 0 but for the last bits is on both sides
    assert tail_share(nothing, one_sided) == pytest.approx(0.8 if one_sided else 1.0)


@pytest.mark.parametrize("one_sided", [False, True])
def test_sign_flips_of_few_clusters_are_the_share_of_all_patterns(one_sided: bool) -> None:
    rng = np.random.default_rng(1)
    for count, shift in ((1, 0.5), (5, 0.4), (9, -0.3), (11, 0.0)):
        sums = rng.normal(shift, 0.5, count)
        clusters = np.repeat(np.arange(count), 2)
        found = sign_flip_test(np.repeat(sums / 2, 2), clusters, one_sided=one_sided)
        assert found.exact and found.p == pytest.approx(plain.flips(sums.tolist(), one_sided))
        padded = sign_flip_test(
            np.append(np.repeat(sums / 2, 2), [0.0] * 9), np.append(clusters, [99] * 9), one_sided=one_sided
        )
        assert padded == found  # clusters without a difference decide nothing
    assert sign_flip_test(np.zeros(4), np.arange(4), one_sided=one_sided) == (1.0, True)


def test_random_sign_flips_count_the_observation_and_depend_on_their_seed() -> None:
    large = 5 + np.random.default_rng(2).random(40)
    assert sign_flip_test(large, np.arange(40), draws=199) == (pytest.approx(1 / 200), False)
    assert sign_flip_test(-large, np.arange(40), draws=199) == (pytest.approx(1 / 200), False)
    assert sign_flip_test(large, np.arange(40), draws=199, one_sided=True).p == pytest.approx(1 / 200)
    assert sign_flip_test(-large, np.arange(40), draws=199, one_sided=True).p == 1.0
    noise = np.random.default_rng(3).normal(0.1, 1, 40)
    assert sign_flip_test(noise, np.arange(40)) == sign_flip_test(noise, np.arange(40), 10_000, 0, False)
    p = [sign_flip_test(noise, np.arange(40), 500, seed).p for seed in (0, 0, 1)]
    assert p[0] == p[1] != p[2]
    assert (
        significance.sign_flip(noise, np.arange(40), 500, 1, True)
        == sign_flip_test(noise, np.arange(40), 500, 1, True).p
    )
    one, two = (sign_flip_test(noise, np.arange(40), 4000, 0, side).p for side in (True, False))
    assert two == pytest.approx(2 * one, abs=0.05)


def test_sums_on_a_lattice_are_tested_exactly_whatever_their_unit() -> None:
    rng = np.random.default_rng(4)
    units = rng.integers(-5, 7, 15)
    units[units == 0] = 1
    wanted = [plain.flips(units.tolist(), side) for side in (False, True)]
    for unit in (1.0, 1 / 3, 1 / 7, 6.0, 1 / 1999, 0.25):
        found = [sign_flip_test(units * unit, np.arange(15), one_sided=side) for side in (False, True)]
        assert [one.p for one in found] == pytest.approx(wanted) and all(one.exact for one in found), unit
    for unit in (np.pi, 1 / 2003, 1e-7):
        assert not sign_flip_test(units * unit, np.arange(15), draws=50).exact, unit
    thirds = np.where(np.arange(15) % 2, 1 / 3, -1 / 4) * units
    assert sign_flip_test(thirds, np.arange(15)).p == pytest.approx(plain.flips((12 * thirds).round().tolist(), False))
    assert not sign_flip_test(np.append(units, 200_001), np.arange(16), draws=50).exact


def test_the_detectable_difference_is_two_quantiles_of_the_error() -> None:
    assert detectable(0.5) == pytest.approx((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) / 2, abs=1e-6)
    for clusters in (5, 7.5, 40):
        wanted = stats.t.ppf(0.975, clusters - 1) + stats.t.ppf(0.8, clusters - 1)
        assert detectable(0.5, clusters) == pytest.approx(wanted / 2)


def test_a_statistic_is_its_function_of_the_means_with_the_percentiles_of_its_draws() -> None:
    rng = np.random.default_rng(5)
    columns = rng.random((40, 2)) + 0.1
    resamples = Resamples(np.arange(40), 400)
    _, draws = resamples.means(columns)
    found = Bootstrap(resamples).statistic(columns, lambda m: m[..., 0] - m[..., 1] ** 2, "none")
    assert found.point == pytest.approx(columns[:, 0].mean() - columns[:, 1].mean() ** 2)
    assert bounds(found) == pytest.approx(plain.percentile((draws[:, 0] - draws[:, 1] ** 2).tolist(), 40, 0.95))


def test_a_statistic_without_a_value_in_many_draws_is_refused_with_their_share() -> None:
    values = np.zeros((40, 2))
    values[:2] = 1.0
    resamples = Resamples(np.arange(40), 400)
    _, draws = resamples.means(values)
    missing = float((draws[:, 1] == 0).mean())
    found = Bootstrap(resamples).statistic(values, lambda m: m[..., 0] / m[..., 1], "no hits")
    assert found == Estimate(1.0, refused=f"no hits in {missing:.0%} of the draws") and 0.05 < missing < 0.3
    values[:5] = [3.0, 1.0]
    few = Bootstrap(resamples).statistic(values, lambda m: m[..., 0] / m[..., 1], "no hits")
    assert (few.point, few.lo, few.hi) == pytest.approx((3.0, 3.0, 3.0))


def test_means_leave_out_the_items_without_a_value() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.random(60), rng.random(60)
    a[::4], b[::5] = np.nan, np.nan
    resamples = Resamples(np.arange(60) % 30, 300)
    boot, both = Bootstrap(resamples), ~np.isnan(a - b)
    columns = np.stack([np.where(both, np.nan_to_num(a - b), 0), both], 1)
    assert boot.paired(a, b, "none") == boot.statistic(columns, lambda m: m[..., 0] / m[..., 1], "none")
    assert boot.paired(a, b, "none").point == pytest.approx(np.nanmean(a - b))
    assert boot.mean(a, "none").point == pytest.approx(np.nanmean(a))
    alone = np.full(60, np.nan)
    alone[[3, 33]] = 0.25, 0.75
    assert boot.mean(alone, "none") == Estimate(0.5, refused=ONE_CLUSTER)
    assert boot.mean(np.full(60, np.nan), "none") == Estimate(refused="none")
    known = ~np.isnan(a)
    assert boot.fraction(a, "none") == boot.share(np.where(known, np.nan_to_num(a), 0), known, "none")


def test_a_share_of_few_clusters_is_jeffreys_of_those_that_have_any() -> None:
    of, hits = np.zeros(200), np.zeros(200)
    of[:12], hits[:12] = [2, 1] * 6, [1, 1] * 6
    resamples = Resamples(np.arange(200), 500)
    _, draws = resamples.means(np.stack([hits, of], 1))
    ratios = draws[draws[:, 1] > 0]
    spread = float(np.std(ratios[:, 0] / ratios[:, 1], ddof=1))
    found = Bootstrap(resamples).share(hits, of, "none")
    assert found.point == pytest.approx(12 / 18)
    assert bounds(found) == pytest.approx(plain.jeffreys(12 / 18, max(12.0, 12 / 18 * 6 / 18 / spread**2), 0.95))
    assert Bootstrap(resamples).share(hits * 9, of, "none").point == 1.0


def test_means_by_item_and_over_seeds_leave_out_what_has_no_value() -> None:
    table = np.array([[1.0, np.nan, 0.0], [np.nan] * 3, [0.5, 0.5, 0.2]])
    assert by_item(table) == pytest.approx([0.5, np.nan, 0.4], nan_ok=True)
    other = np.array([[0.0], [0.25], [np.nan]])
    assert over_seeds([table, other]) == pytest.approx([0.25, 0.25, 0.4])


def test_the_fit_of_items_of_different_sizes_is_where_the_likelihood_is_largest() -> None:
    rng = np.random.default_rng(7)
    total = rng.integers(2, 20, 80)
    right = rng.binomial(total, rng.beta(1.5, 0.7, 80))
    found = fit(right, total)

    def height(a: float, b: float) -> float:
        prior = -(np.log(a / b) ** 2 + np.log(a + b) ** 2) / 32
        return float(stats.betabinom.logpmf(right, total, a, b).sum() + prior)

    best = height(found.a, found.b)
    for up in (0.98, 0.995, 1.005, 1.02):
        assert height(found.a * up, found.b) < best and height(found.a, found.b * up) < best
        assert height(found.a * up, found.b * up) < best and height(found.a * up, found.b / up) < best


def test_the_item_values_of_a_fit_move_it_as_one_more_weight_of_the_item_does() -> None:
    rng = np.random.default_rng(8)
    total = np.full(60, 12)
    right = rng.binomial(total, rng.beta(0.9, 1.4, 60))
    for function in (covered(16), all_right(3)):
        values = fit(right, total).values(function)
        mean = values.mean()
        for item in (0, 7, 31):
            twice = fit(np.append(right, right[item]), np.append(total, total[item]))
            again = float(np.mean(function(twice.a, twice.b, twice.right_N, twice.total_N)))
            assert again - mean == pytest.approx((values[item] - mean) / 61, abs=4e-4)


@pytest.mark.parametrize("theta", [(900.0, 0.0), (-900.0, 0.0), (0.0, 900.0), (0.0, -900.0), (900.0, -900.0)])
def test_the_shapes_of_a_fit_stay_positive_and_finite_wherever_the_search_goes(theta: tuple[float, float]) -> None:
    found = BetaFit(np.array(theta), np.zeros(1), np.ones(1), np.zeros((1, 2)))
    assert 0 < found.a < 1e15 and 0 < found.b < 1e15


def test_the_draws_of_training_seeds_depend_on_the_seed_of_the_comparison_and_on_the_arm() -> None:
    def drawn(seed: int, arm: str) -> np.ndarray:
        joint = Joint(Resamples(np.arange(20), 60, seed))
        joint.add(arm, "acc", [np.full(20, 0.3), np.full(20, 0.5), np.full(20, 0.6)])
        joint.solve()
        return joint.mean(arm)[1]

    assert np.array_equal(drawn(1, "m"), drawn(1, "m"))
    assert not np.array_equal(drawn(1, "m"), drawn(2, "m")) and not np.array_equal(drawn(1, "m"), drawn(1, "other"))


def test_what_ships_is_read_with_whether_it_is_of_this_code(tmp_path: Path) -> None:
    assert shipped.load(tmp_path) == {"simulated": None, "organisms": None}
    now = {"code": files.fingerprint(code=shipped.code_hash())["code"]}
    for name, code in (("simulated", now), ("organisms", {"code": "old"})):
        content = {"schema": 1, "fingerprint": code, "totals": [name], "rows": [1]}
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    found = shipped.load(tmp_path)
    assert found["simulated"] == {
        "schema": 1,
        "fingerprint": now,
        "totals": ["simulated"],
        "rows": [1],
        "current": True,
    }
    assert found["organisms"] == {"totals": ["organisms"], "current": False}
    (tmp_path / "organisms.json").write_text('{"schema": 2}', encoding="utf-8")
    with pytest.raises(DataError, match="schema 2, 1 is read here"):
        shipped.load(tmp_path)
