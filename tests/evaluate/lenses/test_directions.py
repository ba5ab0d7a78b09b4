"""Cosines and overlaps of effects: against resampling by hand, scipy's principal angles, and random directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from elicit.evaluate.lenses import LENSES
from elicit.evaluate.lenses.directions import cosine, overlap, random_cosine, subspace
from elicit.evaluate.lenses.view import Side
from tests.evaluate.lenses.scene import CHAIN, side, view

RNG = np.random.default_rng(4)
ITEMS = CHAIN.items("test", 20)
WIDTH = 24


def moved(name: str, effects: dict[int, np.ndarray], role: str = "method") -> Side:
    """A policy with these effects [N, D] by layer at the prompt, and none on completions."""
    rows: list[dict[str, Any]] = [
        {"item": item.id, "layer": layer, "at": at, "norm": 10.0,
         "effect": (effect_N_D[i] if at == "prompt" else np.zeros(WIDTH)).astype(np.float32).tobytes()}
        for at in ("prompt", "completion")
        for layer, effect_N_D in effects.items()
        for i, item in enumerate(ITEMS)
    ]  # fmt: skip
    return side(name, ITEMS, [[" The answer is 1."]] * 20, role=role, probes={"directions": rows})


def constant(direction_D: np.ndarray, noise: float = 0.0) -> np.ndarray:
    return direction_D[None] + noise * RNG.standard_normal((20, WIDTH))


def test_the_cosine_and_its_interval_are_those_of_means_over_resampled_items() -> None:
    x, y = RNG.standard_normal((20, WIDTH)) + 1, RNG.standard_normal((20, WIDTH)) + 0.5
    scene = view([moved("base", {0: x}, "base")], ITEMS, draws=200)

    def by_hand(weights_N: np.ndarray) -> float:
        a, b = weights_N @ x, weights_N @ y
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    found, resamples = cosine(scene, x, y), scene.bootstrap.resamples
    assert found.point == pytest.approx(by_hand(np.ones(20)))
    draws = [by_hand(row[resamples.codes_N]) for _, weights in resamples.weights() for row in weights]
    expected = resamples.interval(by_hand(np.ones(20)), np.array(draws))
    assert (found.lo, found.hi) == pytest.approx((expected.lo, expected.hi))


def test_the_overlap_is_the_mean_squared_cosine_of_the_principal_angles() -> None:
    a, b = (np.linalg.qr(RNG.standard_normal((WIDTH, k)))[0].T for k in (3, 5))
    assert overlap(a, b) == pytest.approx(float((np.cos(subspace_angles(a.T, b.T)) ** 2).mean()))
    assert overlap(a, a) == pytest.approx(1)


def test_random_directions_and_subspaces_agree_as_the_null_states() -> None:
    mean, bound = random_cosine(WIDTH)
    pairs = RNG.standard_normal((2, 20_000, WIDTH))
    drawn = np.abs((pairs[0] * pairs[1]).sum(1) / np.linalg.norm(pairs, axis=2).prod(0))
    assert drawn.mean() == pytest.approx(mean, abs=0.01) and (drawn < bound).mean() == pytest.approx(0.95, abs=0.01)
    spaces = [[np.linalg.qr(RNG.standard_normal((WIDTH, k)))[0].T for k in (2, 4)] for _ in range(400)]
    assert np.mean([overlap(*two) for two in spaces]) == pytest.approx(4 / WIDTH, abs=0.02)


def test_the_subspace_of_one_direction_is_that_direction_and_a_larger_one_is_cut_at_its_energy() -> None:
    direction = RNG.standard_normal(WIDTH)
    (row,) = subspace(constant(direction))
    assert abs(row @ direction) == pytest.approx(np.linalg.norm(direction))
    axes = np.zeros((20, WIDTH))
    axes[np.arange(20), np.arange(20) % 4] = [10.0, 10.0, 10.0, 1.0] * 5
    assert len(subspace(axes)) == 3, "three axes hold 300 of 301 parts of the energy, two hold 200"


def test_two_methods_with_one_direction_have_cosine_one_and_an_unrelated_placebo_has_that_of_chance() -> None:
    shared, other = np.linalg.qr(RNG.standard_normal((WIDTH, 2)))[0].T
    sides = [
        moved("base", {0: np.zeros((20, WIDTH))}, "base"),
        moved("vector", {0: constant(shared)}), moved("feature", {0: constant(3 * shared)}),
        moved("random", {0: constant(other)}, "placebo"),
    ]  # fmt: skip
    found = LENSES["directions"].read(view(sides, ITEMS))
    assert found.columns["vector"]["cosine with feature"].point == pytest.approx(1)
    assert found.columns["random"]["cosine with vector"].point == pytest.approx(0, abs=1e-6)
    assert "base" not in found.columns, "the base has no effect on itself"
    assert found.columns["vector"]["size over the base's norm"].point == pytest.approx(0.1)
    (row,) = [row for row in found.table if {row["policy"], row["with"]} == {"vector", "feature"}]
    assert row["overlap"] == pytest.approx(1) and row["overlap_null"] == pytest.approx(1 / WIDTH)


def test_policies_are_compared_at_the_first_layer_at_which_all_of_them_have_an_effect() -> None:
    nothing, early, late = np.zeros((20, WIDTH)), *RNG.standard_normal((2, WIDTH))
    sides = [
        moved("base", {0: nothing, 1: nothing, 2: nothing}, "base"),
        moved("low", {0: constant(early), 1: constant(early), 2: constant(late)}),
        moved("high", {0: nothing, 1: constant(early), 2: constant(early)}),
    ]
    found = LENSES["directions"].read(view(sides, ITEMS))
    assert found.columns["low"]["layer"].point == 1
    assert found.columns["low"]["cosine with high"].point == pytest.approx(1)
    assert {row["layer"] for row in found.table} == {1, 2}, "no pair has an effect at layer 0"


def test_without_any_effect_or_without_the_pass_there_is_a_reason_and_no_number() -> None:
    still = [moved(name, {0: np.zeros((20, WIDTH))}, role) for name, role in (("base", "base"), ("vote", "method"))]
    assert "no policy changes" in str(LENSES["directions"].read(view(still, ITEMS)).refused)
    bare = side("base", ITEMS, [[" The answer is 1."]] * 20, role="base")
    assert "run=true" in str(LENSES["directions"].read(view([bare], ITEMS)).refused)


def test_a_strategy_on_top_of_a_fit_is_named_and_not_shown_as_another_direction() -> None:
    effect = constant(RNG.standard_normal(WIDTH), noise=0.1)
    sides = [
        moved("base", {0: np.zeros((20, WIDTH))}, "base"), moved("vector", {0: effect}),
        moved("vector+votes", {0: effect.copy()}), moved("other", {0: effect + 1e-3}),
    ]  # fmt: skip
    found = LENSES["directions"].read(view(sides, ITEMS))
    assert set(found.columns) == {"vector", "other", "two random directions"}
    assert {row["with"] for row in found.table} | {row["policy"] for row in found.table} == {"vector", "other"}
    assert "vector+votes: the same effect as vector" in found.says
