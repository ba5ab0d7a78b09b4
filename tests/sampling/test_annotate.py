"""The annotation pass against one plain forward pass a trace."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from elicit.errors import CheckpointError, ConfigError
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.decoding import PickRule, Sampling, StrategyBase
from elicit.policy.policy import Policy
from elicit.policy.weights import WeightEdit
from elicit.sampling import annotate as module
from elicit.sampling.annotate import Notes, Trace, annotate_traces, independent_chains, prompt_nll, token_rule
from tests.sampling.models import prompts, tiny_model, tokenizer

ANSWERS = [tuple(tokenizer()(" The answer is 42." * count).input_ids) for count in range(1, 6)]
SAME = [Trace(prompt, prompt, answer) for prompt, answer in zip(prompts(5), ANSWERS, strict=True)]


def base_of(name: str = "llama", dtype: torch.dtype = torch.float64) -> Policy:
    return Policy(wrap(tiny_model(name, dtype), tokenizer()))


def edited(base: Policy) -> Policy:
    vector = torch.randn(32, generator=torch.Generator().manual_seed(1))
    return base.with_intervention(ActivationEdit((Edit(0, vector, "add", 1.0, "last_prompt"),)))


def heavier(base: Policy) -> Policy:
    name, weight = next((n, p) for n, p in base.checkpoint.model.named_parameters() if p.ndim == 2 and "mlp" in n)
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2))
    return base.with_intervention(WeightEdit({name: 0.3 * noise}))


def logs(policy: Policy, prompt: tuple[int, ...], answer: tuple[int, ...]) -> torch.Tensor:
    """[T, V] log-probs of a completion by one unpadded pass, hooks told where each token stands."""
    from elicit.policy.positions import forward_positions

    ids = torch.tensor([[*prompt, *answer]])
    with (
        torch.no_grad(),
        policy.applied(),
        forward_positions(torch.arange(ids.shape[1])[None], torch.tensor([len(prompt)])),
    ):
        out = policy.checkpoint.model(input_ids=ids).logits[0].log_softmax(-1)
    return out[len(prompt) - 1 : -1]


def check(policy: Policy, base: Policy, traces: list[Trace], found: list[Notes]) -> None:
    for trace, notes in zip(traces, found, strict=True):
        of_base, own = logs(base, trace.base_prompt, trace.completion), logs(policy, trace.prompt, trace.completion)
        for t, token in enumerate(trace.completion):
            assert np.isclose(notes.base_logprobs[t], of_base[t, token], atol=1e-6)
            assert notes.base_ranks[t] == int((of_base[t] > of_base[t, token]).sum())
            assert np.isclose(notes.confidences[t], -own[t].topk(20).values.mean(), atol=1e-6)
            assert np.isclose(notes.certainties[t], -np.log(own.shape[1]) - own[t].mean(), atol=1e-6)
            assert np.isclose(notes.kl[t], (own[t].exp() * (own[t] - of_base[t])).sum(), atol=1e-6)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "bloom"])
def test_the_base_itself_has_no_divergence(name: str) -> None:
    base = base_of(name)
    found = annotate_traces(base, base, SAME)
    check(base, base, SAME, found)
    assert all((notes.kl == 0).all() for notes in found)


@pytest.mark.parametrize("change", [edited, heavier])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_divergence_of_an_edited_policy_is_exact(name: str, change: Any) -> None:
    base = base_of(name)
    before = {key: value.clone() for key, value in base.checkpoint.model.state_dict().items()}
    policy = change(base)
    found = annotate_traces(policy, base, SAME)
    check(policy, base, SAME, found)
    assert sum(notes.kl.sum() for notes in found) > 0.01
    after = base.checkpoint.model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_another_prompt_is_scored_under_its_own_and_the_base_under_the_bare_one() -> None:
    base = base_of()
    traces = [replace(trace, prompt=SAME[(k + 1) % 5].prompt) for k, trace in enumerate(SAME)]
    check(base, base, traces, annotate_traces(base, base, traces))


def test_limits_of_memory_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_of()
    whole = annotate_traces(edited(base), base, SAME)
    monkeypatch.setattr(module, "CHUNK_LOGITS", 700)
    monkeypatch.setattr("elicit.sampling.likelihood.BATCH_TOKENS", 60)
    for a, b in zip(whole, annotate_traces(edited(base), base, SAME), strict=True):
        assert np.allclose(a.base_logprobs, b.base_logprobs, atol=1e-9) and np.allclose(a.kl, b.kl, atol=1e-9)


def test_an_empty_completion_has_no_numbers() -> None:
    base = base_of()
    found = annotate_traces(edited(base), base, [replace(SAME[0], completion=()), SAME[1]])
    assert len(found[0].kl) == 0 and len(found[1].kl) == len(SAME[1].completion)


def test_nan_log_probs_are_an_error_and_not_a_number() -> None:
    base = base_of()
    weight = next(base.checkpoint.model.parameters())
    with torch.no_grad():
        weight[:] = float("nan")
    with pytest.raises(CheckpointError, match="NaN log-probs"):
        annotate_traces(base, base, SAME)


def test_an_empty_prompt_is_an_error() -> None:
    base = base_of()
    with pytest.raises(ConfigError, match="empty prompt"):
        annotate_traces(base, base, [replace(SAME[0], prompt=())])


def test_the_nll_of_a_prompt_is_the_mean_behind_its_first_token() -> None:
    base, ids = base_of(), prompts(1)[0]
    of = logs(base, ids[:1], ids[1:])
    want = -np.mean([float(of[t, token]) for t, token in enumerate(ids[1:])])
    assert prompt_nll(base, [ids, ids[:1]]) == pytest.approx([want, float("nan")], nan_ok=True)


@pytest.mark.parametrize("rule", [PickRule(0.25), PickRule(0.6, top_p=0.95), PickRule(top_k=3), PickRule(0.0)])
def test_a_rule_a_token_has_the_divergence_of_its_own_distribution(rule: PickRule) -> None:
    base = base_of()
    found = annotate_traces(base.with_intervention(Sampling(rule)), base, SAME)  # type: ignore[arg-type]
    for trace, notes in zip(SAME, found, strict=True):
        of = logs(base, trace.prompt, trace.completion)
        for t in range(len(trace.completion)):
            weights = (
                of[t].exp().tolist()
                if rule.temperature == 1
                else (of[t] / max(rule.temperature, 1e-4)).softmax(-1).tolist()
            )
            kept = sorted(range(len(weights)), key=lambda v: -weights[v])[
                : rule.top_k or (1 if rule.temperature == 0 else None)
            ]
            while rule.top_p < 1 and sum(weights[v] for v in kept[:-1]) >= rule.top_p:
                kept.pop()
            total = sum(weights[v] for v in kept)
            want = sum(
                weights[v] / total * (np.log(weights[v] / total) - float(of[t, v])) for v in kept if weights[v] > 0
            )
            assert np.isclose(notes.kl[t], want, atol=1e-6)


def test_rules_are_read_off_strategies_and_never_guessed() -> None:
    base = base_of()
    assert token_rule(base) == token_rule(edited(base)) == PickRule()
    assert token_rule(base.with_intervention(Sampling(PickRule(0.5)))) == PickRule(0.5)  # type: ignore[arg-type]
    assert token_rule(base.with_intervention(Chains())) is None  # type: ignore[arg-type]
    assert token_rule(base.with_intervention(StrategyBase())) is None  # type: ignore[arg-type]


@dataclass(frozen=True)
class Chains(StrategyBase):
    """A strategy of several chains; `rule` None: they are not independent draws."""

    adaptive: bool = False  # type: ignore[misc]
    rule: PickRule | None = PickRule()

    @property
    def chain_rule(self) -> PickRule | None:
        return self.rule


@pytest.mark.parametrize(
    ("strategy", "independent"),
    [(Chains(), True), (Chains(rule=PickRule(0.6)), False), (Chains(rule=None), False), (Chains(adaptive=True), False)],
)
def test_only_free_draws_at_one_are_independent_chains_of_the_base(strategy: Chains, independent: bool) -> None:
    base = base_of()
    assert independent_chains(base.with_intervention(strategy)) is independent  # type: ignore[arg-type]
    assert not independent_chains(edited(base).with_intervention(strategy))  # type: ignore[arg-type]
    assert not independent_chains(base)
