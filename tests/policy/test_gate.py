"""Laws of gated edits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from elicit.errors import ConfigError
from elicit.policy import layers
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.intervention import save
from elicit.policy.policy import load_intervention
from elicit.policy.positions import forward_positions, positions_of
from tests.policy.tiny import random_ids, random_vector, tiny_model


def run(model, ids: torch.Tensor, lengths: list[int]) -> torch.Tensor:  # type: ignore[no-untyped-def]
    with torch.no_grad(), forward_positions(positions_of(torch.ones_like(ids)), torch.tensor(lengths)):
        return model(input_ids=ids).logits


@pytest.mark.parametrize("operator", ["add", "ablate"])
def test_a_gated_edit_writes_only_tokens_on_which_its_feature_fires(operator: str) -> None:
    model, ids, v, gate = tiny_model(), random_ids(3, 7), random_vector(), random_vector(5)
    edit = ActivationEdit((Edit(1, v, operator, 0.7, "onward", gate=gate, gate_bias=-0.2, gate_threshold=0.3),))
    plain = ActivationEdit((Edit(1, v, operator, 0.7, "onward"),))
    edit.calls.counting = True
    with layers.reading_outputs(model, [1]) as before:
        run(model, ids, [3, 4, 5])
    with plain.applied(model), layers.reading_outputs(model, [1]) as always:
        run(model, ids, [3, 4, 5])
    with edit.applied(model), layers.reading_outputs(model, [1]) as after:
        run(model, ids, [3, 4, 5])
    count = 0
    for row, prompt in enumerate((3, 4, 5)):
        for t in range(7):
            fires = (before[1][row, t] @ gate).item() - 0.2 > 0.3 and t >= prompt - 1
            count += fires
            expected = always[1][row, t] if fires else before[1][row, t]
            assert torch.equal(after[1][row, t], expected)
    assert 0 < count < 12, "the test needs tokens of both kinds"
    assert (edit.calls.steered, edit.calls.tokens) == (count, 5 + 4 + 3)
    assert edit.calls.share == pytest.approx(count / 12)


def test_the_share_of_the_last_prompt_token_counts_tokens_that_follow() -> None:
    model, edit = tiny_model(), ActivationEdit((Edit(0, random_vector()),))
    edit.calls.counting = True
    with edit.applied(model):
        run(model, random_ids(2, 6), [3, 3])
        with torch.no_grad(), forward_positions(torch.tensor([[6], [6]]), torch.tensor([3, 3])):
            model(input_ids=random_ids(2, 1))
    assert (edit.calls.steered, edit.calls.tokens) == (2, 10)


def test_a_gate_survives_the_folder_and_an_ungated_edit_keeps_its_older_fields(tmp_path: Path) -> None:
    gated = ActivationEdit((Edit(0, random_vector(), gate=random_vector(3), gate_threshold=0.5),))
    save(gated, tmp_path / "gated")
    loaded = load_intervention(tmp_path / "gated")
    assert loaded.id == gated.id and torch.equal(loaded.edits[0].gate, gated.edits[0].gate)
    plain = Edit(0, random_vector())
    assert not any(name.startswith("gate") for name in plain.fields())
    assert ActivationEdit((plain,)).id != gated.id


def test_a_gated_edit_is_no_steering_vector_and_a_gate_has_the_streams_width() -> None:
    with pytest.raises(ConfigError, match="gate"):
        ActivationEdit((Edit(0, random_vector(), gate=random_vector(3)),)).to_steering_vector()
    with pytest.raises(ConfigError, match="gate"):
        Edit(0, random_vector(), gate=torch.ones(3))
