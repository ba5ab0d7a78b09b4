"""RL with rollouts by vLLM in the same process, on the fake engine, which has a model of its own.

What is trained has to reach that model before each batch: then the rollouts and the fit are those of the step loop.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from elicit.errors import ConfigError, MethodError
from elicit.policy.policy import Policy
from elicit.sampling.engine import EngineConfig
from elicit.sampling.vllm.engine import VllmEngine
from elicit.training.rl import rollouts
from elicit.training.rl.colocated import ColocatedEngine
from methods.rl_steering.method import RLSteering
from methods.rlvr.method import RLVR
from tests.training.harness import Fitted, fitted
from tests.training.test_grpo import SMALL, TASK, tiny_policy
from tests.vllm.fake import FakeClient

METHODS: dict[str, Any] = {
    "full": RLVR(parameters="full", learning_rate=0.05, **SMALL),
    "lora": RLVR(parameters="lora", learning_rate=0.05, **SMALL),
    "vectors": RLSteering(learning_rate=0.05, write="completion", **SMALL),
}


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> Policy:
    """A tiny policy whose engine is vLLM with the fake client."""
    monkeypatch.setattr(rollouts, "find_spec", lambda name: name)
    made = tiny_policy()
    made.checkpoint.source = "somewhere"
    engine = VllmEngine(made.checkpoint, EngineConfig("vllm"))
    engine.client = FakeClient(copy.deepcopy(made.checkpoint.model), capacity=8)  # type: ignore[misc, assignment]
    made.checkpoint.engine = engine
    return made


def fake_of(policy: Policy) -> FakeClient:
    return policy.checkpoint.engine.client  # type: ignore[union-attr, return-value]


def by_loop(method: Any, folder: Path) -> Fitted:
    return fitted(method, tiny_policy(), folder, TASK)


@pytest.mark.parametrize("name", list(METHODS))
def test_the_engine_draws_with_what_was_learned(name: str, policy: Policy, tmp_path: Path) -> None:
    ours = by_loop(METHODS[name], tmp_path / "loop")
    theirs = fitted(replace(METHODS[name], rollouts="vllm"), policy, tmp_path / "vllm", TASK)
    assert ours.ledger.spent.tokens == theirs.ledger.spent.tokens
    assert ours.curve("rl/entropy") == pytest.approx(theirs.curve("rl/entropy"), rel=1e-4)
    assert max(theirs.curve("rl/kl_sampler")) < 1e-6
    one, other = ours.edit.tensors(), theirs.edit.tensors()
    assert set(one) == set(other)
    apart = sum((one[key] - other[key]).square().sum().item() for key in one) ** 0.5
    assert apart < 1e-2 * sum(tensor.square().sum().item() for tensor in one.values()) ** 0.5
    # afterwards vLLM has the checkpoint's parameters again
    model, fake = policy.checkpoint.model, fake_of(policy)
    assert all(torch.equal(value, fake.model.get_parameter(key)) for key, value in model.named_parameters())
    assert fake.pushes == (0 if name == "vectors" else SMALL["steps"] + 1)


def test_weights_that_do_not_reach_the_engine_stop_the_fit(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ColocatedEngine, "_push", lambda self: None)
    with pytest.raises(MethodError, match="update 2: rollouts come from another distribution"):
        fitted(replace(METHODS["full"], rollouts="vllm"), policy, tmp_path, TASK)


def test_vectors_that_do_not_reach_the_engine_stop_the_fit(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def nothing(self: Any, edits: Any) -> Any:
        yield

    monkeypatch.setattr(FakeClient, "editing", nothing)
    with pytest.raises(MethodError, match="the same with and without the vectors"):
        fitted(replace(METHODS["vectors"], rollouts="vllm"), policy, tmp_path, TASK)


def test_dev_scores_of_a_fit_are_of_the_trained_model_whatever_engine_the_checkpoint_has(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another engine has the untrained parameters: drawing from it would score the base."""

    def drawing(self: Any, *arguments: Any) -> Any:
        raise AssertionError("the engine draws the untrained model")

    monkeypatch.setattr(VllmEngine, "drawing", drawing)
    out = fitted(replace(METHODS["full"], dev_every=1, dev_items=2), policy, tmp_path, TASK)
    assert len(out.curve("rl/dev")) == SMALL["steps"] + 1
    assert isinstance(policy.checkpoint.engine, VllmEngine)


def test_vectors_without_hooks_are_refused(policy: Policy, tmp_path: Path) -> None:
    policy.checkpoint.engine.config = EngineConfig("vllm", eager=False)  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match=r"engine\.eager=true"):
        fitted(replace(METHODS["vectors"], rollouts="vllm"), policy, tmp_path, TASK)
