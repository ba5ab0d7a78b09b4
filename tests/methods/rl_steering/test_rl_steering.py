"""Laws of RL steering on a model whose skill is known, and of its controls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from elicit.policy.activations import ActivationEdit
from elicit.training.rl.vectors import residual_rms
from methods.rl_steering.controls import changed
from methods.rl_steering.method import RLSteering
from tests.training.harness import Fitted, accuracy, fitted
from tests.training.latent import LatentTask, latent_policy

TASK = LatentTask()
SMALL = RLSteering(
    steps=12, prompts=16, samples=16, micro_batch=128, learning_rate=0.05, write="last_prompt", dev_every=0, kl_every=0
)


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory) -> Fitted:
    return fitted(SMALL, latent_policy(), tmp_path_factory.mktemp("rl_steering"))


def test_vectors_unlock_the_latent_skill(unlocked: Fitted) -> None:
    assert accuracy(latent_policy().with_intervention(unlocked.edit), TASK) > 0.45


def test_random_directions_of_the_same_norms_do_not(unlocked: Fitted) -> None:
    scores = []
    for seed in range(4):
        edit = changed(unlocked.edit, "random_directions", np.random.default_rng(seed))
        scores.append(accuracy(latent_policy().with_intervention(edit), TASK))
    assert np.mean(scores) < 0.3


def test_a_random_reward_unlocks_nothing(tmp_path) -> None:
    done = fitted(SMALL.placebos()["random_reward"], latent_policy(), tmp_path)
    assert accuracy(latent_policy().with_intervention(done.edit), TASK, n=8) < 0.3
    assert done.ledger.spent.labels == 0


def test_controls_keep_layers_writes_and_norms(unlocked: Fitted) -> None:
    for after in ("sign_flipped", "random_directions"):
        edit = changed(unlocked.edit, after, np.random.default_rng(0))
        for old, new in zip(unlocked.edit.edits, edit.edits, strict=True):
            assert (old.layer, old.write) == (new.layer, new.write)
            torch.testing.assert_close(old.vector.norm(), new.vector.norm())
            cosine = torch.nn.functional.cosine_similarity(old.vector, new.vector, dim=0).item()
            assert cosine == pytest.approx(-1, abs=1e-5) if after == "sign_flipped" else abs(cosine) < 0.5


def test_the_learning_rate_is_in_units_of_the_residual_rms(tmp_path) -> None:
    from dataclasses import replace

    done = fitted(replace(SMALL, steps=1, learning_rate=0.03), latent_policy(), tmp_path)
    policy = latent_policy()
    prompts = [policy.prompt_ids(item.question) for item in TASK.items("train")][: SMALL.rms_prompts]
    for layer, rms in enumerate(residual_rms(policy, prompts, range(4))):
        assert done.curve(f"vectors/relative_norm/{layer}")[0] == pytest.approx(0.03, rel=0.05)
        assert done.edit.edits[layer].vector.norm().item() / 64**0.5 == pytest.approx(0.03 * rms, rel=0.3)


def test_the_residual_rms_is_that_of_the_block_outputs() -> None:
    policy = latent_policy()
    prompts = [(6, 7, 2), (9, 9, 2)]
    with torch.no_grad():
        states = policy.checkpoint.model.model(torch.tensor(prompts), output_hidden_states=True).hidden_states
    found = residual_rms(policy, prompts, [0, 2])
    assert found == pytest.approx([states[k + 1][:, 1:].square().mean().sqrt().item() for k in (0, 2)], rel=1e-5)


def test_the_result_is_a_steering_vector(unlocked: Fitted) -> None:
    pytest.importorskip("steering_vectors")
    vector = unlocked.edit.to_steering_vector()
    again = ActivationEdit.from_steering_vector(vector, write="last_prompt")
    assert all(torch.equal(a.vector, b.vector) for a, b in zip(unlocked.edit.edits, again.edits, strict=True))
    assert sorted(vector.layer_activations) == [0, 1, 2, 3]


def test_the_last_layer_rival_has_one_vector_at_the_last_prompt_token(tmp_path) -> None:
    from dataclasses import replace

    rival = SMALL.rivals()["last_layer"]
    edits = fitted(replace(rival, steps=1), latent_policy(), tmp_path).edit.edits
    assert [(edit.layer, edit.write) for edit in edits] == [(3, "last_prompt")]
