"""Attention of decode steps with grouped queries, against an explicit softmax over repeated keys."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from transformers.models.llama import modeling_llama

from elicit.policy import attention
from elicit.policy.attention import GROUPED, grouped_attention, grouped_decode
from elicit.policy.decoding import PathJob, PickRule
from elicit.sampling.likelihood import score
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.task import StopRules
from tests.sampling.models import prompts, tiny_model, tokenizer

GROUPED_MODELS = ["llama", "mistral", "qwen2", "qwen3", "gemma3"]


class Layer(modeling_llama.LlamaAttention):
    """Only what an attention function reads of a layer."""

    __module__ = modeling_llama.__name__

    def __init__(self, groups: int) -> None:
        nn.Module.__init__(self)
        self.num_key_value_groups, self.is_causal = groups, True


def repeated(query: Any, key: Any, value: Any, mask: Any, scaling: float) -> torch.Tensor:
    """Softmax attention with a key head copied for each of its query heads, [B, T, H, D]."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(2, 3) * scaling
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    return (scores.softmax(-1) @ value).transpose(1, 2)


def states(tokens: int, heads: int, key_heads: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    shape = [(5, heads, tokens, 8), (5, key_heads, 11, 8), (5, key_heads, 11, 6)]
    query, key, value = (torch.randn(one, dtype=torch.float64) for one in shape)
    return query, key, value


def masks() -> list[torch.Tensor | None]:
    hidden = torch.arange(11) < torch.tensor([0, 3, 10, 5, 1])[:, None]
    added = torch.zeros(5, 11, dtype=torch.float64).masked_fill(hidden, torch.finfo(torch.float64).min)
    per_head = torch.randn(5, 6, 1, 11, dtype=torch.float64)
    return [None, added[:, None, None], ~hidden[:, None, None], per_head]


@pytest.mark.parametrize("key_heads", [1, 2, 3, 6])
@pytest.mark.parametrize("mask", range(4))
@pytest.mark.parametrize("scaling", [8**-0.5, 0.3])
def test_a_decode_step_is_softmax_over_repeated_keys(key_heads: int, mask: int, scaling: float) -> None:
    (query, key, value), hides = states(1, 6, key_heads), masks()[mask]
    out, weights = grouped_attention(Layer(6 // key_heads), query, key, value, hides, scaling=scaling)
    assert weights is None
    assert torch.allclose(out, repeated(query, key, value, hides, scaling), atol=1e-12)


def test_a_prefill_is_the_models_own_causal_attention() -> None:
    query, key, value = states(11, 6, 2)
    out, _ = grouped_attention(Layer(3), query, key, value, None, scaling=0.3)
    causal = torch.ones(11, 11, dtype=torch.bool).tril()
    assert torch.allclose(out, repeated(query, key, value, causal, 0.3), atol=1e-12)


@pytest.mark.parametrize("term", ["softcap", "s_aux", "position_bias", "head_mask"])
def test_a_layer_with_another_term_runs_its_own_attention(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setitem(
        modeling_llama.ALL_ATTENTION_FUNCTIONS._local_mapping, "sdpa", lambda *args, **more: (calls.append(more), None)
    )
    grouped_attention(Layer(3), *states(1, 6, 2), None, scaling=0.3, **{term: 2.0})
    assert calls == [{"dropout": 0.0, "scaling": 0.3, term: 2.0}]


@pytest.mark.parametrize("name", GROUPED_MODELS)
def test_a_models_own_attention_is_back_after_the_block_and_after_a_fault(name: str) -> None:
    model = tiny_model(name)
    for fault in (None, RuntimeError("stop")):
        try:
            with grouped_decode(model):
                assert model.config._attn_implementation == GROUPED
                if fault:
                    raise fault
        except RuntimeError:
            pass
        assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("name", ["gpt2", "bloom", "falcon", "gptj", "opt"])
def test_models_without_groups_or_registry_are_left_alone(name: str) -> None:
    model = tiny_model(name)
    before = model.config._attn_implementation
    with grouped_decode(model):
        assert model.config._attn_implementation == before


def test_eager_attention_is_left_alone() -> None:
    model = tiny_model("gemma2")
    model.set_attn_implementation("eager")
    with grouped_decode(model):
        assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize("name", GROUPED_MODELS)
def test_sampled_log_probs_are_those_of_the_likelihood_pass(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step loop runs grouped decode steps, the likelihood pass the model's own attention."""
    model = tiny_model(name)
    steps: list[int] = []
    original = attention.grouped_attention

    def counted(module: nn.Module, query: torch.Tensor, *rest: Any, **more: Any) -> Any:
        steps.append(query.shape[2])
        return original(module, query, *rest, **more)

    monkeypatch.setattr(attention, "grouped_attention", counted)
    stop, wanted = StopRules(strings=(), max_new_tokens=20), [PathJob(prompt, 3) for prompt in prompts(4)]
    paths = StepLoop(model, tokenizer(), {1}, slots=3).run(wanted, PickRule(), stop)
    assert steps.count(1) > 20
    seen = len(steps)
    scored = score(model, [(job.prompt_ids, path.token_ids) for job, path in zip(wanted, paths, strict=True)])
    assert len(steps) == seen
    for path, one in zip(paths, scored, strict=True):
        assert one.logprobs == pytest.approx(path.logprobs, abs=1e-6)
