"""Teacher-forced log-probs against one plain forward pass a row."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from elicit.errors import ConfigError
from elicit.sampling import likelihood
from tests.sampling.models import prompts, tiny_model, tokenizer

ANSWERS = [tuple(tokenizer()(" The answer is 42." * count).input_ids) for count in range(1, 6)]
PAIRS = list(zip(prompts(5), ANSWERS, strict=True))


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "bloom", "mamba"])
def test_log_probs_and_ranks_are_those_of_each_row_alone(name: str) -> None:
    model = tiny_model(name)
    for (prompt, completion), scored in zip(PAIRS, likelihood.score(model, PAIRS), strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*prompt, *completion]])).logits[0]
        logs = logits.log_softmax(-1)
        for step, token in enumerate(completion):
            row = logs[len(prompt) - 1 + step]
            assert np.isclose(scored.logprobs[step], row[token], atol=1e-9)
            assert scored.ranks[step] == sorted(row.tolist(), reverse=True).index(row[token].item())


def test_limits_of_memory_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    whole = likelihood.score(model, PAIRS)
    for name, value in (("BATCH_TOKENS", 100), ("BATCH_LOGITS", 30_000), ("CHUNK_LOGITS", 1)):
        monkeypatch.setattr(likelihood, name, value)
    for a, b in zip(whole, likelihood.score(model, PAIRS), strict=True):
        assert np.allclose(a.logprobs, b.logprobs, atol=1e-9) and (a.ranks == b.ranks).all()


def test_an_empty_completion_has_no_log_probs() -> None:
    assert [len(row.logprobs) for row in likelihood.score(tiny_model(), [((5, 6), ()), ((5,), (7, 8))])] == [0, 2]
    assert len(likelihood.score(tiny_model(), [((5, 6), ())])[0].logprobs) == 0
    assert likelihood.score(tiny_model(), []) == []


def test_a_half_precision_model_is_scored_in_float32() -> None:
    scored = likelihood.score(tiny_model(dtype=torch.bfloat16), PAIRS)
    assert {row.logprobs.dtype for row in scored} == {np.dtype("float32")}


def test_an_empty_prompt_is_an_error() -> None:
    with pytest.raises(ConfigError, match="empty prompt"):
        likelihood.score(tiny_model(), [((), (5,))])
