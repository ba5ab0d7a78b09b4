"""Training on worked answers: which trace each kind shows, and that nothing of the base is left from scratch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from elicit.errors import ConfigError, MethodError
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.checkpoint import CheckpointConfig, load_checkpoint, parameters_hash
from elicit.policy.policy import Policy
from elicit.tasks.formal.task import FormalTask
from elicit.training.sft.sft import SftConfig
from elicit.training.sft.worked import KINDS, WorkedSft, random_weights, with_traces

TASK = FormalTask(n_train=20, n_dev=5, n_test=5, max_size=3, long_sizes=(4, 5))
ITEMS = TASK.items("train")
GOLDS = [TASK.gold_completion(item) for item in ITEMS]


def shown(kind: str) -> list[str]:
    return with_traces(GOLDS, kind, np.random.default_rng(0))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_states_the_right_answer_of_its_own_item(kind: str) -> None:
    assert all(TASK.grade(item, text, True).strict for item, text in zip(ITEMS, shown(kind), strict=True))


def test_traces_are_right_or_absent_or_of_another_item_or_empty_of_meaning() -> None:
    traces = {kind: [text.partition("So the answer")[0].strip() for text in shown(kind)] for kind in KINDS}
    assert shown("right") == GOLDS and set(traces["none"]) == {""}
    assert sorted(traces["swapped"]) == sorted(traces["right"])
    assert all(a != b for a, b in zip(traces["swapped"], traces["right"], strict=True))
    assert all(set(text.split()) == {"..."} for text in traces["filler"])
    assert sorted(len(text.split()) for text in traces["filler"]) == sorted(
        len(text.split()) for text in traces["right"]
    )


def test_gold_without_a_trace_and_an_unknown_kind_are_refused() -> None:
    with pytest.raises(MethodError, match="has no trace before"):
        with_traces([" So the answer is 7."], "right", np.random.default_rng(0))
    with pytest.raises(ConfigError, match="traces='wrong'"):
        WorkedSft(traces="wrong")  # type: ignore[arg-type]


def test_from_scratch_nothing_of_the_base_is_left_and_the_base_is_not_changed(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(CheckpointConfig("organism"))
    policy, before = Policy(checkpoint, prompt=TASK.prompts["bare"]), parameters_hash(checkpoint.model)
    fresh, again, other = (random_weights(policy, seed) for seed in (1, 1, 2))
    assert fresh.id == again.id != other.id
    method = WorkedSft(items=8, sft=SftConfig(steps=1, batch=2, learning_rate=1e-12))
    ledger = Ledger(TASK, "test")
    edit = method.fit(policy, ledger, Context(np.random.default_rng(0), tmp_path, lambda p, n: 0.5, lambda row: None))
    assert parameters_hash(checkpoint.model) == before and ledger.data_class == "T"
    base = {name: parameter.detach().clone() for name, parameter in checkpoint.model.named_parameters()}
    with edit.applied(checkpoint.model):
        for name, parameter in checkpoint.model.named_parameters():
            if parameter.ndim > 1:  # norms are ones in a fresh model
                a, b = parameter.detach().float().ravel(), base[name].float().ravel()
                assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 0.3, name
