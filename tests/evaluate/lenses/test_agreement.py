"""Agreement beyond chance: against a count over all pairs of samples, and its laws at both ends."""

from __future__ import annotations

import math

import numpy as np
import pytest

from elicit.evaluate.lenses import LENSES
from elicit.evaluate.lenses.agreement import pair_agreement
from elicit.evaluate.lenses.view import Side
from tests.evaluate.lenses.scene import CHAIN, side, view

RNG = np.random.default_rng(5)
ITEMS = CHAIN.items("test", 24)


def answers(right_N_J: np.ndarray, offset_N_J: np.ndarray) -> list[list[str | None]]:
    """Declared answers: the gold if right, else the gold plus an offset of 1 to 9."""
    added_N_J = np.where(right_N_J, 0, offset_N_J)
    return [
        [f" The answer is {(int(item.gold or 0) + int(added)) % 10}." for added in row]
        for item, row in zip(ITEMS, added_N_J, strict=True)
    ]


def drawn(name: str, rate_N: np.ndarray, samples: int = 4, role: str = "method") -> Side:
    right_N_J = RNG.random((len(ITEMS), samples)) < rate_N[:, None]
    return side(name, ITEMS, answers(right_N_J, RNG.integers(1, 10, right_N_J.shape)), role=role)


def kappa(agreed: list[float], expected: float) -> float:
    return (np.mean(agreed) - expected) / (1 - expected)


def by_hand(a: Side, b: Side, same: bool = False) -> tuple[float, float]:
    """(kappa of right, kappa of answers) by enumerating pairs of samples."""
    agree_right, agree_answers, rates = [], [], ([], [])
    wrong: tuple[list[str], list[str]] = ([], [])
    for side_number, one in enumerate((a, b)):
        for i in range(len(ITEMS)):
            rates[side_number].append(np.mean(one.right_N_J[i]))
            wrong[side_number].extend(
                one.measures.class_names[code]
                for code, ok in zip(one.measures.classes_N_J[i], one.right_N_J[i], strict=True) if not ok
            )  # fmt: skip
    for i in range(len(ITEMS)):
        pairs = [(j, k) for j in range(a.right_N_J.shape[1]) for k in range(b.right_N_J.shape[1]) if not same or j != k]
        agree_right.append(np.mean([a.right_N_J[i, j] == b.right_N_J[i, k] for j, k in pairs]))
        name = [[one.measures.class_names[code] for code in one.measures.classes_N_J[i]] for one in (a, b)]
        agree_answers.append(np.mean([name[0][j] == name[1][k] for j, k in pairs]))
    p, q = (float(np.mean(of)) for of in rates)
    chance = float(np.mean([x == y for x in wrong[0] for y in wrong[1]]))
    return (
        kappa(agree_right, p * q + (1 - p) * (1 - q)),
        kappa(agree_answers, p * q + (1 - p) * (1 - q) * chance),
    )


def test_kappa_is_that_of_an_enumeration_of_all_pairs_of_samples() -> None:
    a, b = drawn("base", RNG.random(24), role="base"), drawn("method", RNG.random(24))
    of_pair = pair_agreement(view([a, b], ITEMS), a, b)
    assert (of_pair["right"].point, of_pair["answers"].point) == pytest.approx(by_hand(a, b))
    alone = pair_agreement(view([a, b], ITEMS), a, a)
    assert (alone["right"].point, alone["answers"].point) == pytest.approx(by_hand(a, a, same=True))


def test_two_policies_that_solve_unrelated_items_agree_by_chance_alone() -> None:
    """Solve rates are independent by construction: every rate of one policy meets every rate of the other once."""
    rate_N = np.repeat([0.0, 1.0], 12)
    crossed_N = np.tile([0.0, 1.0], 12)
    a, b = drawn("base", rate_N, role="base"), drawn("method", crossed_N)
    assert pair_agreement(view([a, b], ITEMS), a, b)["right"].point == pytest.approx(0)


def test_two_policies_that_solve_the_same_items_and_no_other_agree_fully() -> None:
    rate_N = np.repeat([0.0, 1.0], 12)
    a, b = drawn("base", rate_N, role="base"), drawn("method", rate_N)
    of_pair = pair_agreement(view([a, b], ITEMS), a, b)
    assert of_pair["right"].point == pytest.approx(1) and of_pair["solved"].point == pytest.approx(1)
    opposite = drawn("other", 1 - rate_N)
    assert pair_agreement(view([a, opposite], ITEMS), a, opposite)["right"].point == pytest.approx(-1)


def test_solved_divides_the_covariance_of_solve_rates_by_their_variances_without_sampling_noise() -> None:
    a, b = drawn("base", RNG.random(24), role="base"), drawn("method", RNG.random(24))
    p, q = (one.right_N_J.mean(1) for one in (a, b))
    true = []
    for one in (a, b):
        pairs = [np.mean([row[j] and row[k] for j in range(4) for k in range(4) if j != k]) for row in one.right_N_J]
        true.append(np.mean(pairs) - one.right_N_J.mean() ** 2)
    expected = np.cov(p, q, bias=True)[0, 1] / np.sqrt(true[0] * true[1])
    assert pair_agreement(view([a, b], ITEMS), a, b)["solved"].point == pytest.approx(expected)


def test_without_spread_of_solve_rates_beyond_noise_there_is_a_kappa_and_no_correlation() -> None:
    """One of four right, or three of four: their pairs show no spread, (0 + 1/2) / 2 is .5 squared."""
    quarter = np.array([[True, False, False, False]])
    right_N_J = np.concatenate([np.repeat(quarter, 12, 0), np.repeat(~quarter, 12, 0)])
    texts = answers(right_N_J, np.full(right_N_J.shape, 3))
    a, b = side("base", ITEMS, texts, role="base"), side("method", ITEMS, texts)
    of_pair = pair_agreement(view([a, b], ITEMS), a, b)
    assert of_pair["right"].point == pytest.approx(2 * 0.0625 / 0.5)
    assert of_pair["solved"].refused == "no spread of solve rates beyond noise"


def test_the_same_wrong_answer_counts_only_beyond_what_frequent_answers_give() -> None:
    """Both always wrong: identical wrong answers on each item are agreement, one constant answer is not."""
    never, offsets = np.zeros((24, 2), bool), np.repeat(RNG.integers(1, 10, (24, 1)), 2, 1)
    a = side("base", ITEMS, answers(never, offsets), role="base")
    b = side("method", ITEMS, answers(never, offsets))
    assert pair_agreement(view([a, b], ITEMS), a, b)["answers"].point == pytest.approx(1)
    constant = [[" The answer is 7."] * 2 if item.gold != "7" else [None] * 2 for item in ITEMS]
    c, d = side("base", ITEMS, constant, role="base"), side("method", ITEMS, constant)
    assert pair_agreement(view([c, d], ITEMS), c, d)["answers"].refused is not None


def test_the_lens_has_every_pair_and_its_figure_is_symmetric() -> None:
    roles = {"base": "base", "a": "method", "b": "placebo"}
    sides = [drawn(name, RNG.random(24), role=role) for name, role in roles.items()]
    found = LENSES["agreement"].read(view(sides, ITEMS))
    assert found.figure is not None and found.figure["kind"] == "heat"
    heat = np.array([one["y"] for one in found.figure["series"]])
    assert heat == pytest.approx(heat.T) and heat.shape == (3, 3)
    assert {(row["policy"], row["with"]) for row in found.table} == {(a, b) for a in roles for b in roles}
    assert found.columns["a"]["right, with the base"].lo < found.columns["a"]["right, with the base"].hi


def test_one_sample_per_item_gives_no_number_for_a_policy_with_itself() -> None:
    a = drawn("base", RNG.random(24), samples=1, role="base")
    found = LENSES["agreement"].read(view([a], ITEMS)).columns["base"]["right, with itself"]
    assert found.refused is not None and (found.point is None or math.isnan(found.point))
