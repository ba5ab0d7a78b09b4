"""Laws of base support: nulls of the base itself, exact permutation, valid solutions, escalation, net coverage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from elicit.errors import ConfigError
from elicit.evaluate.measures.measure import MISSING, UNGRADED, Measures
from elicit.evaluate.metrics.coverage import coverage
from elicit.evaluate.metrics.net import coverage_net
from elicit.evaluate.metrics.support import Support, escalate, novel, outcome, support, upper_bound
from elicit.evaluate.statistics.resamples import Resamples
from elicit.results import Estimate
from tests.evaluate.simulated import SimulatedTask, items
from tests.evaluate.test_metrics import measures
from tests.reference import statistics as plain


def drawn(rates_N: np.ndarray, n: int, seed: int) -> Measures:
    return measures((np.random.default_rng(seed).random((len(rates_N), n)) < rates_N[:, None]).astype(int).tolist())


def measured(method: Measures, base: Measures, resamples: Resamples | None = None) -> Support:
    found = support([method], base, resamples)
    assert isinstance(found, Support)
    return found


def test_counts_and_rates_are_the_plain_ones() -> None:
    rates = np.random.default_rng(0).beta(0.3, 2, 120)
    base, method = drawn(rates, 32, 1), drawn(np.clip(rates * 2, 0, 1), 16, 2)
    got = measured(method, base, Resamples(np.arange(120), 2000)).right
    solved = [(m.strict_N_J[:, :16] == 1).any(1).tolist() for m in (method, base)]
    assert got.counts.rates == pytest.approx(plain.support(*solved))
    second = (base.strict_N_J[:, 16:] == 1).any(1).tolist()
    assert got.null.rates == pytest.approx(plain.support(second, solved[1]))
    assert got.p is not None and got.p.point == pytest.approx(plain.mcnemar(*solved))
    assert got.intervals["novel"].point == pytest.approx(plain.novel(solved[0], solved[1], second))
    for name, rate in got.counts.rates.items():
        assert got.intervals[name].lo <= rate <= got.intervals[name].hi
    assert got.intervals["excess"].point == pytest.approx(got.counts.rates["NDR"] - got.null.rates["NDR"])


def test_the_base_rerun_looks_novel_and_the_null_says_so() -> None:
    rates = np.random.default_rng(3).beta(0.2, 2, 400)
    looks, clear, novel_, low_p = [], 0, 0, 0
    for trial in range(40):
        sides = drawn(rates, 16, 2 * trial), drawn(rates, 32, 2 * trial + 1)
        got = measured(*sides, Resamples(np.arange(400), 400)).right
        looks.append(got.counts.rates["NDR"])
        excess = got.intervals["excess"]
        clear += not excess.lo <= 0 <= excess.hi
        novel_ += not got.intervals["novel"].lo <= 0 <= got.intervals["novel"].hi
        low_p += got.p.point <= 0.05
    assert np.mean(looks) > 0.05
    assert clear <= 6 and novel_ <= 6 and low_p <= 6


def test_a_method_with_new_solutions_is_distinguished_from_the_null() -> None:
    rates = np.random.default_rng(4).beta(0.2, 2, 400)
    sides = drawn(np.clip(rates + 0.2, 0, 1), 16, 1), drawn(rates, 32, 2)
    got = measured(*sides, Resamples(np.arange(400), 1000)).right
    assert got.intervals["excess"].lo > 0 and got.p.point < 0.001


def test_a_right_answer_without_a_valid_trace_is_no_valid_solution() -> None:
    one = replace(measures([[1, 1]] * 3), valid_N_J=np.array([[1, 1], [0, 1], [0, 0]], np.int8))
    base = replace(measures([[0, 0, 1, 0]] * 3), valid_N_J=np.zeros((3, 4), np.int8))
    got = measured(one, base)
    assert got.right.counts.E == 3 and got.valid is not None
    assert got.valid.counts.E == 2 and got.valid.counts.rates["SRR"] is None
    assert novel(one, base) == [] and novel(one, base, valid=True) == ["i0", "i1"]
    assert measured(measures([[1, 1]]), measures([[0, 0]])).valid is None


def test_too_few_samples_are_a_refusal_and_rates_over_nothing_are_unknown() -> None:
    for few in (support([measures([[1]])], measures([[1, 0, 1, 1]])), support([measures([[1]])], measures([[1]]))):
        assert isinstance(few, Estimate) and few.refused
    got = measured(measures([[0, 0]] * 4), measures([[0, 0]] * 4), Resamples(np.arange(4), 50)).right
    assert got.counts.rates["NDR"] is None and got.intervals["NDR"].refused and got.p == Estimate(1.0)


def test_the_upper_bound_is_the_rate_that_would_have_shown() -> None:
    for drawn_ in (1, 64, 256, 1024):
        assert (1 - upper_bound(drawn_)) ** drawn_ == pytest.approx(0.05)
    assert upper_bound(0) == 1.0


def test_an_escalation_asks_for_unsolved_items_only_and_ends() -> None:
    base = measures([[0] * 64, [0] * 63 + [1], [0] * 40 + [UNGRADED] * 12 + [MISSING] * 12, [0] * 64])
    assert escalate(["i0", "i1", "i2"], base) == {256: ["i0"], 64: ["i2"]}
    assert escalate(["i0", "i1"], base, levels=(64,)) == {}
    found = outcome(base)
    assert found["i1"]._asdict() == {"n": 64, "right": 1, "upper_bound": None}
    assert found["i2"].n == 40 and found["i2"].upper_bound == pytest.approx(upper_bound(40))


def test_coverage_net_takes_the_larger_null_off(tmp_path: Path) -> None:
    found, rng = items(80, wide=False), np.random.default_rng(5)
    golds = [int(item.gold or 0) for item in found]
    answers = rng.integers(0, 10, (80, 8))
    guesser = replace(
        measures((answers == np.array(golds)[:, None]).astype(int).tolist(), answers.tolist()),
        class_names=tuple(str(i) for i in range(10)),
    )
    task = SimulatedTask()
    net_N, null_N = coverage_net(guesser, found, task.answer_class, 4)
    plain_N = coverage(guesser.right_N, guesser.total_N, 4)
    assert np.allclose(net_N + null_N, plain_N) and abs(net_N.mean()) < 0.1 < plain_N.mean()
    strong = measures(np.ones((80, 8), int).tolist())
    assert coverage_net(guesser, found, task.answer_class, 4, strong)[1].mean() == 1.0
    few = measures(np.ones((80, 2), int).tolist())
    assert np.array_equal(coverage_net(guesser, found, task.answer_class, 4, few)[1], null_N)
    with pytest.raises(ConfigError, match="n >= 2k"):
        coverage_net(guesser, found, task.answer_class, 8)
