"""Laws of RLVR on one item: which item is chosen, what its placebo shares with it, and that copies are other draws."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elicit.errors import ConfigError, MethodError
from elicit.files import seed_of
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.decoding import PathJob
from elicit.sampling.own import Completion
from elicit.training.rl.rollouts import LoopEngine
from methods.rlvr import one_item
from methods.rlvr.method import RLVR
from methods.rlvr.one_item import OneItem
from tests.training.harness import Fitted, fitted
from tests.training.latent import LatentTask, latent_policy, right_share

TASK = LatentTask()
SMALL = OneItem(
    steps=8, prompts=24, samples=8, micro_batch=96, learning_rate=1e-3, gradient_checkpointing=False, dev_every=0,
    kl_every=4, kl_rows=32, candidates=6, choice_samples=16,
)  # fmt: skip
SHARES = [0, 16, 2, 9, 7, 15]
"""right rollouts of 16, candidate by candidate: the variance 7/16 * 9/16 of two of them is the largest"""


def choice(
    method: OneItem, monkeypatch: pytest.MonkeyPatch, shares: Sequence[int], seed: int = 0
) -> tuple[str, Ledger]:
    """The question that is chosen if the base is right in `shares` rollouts of each candidate, and the account."""

    def drawn(policy: Any, ledger: Any, items: Any, samples: int, draw: int, name: str) -> list[Completion]:
        ledger.rollouts(len(items) * samples, len(items) * samples)
        return [
            Completion(item, (), (5,), TASK.gold_completion(ledger._known(item)) if j < right else "guess", True)
            for item, right in zip(items, shares, strict=True)
            for j in range(samples)
        ]

    monkeypatch.setattr(one_item, "own_completions", drawn)
    ledger = Ledger(TASK, "test")
    context = Context(np.random.default_rng(seed), Path("unused"), lambda p, n: 0.5)
    return method.chosen(latent_policy(), ledger, context).question, ledger


def test_the_item_of_largest_reward_variance_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    items = Ledger(TASK, "test").items("train", limit=6)
    spread = [sum((1 - s / 16) ** 2 for _ in range(s)) + sum((s / 16) ** 2 for _ in range(16 - s)) for s in SHARES]
    best = [item.question for item, value in zip(items, spread, strict=True) if value == max(spread)]
    chosen, ledger = choice(SMALL, monkeypatch, SHARES)
    assert chosen == best[0] and len(best) == 2
    assert (ledger.data_class, ledger.spent.labels, ledger.spent.rollouts) == ("R", 96, 96)


def test_the_placebo_s_item_does_not_depend_on_the_grades_and_costs_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    placebo: Any = SMALL.placebos()["random_item"]
    chosen = [choice(placebo, monkeypatch, shares, seed=4) for shares in (SHARES, SHARES[::-1], [0] * 6)]
    assert len({question for question, _ in chosen}) == 1
    assert len({choice(placebo, monkeypatch, SHARES, seed)[0] for seed in range(20)}) > 3
    assert {(ledger.spent.labels, ledger.spent.rollouts) for _, ledger in chosen} == {(96, 96)}


def test_without_any_variance_there_is_nothing_to_train_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MethodError, match="none of 6 candidates"):
        choice(SMALL, monkeypatch, [0, 16, 0, 16, 0, 0])


def test_controls_differ_from_the_method_in_the_choice_or_in_the_reward_alone() -> None:
    assert list(SMALL.placebos()) == ["random_item", "random_reward"]
    for name, control in {**SMALL.placebos(), **SMALL.rivals()}.items():
        assert replace(control, rewards=SMALL.rewards, choose="variance") == SMALL and control != SMALL, name
    with pytest.raises(ConfigError, match="it trains on one item"):
        replace(SMALL, train_items=30)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[list[PathJob]]:
    """The jobs of every call of the engine: one list per update, and those of other readings."""
    calls: list[list[PathJob]] = []
    run = LoopEngine.run

    def recorded(self: Any, jobs: Sequence[PathJob], *more: Any) -> Any:
        calls.append(list(jobs))
        return run(self, jobs, *more)

    monkeypatch.setattr(LoopEngine, "run", recorded)
    return calls


def test_copies_of_the_item_are_other_draws_of_the_same_prompt(drawn: list[list[PathJob]], tmp_path: Path) -> None:
    fitted(replace(SMALL, steps=2), latent_policy(), tmp_path)
    updates = [jobs for jobs in drawn if len(jobs) == 24 * 8]
    assert len(updates) == 2
    for jobs in updates:
        assert len({job.prompt_ids for job in jobs}) == 1 and len({job.seed for job in jobs}) == len(jobs)
    assert not {job.seed for job in updates[0]} & {job.seed for job in updates[1]}


def test_rollouts_of_distinct_items_keep_their_seeds(drawn: list[list[PathJob]], tmp_path: Path) -> None:
    plain = RLVR(steps=1, prompts=12, samples=4, micro_batch=48, gradient_checkpointing=False, dev_every=0, kl_every=0)
    fitted(plain, latent_policy(), tmp_path)
    seed = int(np.random.default_rng(0).integers(2**31))
    of_prompt = defaultdict(list)
    for job in drawn[0]:
        of_prompt[job.prompt_ids].append(job.seed)
    ids = {latent_policy().prompt_ids(item.question): item.id for item in TASK.items("train")}
    assert {p: seeds for p, seeds in of_prompt.items()} == {
        p: [seed_of("rollout", seed, 0, ids[p], j) for j in range(4)] for p in of_prompt
    }
    assert len(of_prompt) == 12


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return fitted(SMALL, latent_policy(), tmp_path_factory.mktemp("one"))


def test_one_item_unlocks_a_skill_that_all_questions_share(unlocked: Fitted) -> None:
    policy = latent_policy()
    assert right_share(policy.with_intervention(unlocked.edit), "test") > 2 * right_share(policy, "test")


def test_the_account_is_that_of_the_choice_and_of_the_copies(unlocked: Fitted) -> None:
    spent = unlocked.ledger.spent
    assert spent.labels == spent.rollouts == 6 * 16 + 8 * 24 * 8
    assert unlocked.ledger.data_class == "R"
    assert unlocked.rows[0]["rlvr_one_item/variance"] > 0
