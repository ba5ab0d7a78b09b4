"""One row for all completions of a prompt gives what a row for each gives, gradients included."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from trl.trainer.utils import add_fused_lm_head

from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.positions import forward_positions
from elicit.sampling.loop.forward import ready_mask
from elicit.training.restore import decoder_found, restored
from elicit.training.rl import shared_prompt
from elicit.training.rl.shared_prompt import shared_pass, shared_rows
from tests.sampling.models import CONFIGS, tiny_model, tokenizer

PROMPT = torch.tensor([5, 6, 7, 8, 9, 11])
COMPLETIONS = [torch.tensor([3, 7, 9]), torch.tensor([4]), torch.tensor([9, 9, 12, 5])]
WINDOW = 64
"""of the models with sliding windows; their tiny configurations have less than a row here"""
READY = ["llama", "gpt2", "gpt_neox", "qwen2", "qwen3", "phi", "gemma2", "gemma3", "mistral"]


def wide(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    family, fields = CONFIGS[name]
    if "sliding_window" in fields:
        monkeypatch.setitem(CONFIGS, name, (family, {**fields, "sliding_window": WINDOW}))
    return tiny_model(name, dtype=torch.float64)


@pytest.mark.parametrize("write", ["last_prompt", "onward", "every", "prompt", "completion"])
@pytest.mark.parametrize("name", READY)
def test_values_and_gradients_are_those_of_a_row_for_each(
    name: str, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = wide(name, monkeypatch)
    assert ready_mask(model, WINDOW)
    width = model.config.get_text_config().hidden_size
    vector = torch.randn(width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    edit = ActivationEdit((Edit(0, vector, write=write),))
    weights = [torch.linspace(-1, 2, len(one), dtype=torch.float64) for one in COMPLETIONS]
    with restored(model, tokenizer()), decoder_found(model):
        model.requires_grad_(True)
        add_fused_lm_head(model, outputs=("log_probs", "entropy"))
        with edit.applied(model):
            found = shared_pass(model, PROMPT, COMPLETIONS)
            sum((logps * w).sum() for (logps, _), w in zip(found, weights, strict=True)).backward()
            shared = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
            model.zero_grad()
            for (logps, entropies), completion, w in zip(found, COMPLETIONS, weights, strict=True):
                ids = torch.cat([PROMPT, completion])[None]
                with forward_positions(torch.arange(ids.shape[1])[None], torch.tensor([len(PROMPT)])):
                    rows = model(input_ids=ids).logits[0, len(PROMPT) - 1 : -1].log_softmax(-1)
                own = rows.gather(1, completion[:, None])[:, 0]
                torch.testing.assert_close(logps.double(), own.double(), atol=1e-5, rtol=1e-5)
                entropy = -(rows.exp() * rows).sum(-1)
                torch.testing.assert_close(entropies.double(), entropy.double(), atol=1e-5, rtol=1e-5)
                (own * w).sum().backward()
            separate = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert len(shared) > 5 and shared.keys() == separate.keys()
    for key, gradient in separate.items():
        torch.testing.assert_close(shared[key], gradient, atol=1e-5, rtol=1e-4)


def test_sets_share_their_prompt_save_enough_and_do_not_grow_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_prompt, "WORTH", 4)
    a, b = [1] * 4, [2] * 4
    assert shared_rows([a, b, a, a, a], [2, 9, 2, 2, 1]) == [[0, 2], [3, 4]]
    assert shared_rows([a, b], [1, 1]) == []


@pytest.mark.parametrize("name", ["gemma2", "gemma3", "mistral"])
def test_a_row_longer_than_a_sliding_window_is_not_shared(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ready_mask(wide(name, monkeypatch), WINDOW + 1)
