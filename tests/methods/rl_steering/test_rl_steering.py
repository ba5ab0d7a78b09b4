"""Laws of RL steering on a model whose skill is known, and of its controls.

The model is exact by construction and probabilities are computed, not sampled. Only the rollouts are drawn, and another
machine changes a draw in a million; with other draws altogether (seeds 0 to 9) the skilled model ends above .9, so the
limits below hold on every machine. What needs no training uses vectors that are set by hand.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from elicit.policy.activations import ActivationEdit, Edit
from elicit.training.rl.vectors import residual_rms
from methods.rl_steering.controls import changed
from methods.rl_steering.method import RLSteering
from tests.policy.tiny import random_vector
from tests.toy import ToyTask
from tests.training.harness import fitted
from tests.training.latent import LAYERS, WIDTH, latent_policy, right_share, switch
from tests.training.test_grpo import tiny_policy

SMALL = RLSteering(
    steps=6, prompts=12, samples=16, micro_batch=96, learning_rate=0.05, write="last_prompt", dev_every=0, kl_every=0
)


def edit_of(*vectors: torch.Tensor) -> ActivationEdit:
    """One vector per layer at the last prompt token."""
    return ActivationEdit(tuple(Edit(layer, vector, write="last_prompt") for layer, vector in enumerate(vectors)))


MADE = edit_of(*(random_vector(layer, WIDTH) for layer in range(LAYERS)))


@pytest.mark.parametrize("skilled", [True, False])
def test_vectors_unlock_the_skill_on_questions_that_they_never_saw_if_there_is_one(skilled: bool, tmp_path) -> None:
    policy = latent_policy(skilled)
    done = fitted(SMALL, policy, tmp_path)
    share = right_share(policy.with_intervention(done.edit), "test")
    assert share > 0.5 if skilled else share < right_share(latent_policy(), "test")
    assert done.ledger.spent.labels == done.ledger.spent.rollouts == 6 * 12 * 16


def test_random_directions_of_the_same_norms_do_not() -> None:
    """The direction that unlocks is known, so no training is needed: a quarter of a unit, in all layers together."""
    policy, edit = latent_policy(), edit_of(*[switch() / (4 * LAYERS)] * LAYERS)
    assert right_share(policy.with_intervention(edit), "test") > 0.9
    for seed in range(4):
        random = changed(edit, "random_directions", np.random.default_rng(seed))
        assert right_share(policy.with_intervention(random), "test") < 0.5


def test_controls_keep_layers_writes_and_norms() -> None:
    for after in ("sign_flipped", "random_directions"):
        edit = changed(MADE, after, np.random.default_rng(0))
        for old, new in zip(MADE.edits, edit.edits, strict=True):
            assert (old.layer, old.write) == (new.layer, new.write)
            torch.testing.assert_close(old.vector.norm(), new.vector.norm())
            cosine = torch.nn.functional.cosine_similarity(old.vector, new.vector, dim=0).item()
            assert cosine == pytest.approx(-1, abs=1e-5) if after == "sign_flipped" else abs(cosine) < 0.5


def test_the_learning_rate_is_in_units_of_the_residual_rms(tmp_path) -> None:
    """Adam's first step is the learning rate in every coordinate, whatever the gradient's size."""
    policy, task = tiny_policy(), ToyTask()
    method = replace(SMALL, steps=1, prompts=2, samples=4, micro_batch=8, learning_rate=0.03, rewards={"random": 1.0},
                     max_new_tokens=8)  # fmt: skip
    done = fitted(method, policy, tmp_path, task)
    prompts = [policy.prompt_ids(item.question) for item in task.items("train", limit=method.prompts)]
    for layer, rms in enumerate(residual_rms(policy, prompts, range(2))):
        assert done.curve(f"vectors/relative_norm/{layer}")[0] == pytest.approx(0.03, rel=0.05)
        assert done.edit.edits[layer].vector.norm().item() / 16**0.5 == pytest.approx(0.03 * rms, rel=0.05)


def test_the_residual_rms_is_that_of_the_block_outputs() -> None:
    policy = tiny_policy()
    prompts = [(6, 7, 2), (9, 9, 2)]
    with torch.no_grad():
        states = policy.checkpoint.model.model(torch.tensor(prompts), output_hidden_states=True).hidden_states
    expected = states[1][:, 1:].square().mean().sqrt().item()
    assert residual_rms(policy, prompts, [0]) == pytest.approx([expected], rel=1e-5)


def test_the_result_is_a_steering_vector() -> None:
    pytest.importorskip("steering_vectors")
    vector = MADE.to_steering_vector()
    again = ActivationEdit.from_steering_vector(vector, write="last_prompt")
    assert all(torch.equal(a.vector, b.vector) for a, b in zip(MADE.edits, again.edits, strict=True))
    assert sorted(vector.layer_activations) == [0, 1, 2, 3]


def test_the_last_layer_rival_has_one_vector_at_the_last_prompt_token(tmp_path) -> None:
    rival = SMALL.rivals()["last_layer"]
    edits = fitted(replace(rival, steps=1), latent_policy(), tmp_path).edit.edits
    assert [(edit.layer, edit.write) for edit in edits] == [(3, "last_prompt")]
