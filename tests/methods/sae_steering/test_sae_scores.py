"""Laws of contrast and causal scores, each restated in plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from elicit.errors import MethodError
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.layers import unembedding
from elicit.policy.policy import Policy
from elicit.policy.positions import forward_positions, positions_of
from methods.sae_steering.candidates import Feature
from methods.sae_steering.cause import LENS, CausalProbe, causal_scores, lens_tokens, steered_logits
from methods.sae_steering.controls import nearest_live
from methods.sae_steering.scores import (
    FeatureStatistics,
    cohens_d,
    interleaved,
    reason_score,
    telling_tokens,
)
from tests.policy.tiny import CONFIGS, WIDTH, random_vector, tiny_model, tiny_tokenizer


def test_cohens_d_is_paired_by_item() -> None:
    rng = np.random.default_rng(0)
    items = [f"i{k}" for k in rng.integers(0, 6, 60)]
    sides = [None if x > 0.9 else bool(x > 0.4) for x in rng.random(60)]
    acts = torch.from_numpy(rng.standard_normal((60, 3))).float()
    differences = []
    for name in dict.fromkeys(items):
        right = [acts[i] for i in range(60) if items[i] == name and sides[i] is True]
        wrong = [acts[i] for i in range(60) if items[i] == name and sides[i] is False]
        if right and wrong:
            differences.append((sum(right) / len(right) - sum(wrong) / len(wrong)).numpy())
    table = np.array(differences)
    expected = table.mean(0) / table.std(0, ddof=1)
    assert np.allclose(cohens_d(acts, sides, items).numpy(), expected, atol=1e-5)


def test_an_empty_side_is_an_error_that_names_the_remedy() -> None:
    with pytest.raises(MethodError, match=r"0 positive, 4 negative.*more samples"):
        cohens_d(torch.zeros(4, 2), [False] * 4, list("aabb"))


def test_the_reason_score_is_its_formula() -> None:
    rng = np.random.default_rng(1)
    words, others = rng.random((4, 5)), rng.random(5)
    words[2] = 0.0  # a word on which nothing fires is dropped
    vocabulary = words.mean(0)
    found = FeatureStatistics(
        torch.ones(5), torch.ones(5),
        *(torch.from_numpy(value).float() for value in (words, others, vocabulary, others)),
    )  # fmt: skip
    kept = words[[0, 1, 3]]
    for f, value in enumerate(reason_score(found).tolist()):
        p = kept[:, f] / kept[:, f].sum()
        entropy = -sum(x * math.log(x) for x in p) / math.log(3)
        expected = vocabulary[f] / vocabulary.sum() * entropy**0.7 - others[f] / others.sum()
        assert value == pytest.approx(expected, abs=1e-5)


def test_telling_tokens_are_those_of_the_positive_side() -> None:
    completions = [[7, 8, 3], [7, 3], [5, 3], [5, 5, 3]]
    assert telling_tokens(completions, [True, True, False, False], {3}, 2) == [7, 8]


def test_a_matched_feature_is_nearest_in_rate_and_norm_and_if_asked_in_activity() -> None:
    rates, norms = torch.tensor([0.1, 0.1, 0.1, 0.11, 0.0]), torch.tensor([1.0, 1.0, 1.0, 1.1, 1.0])
    means = torch.tensor([0.5, 5.0, 0.5, 0.6, 0.5])
    chosen, taken = Feature(0, 0, 0.1, 1.0, 0.1), {(0, 0)}
    assert nearest_live(chosen, rates, norms, taken) == 1, "the first of equals"
    assert nearest_live(chosen, rates, norms, taken, means) == 2, "as busy"
    assert nearest_live(chosen, rates, norms, taken | {(0, 2)}, means) == 3, "near in all three"


def test_every_ranking_has_its_turn() -> None:
    assert interleaved([[1, 2, 3], [9, 1, 8]], 4) == [1, 9, 2, 3]


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy(wrap(tiny_model(dtype=torch.float64), tiny_tokenizer()))


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "qwen3", "gemma2"])
@pytest.mark.parametrize("after", [[11, 12, 30], []])
def test_batched_steering_is_one_edit_a_forward(architecture: str, after: list[int]) -> None:
    model = tiny_model(architecture, dtype=torch.float64)
    tiny = Policy(wrap(model, tiny_tokenizer()))
    prompt = [5, 9, 14, 20, 7]
    vectors = torch.stack([random_vector(seed) for seed in range(5)])
    found = steered_logits(tiny, prompt, after, 0, vectors)
    ids = torch.tensor([prompt + after])
    for f, vector in enumerate(vectors):
        edit = ActivationEdit((Edit(0, vector),))
        with (
            torch.no_grad(),
            edit.applied(model),
            forward_positions(positions_of(torch.ones_like(ids)), torch.tensor([5])),
        ):
            expected = model(input_ids=ids).logits[0, 4:]
        torch.testing.assert_close(found[f], expected, atol=1e-6, rtol=1e-6)


def test_causal_scores_are_their_formulas(policy: Policy) -> None:
    probes = [CausalProbe((5, 9, 14), (20, 21, 1), (22, 1)), CausalProbe((8, 7, 30, 31), (12, 1), (13, 14, 15, 1))]
    vectors = torch.stack([random_vector(seed) for seed in range(3)])
    found = causal_scores(policy, probes, 0, vectors)
    model = policy.checkpoint.model

    def logprobs(prompt, completion, vector):
        ids = torch.tensor([[*prompt, *completion]])
        edit = ActivationEdit((Edit(0, vector),))
        where = forward_positions(positions_of(torch.ones_like(ids)), torch.tensor([len(prompt)]))
        with torch.no_grad(), edit.applied(model), where:
            return model(input_ids=ids).logits[0].log_softmax(-1)[len(prompt) - 1 : -1]

    def said(prompt, completion, vector):
        rows = logprobs(prompt, completion, vector)
        return sum(rows[t, token].item() for t, token in enumerate(completion))

    nothing = torch.zeros(WIDTH)
    for f, vector in enumerate(vectors):
        lens = (unembedding(model).float() @ vector).argsort(descending=True)[:LENS].tolist()
        preference = output = confidence = 0.0
        for probe in probes:
            for sign, ids in ((1, probe.positive_ids), (-1, probe.negative_ids)):
                preference += sign * (said(probe.prompt_ids, ids, vector) - said(probe.prompt_ids, ids, nothing))
            for sign, each in ((1, vector), (-1, nothing)):
                row = logprobs(probe.prompt_ids, probe.positive_ids, each)[0]
                p = row.exp()
                output += sign * max((p[t] * (1 - (p > p[t]).sum() / len(p))).item() for t in lens)
                confidence += sign * -row.sort(descending=True).values[:20].mean().item()
        assert found["preference"][f].item() == pytest.approx(preference / 2, abs=1e-4)
        assert found["output_score"][f].item() == pytest.approx(output / 2, abs=1e-5)
        assert found["confidence"][f].item() == pytest.approx(confidence / 2, abs=1e-4)


def test_the_lens_reads_the_tokens_that_a_direction_raises(policy: Policy) -> None:
    row = unembedding(policy.checkpoint.model)[17].float()
    assert 17 in lens_tokens(policy, row[None])[0].tolist()


def test_all_architectures_are_known_to_the_tests() -> None:
    assert {"llama", "gpt2", "qwen3", "gemma2"} <= set(CONFIGS)
