"""Picks and scalars against restatements with sorted lists."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elicit.policy.decoding import PickRule
from elicit.sampling.loop.pick import CHUNK, PEEKS, WIDE, choose, draw, filtered, largest, ranked, scalars
from elicit.sampling.loop.uniforms import UniformTable, uniforms
from tests.reference import pick as reference

RULES = st.builds(
    PickRule,
    temperature=st.sampled_from([0.3, 0.6, 1.0, 1.7]),
    top_k=st.sampled_from([0, 1, 3, 50, 1000]),
    top_p=st.sampled_from([0.05, 0.5, 0.9, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.5]),
)


def rows(seed: int, vocabulary: int, spread: float, count: int = 8) -> torch.Tensor:
    return torch.randn(count, vocabulary, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * spread


@settings(max_examples=60, deadline=None)
@given(RULES, st.integers(0, 1000), st.sampled_from([2, 7, 90, 300]), st.sampled_from([0.1, 1.0, 6.0]))
def test_the_rule_keeps_and_weighs_tokens_as_its_restatement_does(
    rule: PickRule, seed: int, vocabulary: int, spread: float
) -> None:
    logits = rows(seed, vocabulary, spread)
    ours = filtered(logits, rule).softmax(-1)
    for row, expected in zip(ours, logits.tolist(), strict=True):
        assert np.allclose(row, reference.probabilities(expected, rule), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(RULES, st.integers(0, 1000), st.sampled_from([2, 7, 90, 300]))
def test_the_token_is_that_of_a_plain_inverse_cdf(rule: PickRule, seed: int, vocabulary: int) -> None:
    logits, numbers = rows(seed, vocabulary, 2.0), uniforms(seed, 0, 0, 8)
    ours = choose(logits, rule, torch.from_numpy(numbers))[0].tolist()
    assert ours == [reference.token_of(row, rule, u) for row, u in zip(logits.tolist(), numbers, strict=True)]


@settings(max_examples=15, deadline=None)
@given(
    RULES,
    st.integers(0, 1000),
    st.sampled_from([WIDE, WIDE + 1, 5000, 8192]),
    st.sampled_from([0.02, 1.0, 3.0]),
    st.booleans(),
)
def test_a_large_vocabulary_is_drawn_from_as_a_small_one_is(
    rule: PickRule, seed: int, vocabulary: int, spread: float, tied: bool
) -> None:
    """In blocks, from the most probable tokens, from more of them, or from all: the token is that of a plain CDF."""
    logits, numbers = rows(seed, vocabulary, spread, 3), uniforms(seed, 1, 0, 3)
    if tied:
        logits = (logits * 2).round() / 2
    tokens, values = choose(logits, rule, torch.from_numpy(numbers))
    assert tokens.tolist() == [
        reference.token_of(row, rule, u) for row, u in zip(logits.tolist(), numbers, strict=True)
    ]
    assert torch.allclose(values, scalars(logits, tokens, rule.alpha), rtol=0, atol=1e-12)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_filters_that_keep_more_than_the_peek_are_exact(share: float) -> None:
    """A flat row keeps thousands of tokens, a steep one a few: both are in one batch."""
    logits = torch.cat([rows(1, 9000, spread, 2) for spread in (0.01, 0.8, 9.0)])
    rule, numbers = PickRule(top_p=share), uniforms(5, 0, 0, 6)
    kept = filtered(logits, rule).isfinite().sum(-1)
    assert kept.min() < PEEKS[0] < PEEKS[1] < kept.max()
    tokens, _ = choose(logits, rule, torch.from_numpy(numbers))
    assert tokens.tolist() == [
        reference.token_of(row, rule, u) for row, u in zip(logits.tolist(), numbers, strict=True)
    ]


@pytest.mark.parametrize("rule", [PickRule(top_k=100, top_p=0.9), PickRule(top_k=70), PickRule(top_k=1030, top_p=0.5)])
def test_ties_with_the_last_token_of_top_k_count_wherever_they_are(rule: PickRule) -> None:
    logits, numbers = (rows(7, 3000, 1.0, 20) * 4).round() / 4, uniforms(5, 0, 0, 20)
    tokens, _ = choose(logits, rule, torch.from_numpy(numbers))
    assert tokens.tolist() == [
        reference.token_of(row, rule, u) for row, u in zip(logits.tolist(), numbers, strict=True)
    ]


def test_rows_that_are_read_in_chunks_are_those_of_one_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, numbers = rows(2, 700, 2.0, 13), torch.from_numpy(uniforms(4, 0, 0, 13))
    for rule in (PickRule(), PickRule(top_p=0.9, temperature=0.6), PickRule(temperature=0), PickRule(alpha=3.0)):
        whole = choose(logits, rule, numbers)
        with monkeypatch.context() as patch:
            patch.setitem(CHUNK, "cpu", 3 * 700)
            parts = choose(logits, rule, numbers)
            assert torch.equal(scalars(logits, whole[0], rule.alpha), scalars(logits, parts[0], rule.alpha))
        assert torch.equal(whole[0], parts[0]) and torch.allclose(whole[1], parts[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("vocabulary", [5, 64, 4096, 5000, 8191])
@pytest.mark.parametrize("count", [1, 20, 64])
def test_the_largest_values_are_those_of_a_sort(vocabulary: int, count: int) -> None:
    values = rows(4, vocabulary, 1.0, 5)
    values[3:] = values[3:].round()
    values[4, ::3] = -math.inf
    top, ids = largest(values, count)
    assert torch.equal(top, values.sort(-1, descending=True).values[:, :count])
    assert torch.equal(values.gather(1, ids), top)
    assert all(len(set(row)) == len(row) for row in ids.tolist())


@pytest.mark.parametrize("vocabulary", [10, 3000])
def test_the_ends_of_the_unit_interval_draw_tokens_with_a_mass(vocabulary: int) -> None:
    logits = torch.full((2, vocabulary), -math.inf, dtype=torch.float64)
    logits[:, 4:7] = rows(1, 3, 1.0, 2)
    ends = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert draw(logits, ends).tolist() == [4, 6]
    assert choose(logits, PickRule(top_p=0.999), ends)[0].tolist() == [4, 6]


def test_greedy_ties_go_to_the_lowest_id() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    assert choose(logits, PickRule(temperature=0), None)[0].tolist() == [1, 0]


def test_ranks_are_by_probability_with_ties_to_the_lowest_id() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0, 2.0]] * 4)
    assert ranked(logits, torch.arange(4)).tolist() == [1, 2, 3, 0]


def test_tokens_tied_with_the_last_kept_one_stay() -> None:
    logits = torch.tensor([[2.0, 1.0, 1.0, 0.0]])
    for rule in (PickRule(top_k=2), PickRule(top_p=0.6)):
        assert filtered(logits, rule).isfinite().tolist() == [[True, True, True, False]]


def test_the_largest_uniform_below_one_never_draws_an_impossible_token() -> None:
    logits = torch.tensor([[0.0, 1.0, -math.inf, -math.inf]])
    assert draw(logits, torch.tensor([1 - 2**-53], dtype=torch.float64)).tolist() == [1]
    assert draw(torch.tensor([[-math.inf, 0.0]]), torch.tensor([0.0], dtype=torch.float64)).tolist() == [1]


def test_frequencies_are_the_probabilities() -> None:
    logits, count = rows(3, 12, 1.0, 1), 40_000
    rule = PickRule(temperature=0.8, top_p=0.9)
    tokens, _ = choose(logits.expand(count, -1), rule, torch.from_numpy(uniforms(1, 0, 0, count)))
    shares = torch.bincount(tokens, minlength=12) / count
    assert np.allclose(shares, reference.probabilities(logits[0].tolist(), rule), atol=0.01)


@pytest.mark.parametrize("vocabulary", [2, 10, 500])
def test_scalars_are_their_definitions(vocabulary: int) -> None:
    logits, tokens = rows(5, vocabulary, 2.0), torch.arange(8) % vocabulary
    logprob, gap, confidence, log_z, certainty = scalars(logits, tokens, alpha=4.0).tolist()
    for row, token in enumerate(tokens.tolist()):
        p = reference.probabilities(logits[row].tolist(), PickRule())
        top = sorted(p, reverse=True)
        assert math.isclose(logprob[row], math.log(p[token]))
        assert math.isclose(gap[row], top[0] - top[1], abs_tol=1e-12)
        assert math.isclose(confidence[row], -sum(map(math.log, top[:20])) / len(top[:20]))
        assert math.isclose(log_z[row], math.log(sum(q**4 for q in p)))
        uniform = 1 / vocabulary
        assert math.isclose(certainty[row], sum(uniform * math.log(uniform / q) for q in p), abs_tol=1e-12)


def test_a_uniform_number_depends_on_its_key_and_step_only() -> None:
    whole = uniforms(2**62 + 5, 3, 0, 50)
    for step in range(50):
        assert uniforms(2**62 + 5, 3, step, 1)[0] == whole[step] == reference.uniform_of(2**62 + 5, 3, step)
    assert not set(whole) & set(uniforms(2**62 + 5, 4, 0, 50)) and not set(whole) & set(uniforms(2**62 + 6, 3, 0, 50))


def test_uniform_numbers_are_uniform() -> None:
    numbers = np.concatenate([uniforms(seed, 0, 0, 100) for seed in range(500)])
    assert numbers.min() >= 0 and numbers.max() < 1
    counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
    assert ((counts - 2500) ** 2 / 2500).sum() < 43.8  # chi-square, 19 degrees of freedom, p = .001


def test_a_table_of_uniforms_reads_each_slot_at_its_own_step() -> None:
    table = UniformTable(3, 100, torch.device("cpu"), width=8)
    table.fill([0, 2], [(7, 0), (9, 1)], [13, 3])
    read = table.read(torch.tensor([13, 0, 5]))
    assert read[0] == uniforms(7, 0, 13, 1)[0] and read[2] == uniforms(9, 1, 5, 1)[0]
    assert table.exhausted(np.array([16, 0, 5])).tolist() == [0]
