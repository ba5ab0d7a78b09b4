"""Laws of what a strategy sees of a task: no gold, but for a verifier's verdicts where it says that it needs them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from elicit.errors import LedgerError
from elicit.ledger import Ledger
from elicit.policy.checkpoint import wrap
from elicit.policy.decoding import REGIMES, Loop, Outcome, PathJob, PickRule, Request, StrategyBase
from elicit.policy.policy import Policy
from elicit.sampling.sample import sample
from elicit.tasks.formal.family import OPENERS
from elicit.tasks.formal.task import FormalTask
from elicit.tasks.view import GoldVerifier, Judged, view_of
from tests.sampling.models import tiny_model, tokenizer
from tests.toy import ToyTask

TASK = ToyTask()
ITEMS = TASK.items("test", limit=3)


@dataclass(frozen=True)
class Snooper(StrategyBase):
    """Asks its task for what it should not."""

    wanted: str = "items"

    def run(self, loop: Loop, requests: Sequence[Request], task: Any) -> list[Outcome]:
        found = getattr(task, self.wanted)
        assert self.wanted == "verdict"
        right = found(requests[0].item, " The answer is 1.", True)
        assert isinstance(right, Judged)
        jobs = [PathJob(request.prompt_ids, request.seed) for request in requests]
        return [Outcome(path) for path in loop.run(jobs, PickRule(), task.stop)]


@dataclass(frozen=True)
class Declared(Snooper):
    needs_verifier: ClassVar[bool] = True


def sampled(strategy: StrategyBase, items: Any = ITEMS, task: Any = TASK) -> Any:
    policy = Policy(wrap(tiny_model(), tokenizer())).with_intervention(strategy)
    return sample(policy, items, [0], REGIMES["support"], task)


@pytest.mark.parametrize("wanted", ["items", "grade", "validate", "gold_completion", "verdict"])
def test_a_strategy_that_declares_nothing_cannot_reach_gold(wanted: str) -> None:
    with pytest.raises(LedgerError, match=f"'{wanted}'.*needs_verifier"):
        sampled(Snooper(wanted))


@pytest.mark.parametrize("wanted", ["items", "grade"])
def test_a_strategy_with_a_verifier_gets_verdicts_and_nothing_else(wanted: str) -> None:
    task = FormalTask(family="chain", n_test=3)
    items = task.items("test")
    assert len(sampled(Declared("verdict"), items, task)) == len(items)
    with pytest.raises(LedgerError):
        sampled(Declared(wanted), items, task)


def test_inside_a_fit_no_verifier_is_there() -> None:
    ledger = Ledger(TASK, "m")
    closed = ledger.items("train", limit=2)
    with pytest.raises(LedgerError, match="inside a fit"):
        sampled(Declared("verdict"), closed, ledger.task_view)
    with pytest.raises(LedgerError, match="inside a fit"):
        sampled(Declared("verdict"), closed, TASK)


def test_the_view_reads_answers_and_limits_tokens_as_the_task_does() -> None:
    view = view_of(TASK, 5)
    assert view.stop == replace(TASK.stop, max_new_tokens=5) == view_of(view).stop
    assert view_of(TASK).stop == TASK.stop
    assert view.extract(" The answer is 3.", True) == TASK.extract(" The answer is 3.", True)
    assert view.answer_class("03") == "3" and view.name == "toy" and view.prompts is TASK.prompts


def test_the_verdict_is_the_strict_grade_with_the_first_violation_and_each_call_is_counted() -> None:
    task = FormalTask(family="chain", n_test=6)
    items = task.items("test")
    verifier = GoldVerifier(task)
    verifier.admit(items)
    view = view_of(task, verifier=verifier)
    for item in items:
        right, wrong = task.gold_completion(item), task.corrupted_completion(item)
        assert view.verdict(item.id, right, True) == Judged(True)
        assert not view.verdict(item.id, right, False).right, "a truncated answer is wrong"
        assert view.verdict(item.id, wrong, True) == Judged(False, task.validate(item, wrong).message)
        assert view.verdict(item.id, f" {OPENERS[0]}", True).finding
    assert verifier.calls == 4 * len(items)


def test_without_a_validator_a_verdict_says_right_or_wrong_only() -> None:
    with closing(GoldVerifier(TASK)) as verifier:
        verifier.admit(ITEMS)
        view = view_of(TASK, verifier=verifier)
        assert view.verdict(ITEMS[0].id, TASK.corrupted_completion(ITEMS[0]), True) == Judged(False, "")
        assert view.verdict(ITEMS[0].id, TASK.gold_completion(ITEMS[0]), True) == Judged(True, "")
