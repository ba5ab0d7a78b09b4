"""Laws of the parts of contrastive vectors that need no sampling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from elicit.errors import ConfigError, MethodError
from elicit.sampling.contrast import permuted, two_means
from elicit.training.halving import halving
from methods.contrastive.direction import items_with_both, paired_difference, token_share, units
from methods.contrastive.method import Contrastive


def test_the_difference_is_paired_by_item():
    rng = np.random.default_rng(0)
    items = [f"i{k}" for k in rng.integers(0, 6, 80)]
    sides = [None if x > 0.9 else bool(x > 0.4) for x in rng.random(80)]
    readings = torch.from_numpy(rng.standard_normal((80, 3, 5))).float()
    per_item = []
    for name in sorted(set(items)):
        own = [i for i in range(80) if items[i] == name]
        right = [readings[i] for i in own if sides[i] is True]
        wrong = [readings[i] for i in own if sides[i] is False]
        if right and wrong:
            per_item.append(sum(right) / len(right) - sum(wrong) / len(wrong))
    expected = sum(per_item) / len(per_item)
    assert torch.allclose(paired_difference(readings, sides, items), expected, atol=1e-6)


def test_what_an_item_is_about_cancels():
    about = torch.randn(4, 1, 8, generator=torch.Generator().manual_seed(0)) * 100
    signal = torch.arange(8.0)
    items = [name for name in "abcd" for _ in range(5)]
    sides = [k < share for share in (1, 2, 3, 4) for k in range(5)]
    readings = torch.stack([about["abcd".index(i)] + (signal if s else 0) for i, s in zip(items, sides, strict=True)])
    assert torch.allclose(paired_difference(readings, sides, items)[0], signal, atol=1e-3)


def test_an_item_without_both_sides_does_not_count():
    assert items_with_both([True, False, True, None, False, False], list("aabbcc")) == ["a"]


def test_an_empty_side_is_an_error_that_names_the_remedy():
    with pytest.raises(MethodError, match=r"0 positive, 4 negative in 2 items\): take more samples"):
        paired_difference(torch.zeros(4, 1, 2), [False] * 4, list("aabb"))


def test_the_same_mean_on_both_sides_is_an_error():
    with pytest.raises(MethodError, match=r"layers \[7\].*read in_context"):
        units(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), [2, 7])


def test_the_token_share_is_one_if_the_token_is_everything_and_small_if_it_is_nothing():
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 4, (400,), generator=generator).tolist()
    items = [f"i{k % 20}" for k in range(400)]
    embedding = torch.randn(4, 1, 6, generator=generator)
    by_token = torch.stack([embedding[t] for t in tokens])
    assert token_share(by_token, [t < 2 for t in tokens], items, tokens)[0] == pytest.approx(1, abs=1e-5)
    sides = [bool(x > 0.5) for x in torch.rand(400, generator=generator)]
    apart = torch.stack([torch.ones(1, 6) * side for side in sides])
    assert token_share(apart, sides, items, tokens)[0] < 0.2


def test_two_modes_of_length_are_cut_between_them():
    rng = np.random.default_rng(0)
    lengths = [*rng.integers(4, 8, 300), *rng.integers(25, 90, 40)]
    cut, share = two_means(lengths)
    assert 7 < cut < 25 and share > 0.85
    _, one_mode = two_means(np.round(np.exp(rng.normal(4, 0.3, 4000))).astype(int).tolist())
    assert one_mode == pytest.approx(0.64, abs=0.03)
    with pytest.raises(MethodError, match="same length"):
        two_means([5, 5, 5])


def test_the_cut_is_the_one_of_least_variance_within():
    rng = np.random.default_rng(3)
    for _ in range(20):
        lengths = rng.integers(1, 40, 12).tolist()
        logs = np.log(lengths)
        within = {
            t: sum(((g - g.mean()) ** 2).sum() for g in (logs[np.array(lengths) < t], logs[np.array(lengths) >= t]))
            for t in sorted(set(lengths))[1:]
        }
        cut, share = two_means(lengths)
        best = min(within.values())
        assert within[min(t for t in within if t > cut)] == pytest.approx(best)
        assert share == pytest.approx(1 - best / ((logs - logs.mean()) ** 2).sum())


def test_halving_keeps_the_better_half_and_counts_every_try():
    calls = []

    def score(option: int, limit: int) -> float:
        calls.append((option, limit))
        return -abs(option - 5)

    best, tries = halving(range(8), score, limit=48, halvings=2)
    assert best == 5
    assert [limit for _, limit in calls] == [12] * 8 + [24] * 4 + [48] * 2
    assert [(t.option, t.limit) for t in tries] == calls


def test_ties_go_to_the_first_option():
    assert halving(["weak", "strong", "stronger"], lambda option, limit: 0.5, 48, 2)[0] == "weak"
    assert halving(["only"], lambda option, limit: 0.0, 1, 3)[0] == "only"


def test_permuted_labels_keep_the_counts_of_each_item_and_readings_without_a_side():
    rng = np.random.default_rng(2)
    items = [f"i{k}" for k in rng.integers(0, 5, 60)]
    sides = [None if x > 0.8 else bool(x > 0.4) for x in rng.random(60)]
    shuffled = permuted(sides, items, np.random.default_rng(0))
    assert shuffled != sides == list(sides) and permuted(sides, items, np.random.default_rng(0)) == shuffled
    assert [side is None for side in shuffled] == [side is None for side in sides]
    for item in set(items):
        counts = [sum(side is True for side, name in zip(row, items, strict=True) if name == item)
                  for row in (sides, shuffled)]  # fmt: skip
        assert counts[0] == counts[1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"contrast": "right_minus_wrongs"},
        {"read": "last"},
        {"aggregator": "median"},
        {"writes": ("everywhere",)},
        {"items": 0},
        {"strengths": ()},
        {"control": "label_permuted"},
    ],
)
def test_settings_out_of_range_are_named(wrong):
    with pytest.raises(ConfigError):
        Contrastive(**wrong)
