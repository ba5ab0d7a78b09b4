"""What a fit borrows of a model is given back, and TRL finds the decoder of every architecture."""

from __future__ import annotations

import pytest
import torch

from elicit.training.restore import decoder_found, restored
from tests.sampling.models import CONFIGS, tiny_model, tokenizer


@pytest.mark.parametrize("name", CONFIGS)
def test_inside_the_base_model_gives_hidden_states_and_outside_everything_is_as_before(name: str) -> None:
    model = tiny_model(name)
    before = dict(model.__dict__)
    with restored(model, tokenizer()), decoder_found(model), torch.no_grad():
        ids = torch.tensor([[5, 6, 7]])
        hidden = model.base_model(ids).last_hidden_state
        logits = model.get_output_embeddings()(hidden)
        assert torch.allclose(logits.argmax(-1), model(ids).logits.argmax(-1))
    assert model.__dict__ == before
