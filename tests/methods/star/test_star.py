"""STaR: what is kept, in the method and its controls, and whole rounds on the shipped organism."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from elicit.errors import ConfigError, MethodError
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.checkpoint import CheckpointConfig, load_checkpoint, parameters_hash
from elicit.policy.policy import Policy
from elicit.policy.weights import WeightEdit, joined
from elicit.sampling.own import Completion
from elicit.tasks.formal.task import FormalTask
from elicit.training.sft.sft import SftConfig
from methods.star.method import Star

TASK = FormalTask(n_train=30, n_dev=10, n_test=10, max_size=3, long_sizes=(4, 5))
SMALL = Star(rounds=1, items=8, samples=8, dev_items=4, sft=SftConfig(steps=2, batch=4, learning_rate=1e-3))


def context(folder: Path = Path("unused"), log: list | None = None) -> Context:
    return Context(np.random.default_rng(0), folder, lambda p, n: 0.5, ([] if log is None else log).append)


def completions(ledger: Ledger) -> list[Completion]:
    """Of each item: a valid trace, a lucky guess, a wrong answer twice, and one that did not end."""
    out = []
    for item in ledger.items("train", limit=6):
        full = ledger._known(item)
        wrong = f" The answer is {(int(full.gold) + 1) % 10}."
        for text in (TASK.gold_completion(full), f" The answer is {full.gold}.", wrong, wrong):
            out.append(Completion(item, (), (5, 6), text, True))
        out.append(Completion(item, (), (5, 6), TASK.gold_completion(full), False))
    return out


def kept_texts(keep: str, **more) -> tuple[list[Completion], list[Completion], Ledger]:
    ledger = Ledger(TASK, "test")
    drawn = completions(ledger)
    return replace(SMALL, keep=keep, **more).kept(drawn, ledger, context()), drawn, ledger


def test_right_and_finished_completions_are_kept_whatever_their_steps():
    kept, drawn, ledger = kept_texts("right")
    assert kept == [each for place, each in enumerate(drawn) if place % 5 in (0, 1)]
    assert ledger.data_class == "R" and ledger.spent.labels == 24


def test_the_rivals_divide_the_right_ones_by_their_steps():
    valid, drawn, _ = kept_texts("right_and_valid")
    wrong, _, ledger = kept_texts("right_with_wrong_steps")
    assert valid == drawn[0::5]
    assert [each.text for each in wrong] == [each.text for each in drawn[1::5]]
    assert ledger.spent.labels == 24 + 12


def test_the_placebo_keeps_as_many_of_each_item_whatever_they_say():
    kept, drawn, _ = kept_texts("at_random")
    right, _, _ = kept_texts("right")
    assert Counter(each.item.id for each in kept) == Counter(each.item.id for each in right)
    assert any("answer is" in each.text and each.text == drawn[2].text for each in kept) or kept != right
    assert {each.finished for each in kept} == {True}


def test_at_most_so_many_of_an_item_are_kept():
    kept, _, _ = kept_texts("right", most=1)
    assert set(Counter(each.item.id for each in kept).values()) == {1}


def test_controls_differ_in_what_they_keep_and_in_nothing_else():
    for control in (*SMALL.placebos().values(), *SMALL.rivals().values()):
        assert control.keep != SMALL.keep and replace(control, keep=SMALL.keep) == SMALL


def test_a_rival_by_steps_needs_a_validator_and_nonsense_is_refused():
    from tests.toy import ToyTask

    ledger = Ledger(ToyTask(), "test")
    (item,) = ledger.items("train", limit=1)
    gold = ToyTask().gold_completion(ledger._known(item))
    with pytest.raises(MethodError, match=r"no validator; use keep=right"):
        replace(SMALL, keep="right_and_valid").kept([Completion(item, (), (5,), gold, True)], ledger, context())
    with pytest.raises(ConfigError, match="rounds=0"):
        Star(rounds=0)


@pytest.fixture(scope="module")
def policy():
    return Policy(load_checkpoint(CheckpointConfig(path="organism", device="cpu", dtype="float32")))


@pytest.mark.parametrize("restart", [True, False])
def test_rounds_end_in_one_edit_and_leave_the_checkpoint_alone(policy, tmp_path, restart):
    before = parameters_hash(policy.checkpoint.model)
    log: list[dict] = []
    edit = replace(SMALL, rounds=2, restart=restart).fit(policy, Ledger(TASK, "test"), context(tmp_path, log))
    assert isinstance(edit, WeightEdit) and edit.differences
    assert parameters_hash(policy.checkpoint.model) == before
    assert [row["star/step"] for row in log if "star/dev" in row] == [1, 2]


def test_a_round_that_keeps_nothing_is_an_error_that_names_the_remedy(policy, tmp_path, monkeypatch):
    monkeypatch.setattr(Star, "kept", lambda self, drawn, ledger, context: [])
    with pytest.raises(MethodError, match="round 1 kept none of 64 completions"):
        SMALL.fit(policy, Ledger(TASK, "test"), context(tmp_path))


def test_two_edits_joined_are_the_one_after_the_other(policy):
    torch.manual_seed(0)
    name = "model.layers.0.mlp.up_proj.weight"
    weight = policy.checkpoint.model.get_parameter(name)
    first = WeightEdit({name: torch.randn_like(weight)})
    second = WeightEdit(pairs={name: (torch.randn(2, weight.shape[1]), torch.randn(weight.shape[0], 2))}, scale=0.5)
    with policy.with_intervention(first).with_intervention(second).applied():
        wanted = policy.checkpoint.model.get_parameter(name).clone()
    with policy.with_intervention(joined(policy.checkpoint.model, first, second)).applied():
        assert torch.allclose(policy.checkpoint.model.get_parameter(name), wanted, atol=1e-5)
