"""Gains off the distribution, and what else changes: planted differences come back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from elicit.evaluate.lenses import LENSES
from elicit.evaluate.lenses.shift import difference_in_differences
from elicit.evaluate.lenses.side_effects import answer_confidence, binned
from elicit.evaluate.measures.measure import Measures
from elicit.records import Item
from tests.evaluate.lenses.scene import CHAIN, side, view
from tests.reference import lenses as plain

NEAR, FAR = CHAIN.items("test", 40), CHAIN.items("test_format", 40)


def texts(items: list[Item], share: float, n: int = 4) -> list[list[str]]:
    """Exactly this share of each item's samples is right."""
    return [[f" It is {(int(item.gold or 0) + (j >= share * n)) % 10}." for j in range(n)] for item in items]


def test_a_gain_that_vanishes_off_the_distribution_comes_back_as_its_negative() -> None:
    there = view([side("base", FAR, texts(FAR, 0.25), role="base"), side("m", FAR, texts(FAR, 0.25))], FAR)
    here = view([side("base", NEAR, texts(NEAR, 0.25), role="base"), side("m", NEAR, texts(NEAR, 0.75))], NEAR)
    found = LENSES["shift"].read(replace(here, shifted={"test_format": there})).columns["m"]
    assert found["test"].point == 0.75 and found["test_format"].point == 0.25
    assert found["test_format: gain - gain in distribution"].point == pytest.approx(-0.5)


def item(size: int, k: int) -> Item:
    return Item(f"{size}-{k}", "chain", "test", "?", "1", f"c{size}-{k}", {"size": size})


def test_only_items_of_a_shared_template_are_compared() -> None:
    near = [item(2, k) for k in range(6)], np.full(6, 0.5)
    far = [item(2, 10 + k) for k in range(4)] + [item(9, k) for k in range(5)], np.array([0.1] * 4 + [0.9] * 5)
    assert difference_in_differences(near, far, 200, 0).point == pytest.approx(-0.4)
    lone = [item(9, k) for k in range(5)], np.full(5, 0.9)
    assert difference_in_differences(near, lone, 200, 0).point == pytest.approx(0.4)  # no template shared: all
    assert difference_in_differences(near, ([item(2, 7)], np.array([np.nan])), 200, 0).refused


def test_without_shifted_samples_the_lens_names_the_command_for_them() -> None:
    assert "run=true" in str(LENSES["shift"].read(view([side("base", NEAR, texts(NEAR, 0.5))], NEAR)).refused)


def measures(classes: list[list[int]], strict: list[list[int]]) -> Measures:
    grid, size = np.array(strict), np.array(strict).shape
    return Measures("p", "compare", tuple(map(str, range(size[0]))), np.arange(size[0]), grid, grid, np.array(classes),
                    ("a", "b", "c"), np.full(size, -1), np.full(size, "eos"), np.zeros(size, bool), np.ones(size),
                    np.zeros(size))  # fmt: skip


def test_answer_confidence_leaves_the_sample_itself_out() -> None:
    found = answer_confidence(np.array([[0, 0, 0, 1], [2, -1, 2, 2]]), np.array([[1, 1, 1, 1], [1, 1, 1, 0]], bool))
    assert found[0].tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 0])
    assert found[1, :3].tolist() == [0.5, 0, 0.5] and np.isnan(found[1, 3])  # ungraded
    assert np.isnan(answer_confidence(np.array([[0]]), np.array([[True]]))[0, 0])  # alone: unknown


def test_brier_and_calibration_error_are_those_of_the_restatement() -> None:
    rng = np.random.default_rng(2)
    classes = rng.integers(-1, 3, (20, 8))
    m = measures(classes.tolist(), (classes == 0).astype(int).tolist())
    base = replace(side("base", NEAR[:20], texts(NEAR[:20], 0.5, 8), role="base"), measures=m)
    found = LENSES["side_effects"].read(view([base], NEAR[:20])).columns["base"]
    sure, right = (
        answer_confidence(classes, np.ones_like(classes, bool)).ravel().tolist(),
        (classes == 0).ravel().tolist(),
    )
    assert found["Brier"].point == pytest.approx(plain.brier(sure, right))
    assert found["ECE"].point == pytest.approx(plain.calibration_error(sure, right))
    assert binned(base)[0][:, :10].sum() == 160


def test_the_same_policy_has_no_side_effects() -> None:
    base = side("base", NEAR, texts(NEAR, 0.5), role="base")
    found = LENSES["side_effects"].read(view([base, replace(base, name="twin")], NEAR)).columns["twin"]
    for name in ("Brier - base", "ECE - base", "format compliance - base"):
        assert found[name].point == found[name].lo == found[name].hi == 0


def test_text_loss_is_a_mean_over_tokens_paired_by_text() -> None:
    def rows(extra: float) -> list[dict]:
        return [{"source": "questions", "text": f"t{k}", "nll": k * (1.0 + extra), "tokens": k} for k in range(1, 9)]

    base = side("base", NEAR, texts(NEAR, 0.5), role="base", probes={"texts": rows(0.0)})
    m = side("m", NEAR, texts(NEAR, 0.5), probes={"texts": rows(0.5)})
    found = LENSES["side_effects"].read(view([base, m], NEAR)).columns["m"]
    assert found["text loss, questions"].point == pytest.approx(1.5)
    assert found["text loss, questions - base"].point == pytest.approx(0.5)
