"""Laws of bad input: each fault stops the run, names the setting, and leaves the model as it was."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from elicit.errors import ConfigError, LedgerError, MethodError
from elicit.ledger import Budget
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import parameters_hash
from elicit.training.checkpoints import complete, load_tensors
from elicit.training.rl import curves, guards, rewards, rollouts
from methods.rl_steering.method import RLSteering
from methods.rlvr.method import RLVR
from tests.policy.tiny import hook_count, random_vector
from tests.training.harness import fitted
from tests.training.latent import LatentTask
from tests.training.test_grpo import METHODS, SMALL, TASK, tiny_policy

VECTORS = METHODS["vectors"]


def refused(method: Any, tmp_path: Any, policy: Any = None, **others: Any) -> str:
    """The message of a fit that fails; the model must be as it was."""
    policy = policy or tiny_policy()
    before = parameters_hash(policy.checkpoint.model)
    with pytest.raises((MethodError, ConfigError, LedgerError)) as fault:
        fitted(method, policy, tmp_path, TASK, **others)
    model = policy.checkpoint.model
    assert parameters_hash(model) == before and hook_count(model) == 0 and "forward" not in model.__dict__
    return str(fault.value)


def constant(judge: Any, drawn: Any) -> list[float | None]:
    return [0.5] * len(drawn)


def broken(judge: Any, drawn: Any) -> list[float | None]:
    raise KeyError("gone")


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (broken, "rewards.mine raised KeyError"),
        (lambda judge, drawn: [1.0], "rewards.mine returned 1 values for 8 rollouts"),
        (lambda judge, drawn: [math.nan] * len(drawn), "rewards.mine returned nan"),
    ],
)
def test_a_broken_reward_is_named(reward: Any, message: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(rewards.REWARDS, "mine", reward)
    assert message in refused(replace(VECTORS, rewards={"mine": 1.0}), tmp_path)


def test_an_unknown_reward_names_the_near_one(tmp_path) -> None:
    assert "did you mean correct" in refused(replace(VECTORS, rewards={"corect": 1.0}), tmp_path)


def test_a_rubric_needs_a_validator(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(rewards.Judge, "right", lambda judge, rollout: True)
    assert "task toy has no trace validator" in refused(replace(VECTORS, rewards={"rubric": 1.0}), tmp_path)


def test_a_group_without_variance_never_learns_and_the_error_names_the_setting(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(rewards.REWARDS, "constant", constant)
    method = replace(VECTORS, rewards={"constant": 1.0}, steps=6, max_empty_steps=3)
    assert "raise samples" in refused(method, tmp_path)


def test_a_base_that_earns_the_whole_reward_stays_unchanged(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(rewards.REWARDS, "earned", lambda judge, drawn: [1.0] * len(drawn))
    method = replace(VECTORS, rewards={"earned": 0.5}, steps=6, max_empty_steps=3)
    done = fitted(method, tiny_policy(), tmp_path, TASK)
    assert "training ends at update 3, the base earns the whole reward (0.5)" in done.lines[-1]
    assert set(done.curve("vectors/relative_norm/0")) == {0.0}


def test_training_ends_early_if_every_group_agrees_at_a_higher_reward(tmp_path, monkeypatch) -> None:
    def solved(judge: Any, drawn: Any) -> list[float | None]:
        calls.append(1)
        return [1.0 if len(calls) > 1 else float(i % 4 == 0) for i in range(len(drawn))]

    calls: list[int] = []
    monkeypatch.setitem(rewards.REWARDS, "solved", solved)
    done = fitted(replace(VECTORS, rewards={"solved": 1.0}, steps=9, max_empty_steps=2), tiny_policy(), tmp_path, TASK)
    assert len(calls) == 3 and "training ends at update 3" in done.lines[-1]
    assert done.curve("rl/zero_variance") == [0.0, 1.0, 1.0]
    norms = done.curve("vectors/relative_norm/0")
    assert norms[0] > 0 and norms[1] == norms[2] == norms[0], "an empty update changes nothing"


def test_a_policy_that_earns_the_whole_reward_after_an_update_has_not_collapsed(tmp_path, monkeypatch) -> None:
    def dipped(judge: Any, drawn: Any) -> list[float | None]:
        calls.append(1)
        return [float(len(calls) != 2 or i % 4 > 0) for i in range(len(drawn))]

    calls: list[int] = []
    monkeypatch.setitem(rewards.REWARDS, "dipped", dipped)
    done = fitted(replace(VECTORS, rewards={"dipped": 1.0}, steps=9, max_empty_steps=2), tiny_policy(), tmp_path, TASK)
    assert "every group agrees at a mean reward of 1 (first update: 1)" in done.lines[-1]


def test_equal_rewards_leave_no_rounding_noise_to_train_on(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(rewards.REWARDS, "tenths", lambda judge, drawn: [0.1 if i < 4 else 0.7 for i in range(8)])
    done = fitted(replace(VECTORS, rewards={"tenths": 1.0}, max_empty_steps=9), tiny_policy(), tmp_path, TASK)
    assert done.curve("rl/grad_norm") == [0.0, 0.0] and done.curve("vectors/relative_norm/0") == [0.0, 0.0]


def test_a_collapse_is_an_error(tmp_path, monkeypatch) -> None:
    def fallen(judge: Any, drawn: Any) -> list[float | None]:
        calls.append(1)
        return [0.0 if len(calls) > 1 else float(i % 4 == 0) for i in range(len(drawn))]

    calls: list[int] = []
    monkeypatch.setitem(rewards.REWARDS, "fallen", fallen)
    method = replace(VECTORS, rewards={"fallen": 1.0}, steps=9, max_empty_steps=2)
    assert "collapsed; lower learning_rate" in refused(method, tmp_path)


def test_groups_and_micro_batches_must_divide_the_batch() -> None:
    with pytest.raises(ConfigError, match=r"micro_batch=5 does not divide the 8 rollouts.*use 4"):
        RLVR(**{**SMALL, "micro_batch": 5})
    with pytest.raises(ConfigError, match="samples=1: 2 or more"):
        RLVR(**{**SMALL, "samples": 1})
    with pytest.raises(ConfigError, match="train_items=1: at least prompts=2"):
        RLVR(**SMALL, train_items=1)


def test_more_prompts_than_items_are_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="the train split has 12 items; lower prompts"):
        fitted(replace(VECTORS, prompts=64, steps=1), tiny_policy(), tmp_path, LatentTask())


def test_a_gradient_that_is_not_finite_stops_and_keeps_the_last_good_parameters(tmp_path, monkeypatch) -> None:
    trained: list[dict[str, torch.Tensor]] = []
    check = guards.check_gradients

    def poisoned(named: dict[str, Any], save: Any, learning_rate: float, update: int) -> float:
        trained.append({name: parameter.detach().clone() for name, parameter in named.items()})
        if update == 2:
            named["layer.1"].grad.fill_(math.nan)
        return check(named, save, learning_rate, update)

    monkeypatch.setattr("elicit.training.rl.grpo.check_gradients", poisoned)
    message = refused(replace(VECTORS, steps=4), tmp_path)
    assert "update 2: the gradient of layer.1 is not finite" in message and "checkpoint-000001" in message
    good = {name: torch.full_like(tensor, 9.0) for name, tensor in trained[1].items()}
    load_tensors(complete(tmp_path)[-1], good)
    assert all(torch.equal(good[name], trained[1][name]) and bool(trained[1][name].any()) for name in good)


def test_an_engine_that_ignores_the_vectors_is_refused(tmp_path, monkeypatch) -> None:
    class Deaf(rollouts.LoopEngine):
        """Samples as if there were no vectors, like a loader that drops unknown biases."""

        def run(self, jobs: Any, rule: Any, stop: Any, trainer: Any) -> Any:
            with trainer.trainable.base():
                return super().run(jobs, rule, stop, trainer)

    monkeypatch.setattr("elicit.training.rl.fit.engine_of", lambda settings, policy, trainable: Deaf(policy))
    assert "log-probs are the same with and without the vectors" in refused(VECTORS, tmp_path)


def test_out_of_memory_names_the_knobs(tmp_path, monkeypatch) -> None:
    def full(trainer: Any, *arguments: Any, **others: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("elicit.training.rl.grpo.PolicyGradientTrainer._forward", full)
    assert "lower micro_batch (now 4), set gradient_checkpointing=true" in refused(METHODS["full"], tmp_path)


def test_an_absent_vllm_is_refused_with_the_remedy(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(rollouts, "find_spec", lambda name: None)
    assert "vLLM is not installed" in refused(replace(METHODS["full"], rollouts="vllm"), tmp_path)
    served = replace(VECTORS, rollouts="vllm", vllm_server="http://127.0.0.1:9")
    assert "TRL's server draws without vectors" in refused(served, tmp_path)


def test_an_unreachable_vllm_server_is_named(monkeypatch) -> None:
    monkeypatch.setattr(rollouts, "find_spec", lambda name: name)
    with pytest.raises(MethodError, match=r"vllm_server=http://127\.0\.0\.1:9: no answer"):
        rollouts.require_vllm("http://127.0.0.1:9", seconds=0.5)


def test_settings_under_which_hooks_do_not_know_positions_are_refused(tmp_path) -> None:
    assert "does not know its positions" in refused(replace(VECTORS, gradient_checkpointing=True), tmp_path)
    placed = replace(VECTORS, rollouts="generate", write="last_prompt")
    assert "gives hooks no positions" in refused(placed, tmp_path)
    steered = tiny_policy().with_intervention(ActivationEdit((Edit(0, random_vector()),)))
    assert "no positions" in refused(replace(METHODS["full"], rollouts="generate"), tmp_path, steered)


def test_layers_and_modules_that_do_not_exist_are_refused(tmp_path) -> None:
    assert "2 is none of 0 to 1" in refused(replace(VECTORS, layers=(2,)), tmp_path)
    absent = replace(METHODS["lora"], lora_targets=("q_prj",))
    assert "no linear layer 'q_prj'; did you mean" in refused(absent, tmp_path)
    with pytest.raises(ConfigError, match="did you mean onward"):
        RLSteering(write="onwards")


def test_a_spent_budget_ends_the_fit(tmp_path) -> None:
    assert "budget.rollouts=10 is spent" in refused(VECTORS, tmp_path, budget=Budget(rollouts=10))


def test_a_base_that_never_ends_is_trained_on_and_explained(tmp_path) -> None:
    policy = tiny_policy()
    policy.checkpoint.eos_ids = frozenset()
    done = fitted(replace(VECTORS, rewards={"random": 1.0}), policy, tmp_path, TASK)
    assert done.curve("rl/truncated") == [1.0, 1.0] and done.curve("rl/grad_norm")[0] > 0
    assert any("reached the limit of 10 tokens" in line and "no end token" in line for line in done.lines)


def test_k3_is_the_kl_divergence() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.2, 0.6]).double()
    exact = (p * (p / q).log()).sum().item()
    single = [curves.k3(ratio.numpy()[None]) for ratio in (q / p).log()]
    estimate = sum(share * value for share, value in zip(p.tolist(), single, strict=True))
    assert estimate == pytest.approx(exact)
