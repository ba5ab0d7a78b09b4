"""Success rates: the beta-binomial model, Cover@tau and coverage at large k, C1 net of guessing, reward and log p."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from elicit.evaluate.comparison.compare import compare
from elicit.evaluate.measures.measure import UNGRADED, measure
from elicit.evaluate.metrics.ceilings import ceiling_c1
from elicit.evaluate.metrics.cover import GRID, TAUS, cover, crossing
from elicit.evaluate.metrics.large_k import KS, NAME
from elicit.evaluate.metrics.net import guessing_null
from elicit.evaluate.metrics.sharpening import logprobs, slopes
from elicit.evaluate.statistics.beta_binomial import all_right, covered, fit, rate_at_least
from elicit.evaluate.statistics.resamples import Resamples
from elicit.files import read_rows, shards, write_rows
from tests.evaluate.simulated import SimulatedTask, items, rates, store
from tests.evaluate.test_compare import CONFIG, _untraced, entry, line
from tests.evaluate.test_metrics import measures
from tests.reference import metrics as plain

RNG = np.random.default_rng(0)
RIGHT, TOTAL = RNG.binomial(8, RNG.beta(0.6, 1.5, 40)), np.full(40, 8)


def test_the_fit_is_the_best_of_all_beta_distributions() -> None:
    a, b = plain.beta_binomial(RIGHT.tolist(), TOTAL.tolist())
    found = fit(RIGHT, TOTAL)
    assert (found.a, found.b) == pytest.approx((a, b), rel=1e-3)


@pytest.mark.parametrize("k", [1, 4, 100])
def test_coverage_of_the_model_is_the_integral_over_its_rates(k: int) -> None:
    found = fit(RIGHT, TOTAL)
    assert found.values(covered(k)).mean() == pytest.approx(
        plain.beta_mean(found.a, found.b, lambda p: 1 - (1 - p) ** k), abs=0.01
    )
    assert found.values(all_right(k)).mean() == pytest.approx(
        plain.beta_mean(found.a, found.b, lambda p: p**k), abs=0.01
    )


@pytest.mark.parametrize("tau", TAUS)
def test_cover_is_the_posterior_probability_of_a_rate_of_tau_or_more(tau: float) -> None:
    found, m = fit(RIGHT, TOTAL), measures([[1] * c + [0] * (8 - c) for c in RIGHT])
    by_item = cover(m, (tau,))[0]
    for i in range(5):
        wanted = plain.beta_mean(found.a + RIGHT[i], found.b + 8 - RIGHT[i], lambda p: float(p >= tau))
        assert by_item[i] == pytest.approx(wanted, abs=0.01)
    assert found.values(rate_at_least(tau)).mean() == pytest.approx(by_item.mean(), abs=1e-6)


def test_the_bootstrap_of_the_item_values_is_that_of_fitting_every_draw_again() -> None:
    count = 150
    right_N, total_N = RNG.binomial(16, RNG.beta(0.8, 1.2, count)), np.full(count, 16)
    number = covered(64)
    values_N, rng = fit(right_N, total_N).values(number), np.random.default_rng(1)
    again = []
    for _ in range(150):
        taken = rng.integers(0, count, count)
        again.append(fit(right_N[taken], total_N[taken]).values(number).mean())
    draws_B = Resamples(np.arange(count), 2000).means(values_N[:, None])[1][:, 0]
    assert draws_B.std() == pytest.approx(np.std(again), rel=0.25)
    assert draws_B.mean() == pytest.approx(np.mean(again), abs=0.01)


@pytest.mark.parametrize("right", [np.full(50, 16), np.zeros(50, int), np.r_[np.full(49, 16), 0]])
def test_a_fit_to_nothing_but_hits_or_misses_is_finite(right: np.ndarray) -> None:
    found = fit(right, np.full(50, 16))
    for function in (covered(1024), rate_at_least(0.8)):
        values_N = found.values(function)
        assert np.isfinite(values_N).all() and values_N.mean() == pytest.approx((right == 16).mean(), abs=0.05)


def test_curves_over_tau_cross_where_their_difference_changes_sign() -> None:
    taus = np.array(GRID)
    text = crossing(1 - taus**4, 1 - 0.5 * taus)
    turn = next(tau for tau in GRID if 1 - tau**4 < 1 - 0.5 * tau)
    last, first = (float(part.split()[-1]) for part in text.replace("tau = ", "").split(",")[0:2])
    assert text.startswith("above the base up to") and last < turn < first + 1e-9
    assert crossing(taus, taus) == "like the base at every tau"


def test_cover_and_estimated_coverage_are_columns_of_the_comparison(tmp_path: Path) -> None:
    found = items(150)
    entries = [
        entry(tmp_path, "base", "base", found, 0.3, n=16),
        entry(tmp_path, "method", "m", found, 0.6, n=16),
        entry(tmp_path, "method", "greedy", found, 0.6, n=1),
        entry(tmp_path, "ceiling", "C1", found, 0.3, n=64, regime="support"),
    ]
    out = compare(entries, found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    own, greedy, c1 = (line(out, name) for name in ("m", "greedy", "C1"))
    assert {f"cover/{tau}" for tau in TAUS} | {NAME} <= {column.key for column in out.table("figures")}
    rates_N = np.clip(rates(found, 0.6, seed=3), 0, 1)
    for tau in TAUS:
        value = own.values[f"cover/{tau}"]
        assert value.lo <= value.point <= value.hi and value.point == pytest.approx((rates_N >= tau).mean(), abs=0.12)
    assert own.notes["cover/crossing"] == "above the base at every tau"
    assert all(one.refused for one in (greedy.values["cover/0.5"], greedy.curves[NAME]))
    counted, estimated = c1.curves["cov"], c1.curves[NAME]
    assert estimated.k == KS and counted.k[-1] == 32
    assert estimated.point[5] == pytest.approx(counted.point[-1], abs=0.03)


def test_a_model_that_does_not_fit_is_refused_and_its_raw_numbers_stay(tmp_path: Path) -> None:
    found = items(200)
    two = np.where(np.arange(200) < 80, 0.9, 0.05)
    entries = [entry(tmp_path, "base", "base", found, 0.3, n=16)]
    entries.append(replace(entries[0], role="method", name="m", policy="m", samples=(folders := store(
        tmp_path, "m", found, two, 16))[0], grades=folders[1]))  # fmt: skip
    own = line(compare(entries, found, tmp_path / "out", SimulatedTask(), CONFIG), "m")  # type: ignore[arg-type]
    assert "does not fit" in str(own.curves[NAME].refused) and len(own.curves[NAME].point) == len(KS)
    value = own.values["cover/0.8"]
    assert "does not fit" in str(value.refused) and value.point is not None and value.bounds is None


# ---- C1 ----


def test_guessing_is_taken_off_the_unsolved_items_only(tmp_path: Path) -> None:
    """An item that is solved, or else guessed: coverage is s + (1 - s) g, and C1 gives s back."""
    found, rng = items(4000, wide=False), np.random.default_rng(5)
    golds, s, k = np.array([int(item.gold or 0) for item in found]), 0.6, 1
    known = rng.random(4000) < s
    answers = np.where(known[:, None], golds[:, None], rng.integers(0, 10, (4000, 2)))
    m = replace(
        measures((answers == golds[:, None]).astype(int).tolist(), answers.tolist()),
        class_names=tuple(str(i) for i in range(10)),
    )
    got = ceiling_c1(m, found, SimulatedTask().answer_class)
    assert got.k == k and got.values_N is not None and got.coverage_N is not None and got.guessing is not None
    assert got.coverage_N.mean() == pytest.approx(s + (1 - s) * 0.1, abs=0.02)
    assert got.values_N.mean() == pytest.approx(s, abs=0.02)
    null = float(guessing_null(m, found, SimulatedTask().answer_class, k).mean())
    assert got.values_N.mean() == pytest.approx((got.coverage_N.mean() - null) / (1 - null))


def test_the_line_of_c1_holds_raw_coverage_and_guessing(tmp_path: Path) -> None:
    found = items(120)
    entries = [entry(tmp_path, "base", "base", found, 0.2)]
    samples, grades = _untraced(tmp_path, "c1", found, 0.3)
    entries.append(replace(entries[0], role="ceiling", name="C1", policy="c1", samples=samples, grades=grades))
    out = compare(entries, found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    own = line(out, "C1")
    raw, g = own.values["C1/coverage"], own.number("C1/guessing")
    assert out.c1 is not None and raw.point == pytest.approx(out.c1.coverage) and g == out.c1.guessing
    assert raw.lo < raw.point < raw.hi
    assert out.ceilings["C1"].point == pytest.approx((raw.point - g) / (1 - g))
    assert own.notes["C1/kind"] == "coverage net of guessing, of lenient grades"


# ---- equal tokens ----


def test_tokens_that_pay_for_more_samples_than_the_base_has_decide_nothing(tmp_path: Path) -> None:
    found = items(110)
    base = entry(tmp_path, "base", "base", found, 0.4, n=16)
    costly = entry(tmp_path, "method", "costly", found, 0.6, n=16, tokens=(220, 3))
    eight = entry(tmp_path, "method", "twelve", found, 0.6, n=16, tokens=(92, 3))
    out = compare([base, costly, eight], found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    for key in ("difference", "best", "hardest"):
        value = line(out, "costly").values[f"matched/{key}"]
        assert "not decidable" in str(value.refused) and "n=16" in str(value.refused)
        assert value.point is not None and value.bounds is None
    assert line(out, "costly").number("matched/k") == 16 and "capped" in line(out, "costly").notes["matched/note"]
    twelve = line(out, "twelve")
    assert 8 < (twelve.number("matched/k") or 0) <= 16 and twelve.values["matched/hardest"].bounds is not None


# ---- reward and log p ----


def test_covariance_and_correlation_are_those_over_the_samples_of_each_item() -> None:
    rewards = [[1, 0, 1, 1], [0, 0, 0, 0], [1, 0, UNGRADED, 1]]
    logps = np.array([[-1.0, -3.0, -2.0, -0.5], [-1.0, -2.0, -3.0, -4.0], [-2.0, -1.0, 50.0, -4.0]])
    covariance_N, correlation_N = slopes(measures(rewards), logps)
    for i in (0, 1, 2):
        kept = [j for j in range(4) if rewards[i][j] != UNGRADED]
        own = [[rewards[i][j] for j in kept], [logps[i, j] for j in kept]]
        assert covariance_N[i] == pytest.approx(plain.covariance(*own))
        if i != 1:
            assert correlation_N[i] == pytest.approx(np.corrcoef(*own)[0, 1])
    assert covariance_N[1] == 0 and np.isnan(correlation_N[1])


def test_the_covariance_is_the_slope_of_the_accuracy_in_the_power() -> None:
    rng = np.random.default_rng(1)
    p, r = rng.dirichlet(np.ones(6)), rng.integers(0, 2, 6)
    sharper = [float((p**alpha * r).sum() / (p**alpha).sum()) for alpha in (0.999, 1.001)]
    drawn = rng.choice(6, (1, 200_000), p=p)
    covariance_N, _ = slopes(measures(r[drawn].tolist()), np.log(p)[drawn])
    assert covariance_N[0] == pytest.approx((sharper[1] - sharper[0]) / 0.002, abs=0.01)


def test_it_is_read_from_the_samples_of_the_base_at_temperature_1(tmp_path: Path) -> None:
    found = items(60)
    c1 = entry(tmp_path, "ceiling", "C1", found, 0.4, n=8, regime="support")
    right = {(row["item"], row["j"]): row["strict"] for row in read_rows(shards(c1.grades))}
    for path in shards(c1.samples):  # right samples are twice as likely a token
        rows = [
            {**row, "logprobs": [-0.1 if right[row["item"], row["j"]] else -0.2] * len(row["token_ids"])}
            for row in read_rows([path])
        ]
        write_rows(path, rows)
    m = measure(c1.samples, c1.grades, found)
    total = logprobs(c1.samples, m.items, m.n)
    assert total[3, 2] == pytest.approx(-m.tokens_N_J[3, 2] * (0.1 if m.strict_N_J[3, 2] == 1 else 0.2))
    base = entry(tmp_path, "base", "base", found, 0.4)
    out = compare([base, c1], found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    own = line(out, "C1")
    slope, correlation = own.values["sharpening/covariance"], own.values["sharpening/correlation"]
    assert slope.lo is not None and slope.lo > 0 and correlation.point > 0.8
    assert slope.point == pytest.approx(slopes(m, total)[0].mean())
    assert "see the line of C1" in str(line(out, "base").values["sharpening/covariance"].refused)
    alone = line(compare([base], found, tmp_path / "alone", SimulatedTask(), CONFIG), "base")  # type: ignore[arg-type]
    assert "no samples at temperature 1" in str(alone.values["sharpening/covariance"].refused)
