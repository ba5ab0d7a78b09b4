"""Laws of RLVR on a model whose skill is known: it is unlocked, by nothing but its reward, and only if it is there.

The model is exact by construction and probabilities are computed, not sampled. Only the rollouts are drawn, and another
machine changes a draw in a million; with other draws altogether (seeds 0 to 9) the skilled model ends above .9 and its
twin below .06, so the limits below hold on every machine.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from elicit.errors import MethodError
from elicit.policy.checkpoint import parameters_hash
from elicit.tasks.grading.grader import Grader
from methods.rlvr.method import RLVR
from tests.training.harness import Fitted, fitted
from tests.training.latent import LatentTask, latent_policy, right_share

TASK = LatentTask()
SMALL = RLVR(
    steps=8, prompts=12, samples=16, micro_batch=96, learning_rate=1e-3, gradient_checkpointing=False, dev_every=0,
    kl_every=4, kl_rows=32,
)  # fmt: skip


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory) -> Fitted:
    return fitted(SMALL, latent_policy(), tmp_path_factory.mktemp("rlvr"))


def test_rlvr_unlocks_the_latent_skill_on_questions_that_it_never_saw(unlocked: Fitted) -> None:
    policy = latent_policy()
    assert right_share(policy, "test") == pytest.approx(0.1 + 0.9 / 19, abs=1e-3)
    assert right_share(policy.with_intervention(unlocked.edit), "test") > 0.5
    assert unlocked.curve("rl/reward")[-1] > unlocked.curve("rl/reward")[0] and unlocked.curve("rl/kl_base")[-1] > 0.05


def test_pairs_unlock_it_too(tmp_path) -> None:
    method = replace(SMALL, parameters="lora", lora_rank=8, lora_alpha=16.0, learning_rate=3e-3)
    edit = fitted(method, latent_policy(), tmp_path).edit
    assert right_share(latent_policy().with_intervention(edit), "test") > 0.5


def test_a_random_reward_never_looks_at_an_answer(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it can't pay for the skill. Where it drifts to is chance, and no limit on that would hold on every machine."""

    def refuse(*arguments: Any) -> None:
        raise AssertionError("an answer was graded")

    monkeypatch.setattr(Grader, "judge", refuse)
    placebo: Any = SMALL.placebos()["random_reward"]
    done = fitted(replace(placebo, steps=2), latent_policy(), tmp_path / "placebo")
    assert done.ledger.spent.labels == 0 and done.ledger.data_class == "V"
    with pytest.raises(MethodError, match="an answer was graded"):
        fitted(replace(SMALL, steps=2), latent_policy(), tmp_path / "method")


def test_a_model_without_the_skill_gains_nothing_on_questions_that_it_never_saw(tmp_path) -> None:
    policy = latent_policy(skilled=False)
    edit = fitted(SMALL, policy, tmp_path).edit
    assert right_share(policy.with_intervention(edit), "test") < right_share(latent_policy(), "test")


def test_the_account_is_one_label_per_rollout(unlocked: Fitted) -> None:
    ledger = unlocked.ledger
    assert ledger.spent.labels == ledger.spent.rollouts == 8 * 12 * 16
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
