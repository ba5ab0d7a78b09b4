"""Laws of RLVR on a model whose skill is known: it is unlocked, by nothing but its reward, and only where it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from elicit.policy.checkpoint import parameters_hash
from methods.rlvr.method import RLVR
from tests.training.harness import Fitted, accuracy, fitted
from tests.training.latent import LatentTask, latent_policy

TASK = LatentTask()
SMALL = RLVR(
    steps=16, prompts=16, samples=16, micro_batch=128, learning_rate=1e-3, gradient_checkpointing=False, dev_every=0,
    kl_every=4, kl_rows=32,
)  # fmt: skip


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory) -> Fitted:
    return fitted(SMALL, latent_policy(), tmp_path_factory.mktemp("rlvr"))


def test_rlvr_unlocks_the_latent_skill(unlocked: Fitted) -> None:
    policy = latent_policy()
    assert accuracy(policy, TASK) < 0.2
    assert accuracy(policy.with_intervention(unlocked.edit), TASK) > 0.75
    assert unlocked.curve("rl/reward")[-1] > 0.5 and unlocked.curve("rl/kl_base")[-1] > 0.05


def test_pairs_unlock_it_too(tmp_path) -> None:
    method = replace(SMALL, parameters="lora", lora_rank=8, lora_alpha=16.0, learning_rate=3e-3)
    edit = fitted(method, latent_policy(), tmp_path).edit
    assert accuracy(latent_policy().with_intervention(edit), TASK) > 0.4


def test_a_random_reward_unlocks_nothing(tmp_path) -> None:
    done = fitted(SMALL.placebos()["random_reward"], latent_policy(), tmp_path)
    assert accuracy(latent_policy().with_intervention(done.edit), TASK, n=8) < 0.25
    assert done.ledger.spent.labels == 0 and done.ledger.data_class == "V"


def test_a_model_without_the_skill_gains_nothing(tmp_path) -> None:
    policy = latent_policy(skilled=False)
    edit = fitted(SMALL, policy, tmp_path).edit
    assert accuracy(policy.with_intervention(edit), TASK, n=8) < 0.25


def test_the_account_is_one_bit_a_rollout(unlocked: Fitted) -> None:
    ledger = unlocked.ledger
    assert ledger.spent.labels == ledger.spent.rollouts == 16 * 16 * 16
    assert ledger.data_class == "R" and not {item.id for item in TASK.items("test")} & set(ledger.used)


def test_what_is_exported_is_what_was_trained(unlocked: Fitted, tmp_path) -> None:
    from transformers import AutoModelForCausalLM

    checkpoint = latent_policy().checkpoint
    unlocked.edit.save_merged(checkpoint.model, checkpoint.tokenizer, tmp_path)
    with unlocked.edit.applied(checkpoint.model):
        trained = parameters_hash(checkpoint.model)
    assert parameters_hash(AutoModelForCausalLM.from_pretrained(tmp_path)) == trained


def test_rivals_and_placebos_differ_from_the_method_in_the_reward_alone() -> None:
    for name, control in {**SMALL.placebos(), **SMALL.rivals()}.items():
        assert replace(control, rewards=SMALL.rewards) == SMALL and control != SMALL, name
