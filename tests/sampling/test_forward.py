"""One pass over prefixes: the head computes the tokens that are read, and gives what a pass over one prefix gives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from elicit.sampling.loop.forward import ForwardCall, Prefix, prefill
from elicit.sampling.loop.pick import SCALARS
from tests.sampling.models import CONFIGS, prompts, tiny_model

PREFIXES: list[Prefix] = [
    (tuple(prompt), (5, 7, 9)[:forced]) for prompt, forced in zip(prompts(3), (0, 3, 1), strict=True)
]


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_after_a_prefix_are_those_of_a_pass_over_it_alone(name: str) -> None:
    model = tiny_model(name)
    logits, forced = prefill(ForwardCall(model), PREFIXES, 1.0)
    for row, (prompt, tokens) in enumerate(PREFIXES):
        alone = model(torch.tensor([[*prompt, *tokens]])).logits[0]
        assert torch.allclose(logits[row].double(), alone[-1].double(), atol=1e-6, rtol=0)
        assert forced[row].shape[1] == len(tokens)
        logprobs = alone[len(prompt) - 1 : -1].double().log_softmax(-1)
        expected = logprobs[range(len(tokens)), tokens].numpy()
        assert np.allclose(forced[row][SCALARS.index("logprobs")], expected, atol=1e-6, rtol=0)


def test_the_head_computes_only_the_tokens_that_are_read() -> None:
    model = tiny_model()
    seen: list[int] = []
    handle = model.get_output_embeddings().register_forward_hook(
        lambda _, inputs, output: seen.append(output.shape[:-1].numel())
    )
    prefill(ForwardCall(model), PREFIXES, 1.0)
    handle.remove()
    assert seen == [sum(1 + len(tokens) for _, tokens in PREFIXES)]
    model(torch.tensor([[1, 2, 3]]))
    assert not model.get_output_embeddings()._forward_pre_hooks


def test_a_head_that_is_no_module_of_the_pass_gives_the_same_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    expected, _ = prefill(ForwardCall(model), PREFIXES, 1.0)
    monkeypatch.setattr(model, "get_output_embeddings", lambda: None)
    whole, _ = prefill(ForwardCall(model), PREFIXES, 1.0)
    assert torch.allclose(whole, expected, atol=1e-6, rtol=0)
