"""Every metric against its brute-force restatement, and its behaviour on bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from elicit.errors import ConfigError
from elicit.evaluate.measures.measure import MISSING, UNGRADED, Measures
from elicit.evaluate.metrics.accuracy import accuracy
from elicit.evaluate.metrics.control import control_adjusted
from elicit.evaluate.metrics.cost import cost
from elicit.evaluate.metrics.coverage import coverage, pass_hat_k, powers
from elicit.evaluate.metrics.elicitation import elicitation_fraction
from elicit.evaluate.metrics.endings import endings
from elicit.evaluate.metrics.majority import majority
from elicit.evaluate.metrics.matched import best_of_k, matched_k
from elicit.evaluate.metrics.support import Support, counts, support
from elicit.evaluate.metrics.validity import validity
from elicit.evaluate.statistics.resamples import Resamples
from elicit.evaluate.store import Timing
from tests.reference import metrics as plain


def measures(strict: list[list[int]], classes: list[list[int]] | None = None, tokens: float = 10.0) -> Measures:
    """Measures from grades (1, 0, -1 ungraded, -2 missing); class 0 is the right answer unless given."""
    grid = np.array(strict, dtype=np.int8)
    known = np.array(classes) if classes else np.where(grid == 1, 0, np.where(grid == 0, 1, -1))
    return Measures(
        "p", "compare", tuple(f"i{i}" for i in range(len(grid))), np.arange(len(grid)), grid, grid.copy(), known,
        tuple(f"a{i}" for i in range(known.max() + 1)), np.full(grid.shape, -1, np.int8),
        np.where(grid == MISSING, "", "eos"), np.zeros(grid.shape, bool),
        np.where(grid == MISSING, np.nan, tokens), np.where(grid == MISSING, np.nan, 0.0),
    )  # fmt: skip


GRADES = np.random.default_rng(0).integers(0, 2, (6, 8)).tolist()


@pytest.mark.parametrize("k", [1, 2, 4])
def test_coverage_and_pass_hat_are_averages_over_subsets(k: int) -> None:
    m = measures(GRADES)
    assert coverage(m.right_N, m.total_N, k) == pytest.approx([plain.coverage(row, k) for row in GRADES])
    assert pass_hat_k(m.right_N, m.total_N, k) == pytest.approx([plain.pass_hat_k(row, k) for row in GRADES])


def test_coverage_at_1_is_accuracy() -> None:
    m = measures(GRADES)
    assert coverage(m.right_N, m.total_N, 1) == pytest.approx(accuracy(m))
    assert pass_hat_k(m.right_N, m.total_N, 1) == pytest.approx(accuracy(m))


def test_k_goes_to_half_of_n_only() -> None:
    m = measures(GRADES)
    assert powers(8) == [1, 2, 4] and powers(16) == [1, 2, 4, 8] and powers(1) == []
    with pytest.raises(ConfigError, match="n >= 2k"):
        coverage(m.right_N, m.total_N, 5)


def test_missing_samples_stay_in_n_and_ungraded_ones_leave_it() -> None:
    m = measures([[1, 1, MISSING, MISSING], [1, 0, UNGRADED, UNGRADED], [UNGRADED] * 4])
    assert accuracy(m)[:2] == pytest.approx([0.5, 0.5])
    assert np.isnan(accuracy(m)[2])
    assert m.total_N.tolist() == [4, 2, 0]
    assert endings(m)["ungraded"] == pytest.approx(0.5) and endings(m)["missing"] == pytest.approx(1 / 6)


def test_unequal_n_is_the_estimator_of_each_item() -> None:
    m = measures([[1, 0, 0, 0], [1, 0, UNGRADED, UNGRADED]])
    assert coverage(m.right_N, m.total_N, 1) == pytest.approx([0.25, 0.5])
    with pytest.raises(ConfigError, match="2 samples"):
        coverage(m.right_N, m.total_N, 2)


ANSWERS = [
    ["7", "7", "3", None, "3", "1"],
    ["2", None, None, None, None, None],
    [None] * 6,
    ["7", "7", "7", "3", "3", "3"],
]


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_majority_is_the_average_over_all_subsets_with_uniform_ties(k: int) -> None:
    names = ["7", "3", "1", "2"]
    classes = [[names.index(a) if a else -1 for a in row] for row in ANSWERS]
    m = measures([[int(a == "7") for a in row] for row in ANSWERS], classes)
    assert majority(m, k).accuracy_N == pytest.approx([plain.majority(row, "7", k) for row in ANSWERS])


def test_no_answer_never_wins_a_vote() -> None:
    m = measures([[1, 0, 0, 0]], [[0, -1, -1, -1]])
    assert majority(m, 4).accuracy_N.tolist() == [1.0] and majority(m, 4).tied_N.tolist() == [0.0]
    silent = measures([[0, 0]], [[-1, -1]])
    assert majority(silent, 2).accuracy_N.tolist() == [0.0] and majority(silent, 2).silent_N.tolist() == [1.0]


def test_majority_over_random_subsets_is_near_the_enumeration() -> None:
    rng = np.random.default_rng(3)
    classes = rng.integers(0, 3, (1, 12))
    m = measures((classes == 0).astype(int).tolist(), classes.tolist())
    reference = plain.majority([str(c) for c in classes[0]], "0", 5)
    assert majority(m, 5, subsets=4000).accuracy_N[0] == pytest.approx(reference, abs=0.03)


def _means(*values: np.ndarray) -> tuple[Resamples, list[tuple[float, np.ndarray]]]:
    resamples = Resamples(np.arange(len(values[0])), 2000)
    point, draws = resamples.means(np.stack(values, 1))
    return resamples, [(point[i], draws[:, i]) for i in range(len(values))]


RNG = np.random.default_rng(8)
BASE, METHOD, CEILING = (RNG.binomial(16, p, 200) / 16 for p in (0.1, 0.6, 0.9))


def test_the_fraction_is_the_ratio_of_gains_and_its_interval_is_joint() -> None:
    resamples, (base, method, ceiling) = _means(BASE, METHOD, CEILING)
    got = elicitation_fraction(resamples, method, base, ceiling)
    assert got.point == pytest.approx((METHOD.mean() - BASE.mean()) / (CEILING.mean() - BASE.mean()))
    ratios = (method[1] - base[1]) / (ceiling[1] - base[1])
    assert got.lo == pytest.approx(np.quantile(ratios, 0.025), abs=0.003)


def test_the_fraction_is_never_clipped() -> None:
    resamples, (low, base, high, ceiling) = _means(BASE * 0.5, BASE, np.ones(200), CEILING)
    assert elicitation_fraction(resamples, low, base, ceiling).point < 0
    assert elicitation_fraction(resamples, high, base, ceiling).point > 1


def test_a_small_gap_refuses_the_fraction_and_names_the_gap() -> None:
    resamples, (base, method, ceiling) = _means(BASE, METHOD, np.clip(BASE + 0.04, 0, 1))
    got = elicitation_fraction(resamples, method, base, ceiling)
    assert "gap too small: 0.0" in str(got.refused) and got.number is None


def test_the_control_is_the_strongest_of_base_and_placebos_in_every_draw() -> None:
    strong, weak = RNG.binomial(16, 0.3, 200) / 16, RNG.binomial(16, 0.02, 200) / 16
    resamples, (base, method, a, b) = _means(BASE, METHOD, strong, weak)
    got = control_adjusted(resamples, method, base, {"strong": a, "destructive": b})
    assert got.strongest == "strong"
    assert got.gain.point == pytest.approx(METHOD.mean() - strong.mean())
    bars = np.max([base[1], a[1], b[1]], axis=0)
    assert got.gain.lo == pytest.approx(np.quantile(method[1] - bars, 0.025), abs=0.003)
    assert got.specificity.point == pytest.approx(1 - (strong.mean() - BASE.mean()) / (METHOD.mean() - BASE.mean()))


def test_destructive_placebos_are_not_rewarded() -> None:
    resamples, (base, method, worst) = _means(BASE, METHOD, np.zeros(200))
    got = control_adjusted(resamples, method, base, {"destructive": worst})
    assert got.gain.point == pytest.approx(METHOD.mean() - BASE.mean())


def test_specificity_needs_a_clear_gain_and_a_control_needs_a_placebo() -> None:
    resamples, (base, again) = _means(BASE, RNG.permutation(BASE))
    got = control_adjusted(resamples, again, base, {"placebo": base})
    assert "not clear" in str(got.specificity.refused)
    assert all("no placebo" in str(value.refused) for value in control_adjusted(resamples, again, base, {})[:2])


def test_the_matched_base_spends_no_more_than_the_method() -> None:
    base = measures(GRADES, tokens=10.0)
    assert matched_k(39.9, base) == (3, None, None) and matched_k(30.0, base).k == 3
    assert matched_k(5.0, base).k == 1 and "costs more" in str(matched_k(5.0, base).note)
    assert matched_k(80.0, base) == (8, None, None), "a vote of 8 needs 8 samples, not 16"
    capped = matched_k(900.0, base)
    assert capped.k == 8 and "capped" in str(capped.note)
    assert str(capped.refused).startswith("not decidable: the method's tokens pay for k=90, the base has n=8")


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_the_surest_of_k_is_an_average_over_subsets(k: int) -> None:
    sure = np.random.default_rng(1).integers(0, 4, (6, 8)) / 4
    m = replace(measures(GRADES), certainty_N_J=sure)
    wanted = [plain.surest(list(s), row, k) for s, row in zip(sure, GRADES, strict=True)]
    assert best_of_k(m, k) == pytest.approx(wanted)
    assert best_of_k(m, 1) == pytest.approx(accuracy(m))


def test_the_surest_of_k_without_certainty_ungraded_and_missing() -> None:
    assert best_of_k(measures(GRADES), 2) is None
    m = measures([[1, UNGRADED, 0, MISSING], [UNGRADED] * 4, [MISSING, MISSING, MISSING, 1]])
    m = replace(m, certainty_N_J=np.where(m.strict_N_J == MISSING, np.nan, [[0.2, 0.9, 0.1, 0.0]] * 3))
    # of the three that count {right .2, wrong .1, missing}: the right one is in 2 of the 3 pairs, and wins there
    assert best_of_k(m, 2) == pytest.approx([2 / 3, np.nan, 1 / 2], nan_ok=True)
    with pytest.raises(ConfigError, match="k=5 of 4 samples"):
        best_of_k(m, 5)


def test_validity_is_the_counted_table() -> None:
    m = measures([[1, 1, 1, 0, 0, 0, UNGRADED]])
    m = replace(m, valid_N_J=np.array([[1, 1, 0, 0, 0, 1, -1]], np.int8))
    got = validity([m])
    assert got is not None and got.table == ((2, 1), (1, 2))
    assert got.valid_given_correct == pytest.approx(2 / 3) and got.correct_given_valid == pytest.approx(2 / 3)
    assert got.phi == pytest.approx(np.corrcoef([1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 1])[0, 1])
    assert got.odds_ratio == pytest.approx(2.5 * 2.5 / (1.5 * 1.5))


def test_validity_of_nothing_is_unknown() -> None:
    assert validity([measures(GRADES)]) is None
    wrong = replace(measures([[0, 0]]), valid_N_J=np.array([[0, 0]], np.int8))
    got = validity([wrong])
    assert got is not None and got.valid_given_correct is None and got.phi is None


def test_unknown_costs_are_none_and_never_zero() -> None:
    got = cost([measures(GRADES)], [], None, [None])
    assert got["tokens"] == 10 and got["seconds"] is None and got["flops"] is None
    assert got["peak_bytes"] is None
    shards = [Timing(0.0, 1.5, 2, 20, ("a",), 7), Timing(2.0, 0.5, 2, 20, ("b",), 9), Timing(3.0, 0.0, 0, 0, ())]
    known = cost([measures(GRADES)], shards, 1000, [30.0])
    assert known["peak_bytes"] == 9
    assert known["flops"] == 20_000 and known["seconds"] == 0.5
    assert known["seconds_amortised/100"] == pytest.approx(0.8)


def test_support_counts_items_and_its_null_comes_from_the_base_itself() -> None:
    found = counts(np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool))
    assert found == (1, 1, 1) and found.rates == {"SRR": 0.5, "NDR": 0.5, "NSCR": 0.0}
    base = measures([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    got = support([base], base)
    assert isinstance(got, Support) and got.right.counts.E == 0
    assert got.right.null == counts(np.array([0, 1, 0], bool), np.array([1, 0, 0], bool))
