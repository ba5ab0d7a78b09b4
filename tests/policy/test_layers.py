"""Laws of layers, on every architecture: the blocks are found, and what they put out can be read and changed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from elicit.errors import CheckpointError
from elicit.policy import layers
from tests.policy.tiny import CONFIGS, LAYERS, WIDTH, hook_count, random_ids, tiny_model


@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_architecture_shows_its_blocks_and_width(architecture: str) -> None:
    model = tiny_model(architecture)
    assert len(layers.blocks(model)) == LAYERS
    assert layers.width(model) == WIDTH
    assert layers.unembedding(model).shape[1] == WIDTH


@pytest.mark.parametrize("architecture", CONFIGS)
def test_outputs_read_are_the_hidden_states_of_transformers(architecture: str) -> None:
    model, ids = tiny_model(architecture), random_ids(3, 5)
    with torch.no_grad(), layers.reading_outputs(model, [0]) as read:
        theirs = model(input_ids=ids, output_hidden_states=True).hidden_states
    assert torch.equal(read[0], theirs[1])


@pytest.mark.parametrize("architecture", CONFIGS)
def test_reading_outputs_leaves_no_hook(architecture: str) -> None:
    model, ids = tiny_model(architecture), random_ids(3, 5)
    with torch.no_grad(), layers.reading_outputs(model, [0]):
        assert hook_count(model) == 1
        model(input_ids=ids)
    assert hook_count(model) == 0


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: (x, "cache")])
def test_tensor_and_tuple_outputs_are_changed_in_every_row(wrap) -> None:  # type: ignore[no-untyped-def]
    hidden = torch.zeros(4, 2, 3)
    changed = layers.with_hidden(wrap(hidden), layers.hidden_of(wrap(hidden)) + 1)
    assert torch.equal(layers.hidden_of(changed), torch.ones(4, 2, 3))
    assert type(changed) is type(wrap(hidden))


def test_depth_rounds_down_and_ends_at_the_last_layer() -> None:
    model = tiny_model()
    assert [layers.at_depth(model, f) for f in (0.0, 0.49, 0.5, 0.99, 1.0)] == [0, 0, 1, 1, 1]
    with pytest.raises(CheckpointError, match="between 0 and 1"):
        layers.at_depth(model, 1.5)


def test_a_layer_that_does_not_exist_is_refused_and_leaves_no_hook() -> None:
    model = tiny_model()
    with (
        pytest.raises(CheckpointError, match="layers 0 to 1"),
        layers.changing_outputs(model, {0: lambda x: None, 2: lambda x: None}),
    ):
        pass
    assert hook_count(model) == 0


def test_a_model_without_a_list_of_blocks_is_refused() -> None:
    model = tiny_model()
    model.model.layers = nn.ModuleList([model.model.layers[0]])
    with pytest.raises(CheckpointError, match="found none"):
        layers.blocks(model)
