"""Laws of the guards and of the item order, without a trainer: each guard decides by what it is given."""

from __future__ import annotations

import math
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from elicit.errors import MethodError
from elicit.method import Context
from elicit.policy.decoding import Path as DecodedPath
from elicit.records import Item
from elicit.training.rl.fit import item_order
from elicit.training.rl.guards import check_gradients, check_hooks, check_signal
from elicit.training.rl.rollouts import Rollout
from elicit.training.rl.run import RolloutBatch, Run
from elicit.training.rl.settings import GRPOSettings

FLAT, MIXED = [[0.0, 0.0], [1.0, 1.0]], [[0.0, 1.0], [1.0, 1.0]]
ITEM = Item("i", "toy", "train", "1 + 2", None, "i")


def run_of(lines: list[str], **settings: Any) -> Run:
    """A run of which the guards read settings, name, limit, standing, end tokens and `say`."""
    context = Context(np.random.default_rng(0), Path(), lambda policy, limit: 0.0, say=lines.append)
    missing: Any = None
    chosen = GRPOSettings(max_empty_steps=2, **settings)
    ending: Any = SimpleNamespace(checkpoint=SimpleNamespace(eos_ids=frozenset({1})))
    return Run(chosen, missing, ending, missing, context, missing, {}, 0, 10, {}, "fit")


def batch_of(totals: list[list[float]], finish: str = "eos") -> RolloutBatch:
    table = np.array(totals)
    path = DecodedPath([1], [-0.5], [], [], [], finish, "text")
    rollouts = [Rollout(ITEM, j, j, (1,), path) for j in range(table.size)]
    return RolloutBatch(rollouts, {}, table, 0.0)


def parameter(*gradient: float) -> torch.Tensor:
    out = torch.zeros(len(gradient), requires_grad=True)
    out.grad = torch.tensor(gradient)
    return out


def test_the_gradient_norm_is_over_all_parameters_that_have_one() -> None:
    named = {"a": parameter(3.0), "b": parameter(0.0, 4.0), "c": torch.zeros(2, requires_grad=True)}
    assert check_gradients(named, lambda: pytest.fail("nothing to save"), 0.1, 1) == pytest.approx(5.0)
    assert check_gradients({"c": named["c"]}, lambda: pytest.fail("nothing to save"), 0.1, 1) == 0.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_is_saved_before_it_is_named(value: float) -> None:
    saved: list[int] = []

    def save() -> Path:
        saved.append(1)
        return Path("checkpoint-000006")

    with pytest.raises(MethodError, match=r"update 7: the gradient of b .* checkpoint-000006.*now 0\.1"):
        check_gradients({"a": parameter(1.0), "b": parameter(1.0, value)}, save, 0.1, 7)
    assert saved == [1]


def test_an_update_with_two_different_rewards_in_some_group_resets_the_count() -> None:
    run = run_of([])
    for update, (totals, empty) in enumerate([(MIXED, 0), (FLAT, 1), (MIXED, 0), (FLAT, 1)], 1):
        assert check_signal(run, batch_of(totals), update) is None
        assert run.standing.empty_in_a_row == empty
    assert run.standing.updates == 2 and run.standing.first_reward == 0.75


@pytest.mark.parametrize(
    ("history", "outcome"),
    [
        ([[[1.0, 1.0]]] * 2, "the base earns the whole reward"),
        ([[[0.0, 1.0]], *[[[1.0, 1.0]]] * 2], "every group agrees at a mean reward of 1"),
        ([[[0.0, 1.0]], *[[[0.0, 0.0]]] * 2], "collapsed; lower learning_rate"),
        ([FLAT] * 2, "raise samples"),
        ([[[math.nan, 0.5], [math.nan, math.nan]]] * 2, "raise samples"),
    ],
)
def test_too_many_empty_updates_end_as_solved_or_as_an_error(history: list, outcome: str) -> None:
    run = run_of([])
    *before, last = [batch_of(totals) for totals in history]
    assert [check_signal(run, batch, 1) for batch in before] == [None] * len(before)
    try:
        message = check_signal(run, last, 1)
    except MethodError as fault:
        message = str(fault)
    assert message is not None and outcome in message


@pytest.mark.parametrize(("finish", "warned"), [("length", 1), ("eos", 0)])
def test_rollouts_that_never_end_are_reported_once(finish: str, warned: int) -> None:
    lines: list[str] = []
    run = run_of(lines)
    for update in (1, 2):
        check_signal(run, batch_of(MIXED, finish), update)
    assert sum("reached the limit of 10 tokens" in line for line in lines) == warned
    assert not any("no end token" in line for line in lines)  # it has one


@pytest.mark.parametrize("deaf", [True, False])
def test_an_engine_is_deaf_if_it_draws_the_same_with_and_without_the_vectors(deaf: bool) -> None:
    class Vectors:
        on = True

        @contextmanager
        def sampling(self):
            yield

        @contextmanager
        def base(self):
            self.on = False
            yield
            self.on = True

    vectors: Any = Vectors()

    def logprobs() -> list[float]:
        return [-1.0, -2.0 if vectors.on and not deaf else -3.0]

    if not deaf:
        check_hooks(vectors, logprobs, 1)
        return
    with pytest.raises(MethodError, match="the same with and without the vectors"):
        check_hooks(vectors, logprobs, 1)


def test_every_update_has_different_items_and_every_epoch_each_item_at_most_once() -> None:
    items = [Item(f"{i}", "toy", "train", "q", None, f"{i}") for i in range(7)]
    order = [item.id for item in item_order(items, GRPOSettings(prompts=3, steps=5, samples=16), 0)]
    assert len(order) == 15
    assert all(len(set(order[start : start + 3])) == 3 for start in range(0, 15, 3))
    assert all(len(set(order[start : start + 6])) == 6 for start in (0, 6))
    assert order[:6] != order[6:12]
