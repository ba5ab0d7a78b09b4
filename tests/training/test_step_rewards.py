"""Rewards for written steps and the proper score: by hand, and against an independent restatement."""

from __future__ import annotations

import numpy as np
import pytest

from elicit.ledger import Ledger
from elicit.policy.decoding import Path
from elicit.tasks.formal.task import FormalTask
from elicit.training.rl.rewards import REWARDS, Judge
from elicit.training.rl.rollouts import Rollout

TASK = FormalTask(n_train=6, n_dev=5, n_test=5)


def rollouts(ledger: Ledger, answers: list[list[int | None]]) -> list[Rollout]:
    """Per item, traces of as many steps as their position, with the answers gold + offset; None: no answer."""
    out = []
    for item, offsets in zip(ledger.items("train", limit=len(answers)), answers, strict=True):
        gold = int(ledger._known(item).gold or 0)
        for j, offset in enumerate(offsets):
            said = "" if offset is None else f" So the answer is {(gold + offset) % 10}."
            text = " 1 + 1 = 2." * j + (said or " Hmm.")
            out.append(Rollout(item, j, j, (1,), Path([1], [], [], [], [], "eos", text)))
    return out


def test_steps_are_paid_whatever_they_state_and_on_right_answers_only_if_gated() -> None:
    ledger = Ledger(TASK, "test")
    drawn = rollouts(ledger, [[0, 1, 0, None]])
    assert REWARDS["steps"](Judge(ledger, 8), drawn) == pytest.approx([0, 1 / 12, 2 / 12, 3 / 12])
    assert ledger.spent.labels == 0
    assert REWARDS["right_steps"](Judge(ledger, 8), drawn) == pytest.approx([0, 0, 2 / 12, 0])
    assert ledger.spent.labels == 4


def test_no_number_of_steps_earns_more_than_one() -> None:
    ledger = Ledger(TASK, "test")
    item = ledger.items("train", limit=1)[0]
    many = [Rollout(item, 0, 0, (1,), Path([1], [], [], [], [], "eos", " 1 + 1 = 2." * 99))]
    assert REWARDS["steps"](Judge(ledger, 8), many) == [1.0]


def test_the_proper_score_is_right_less_the_squared_error_of_the_agreement_within_the_item() -> None:
    ledger = Ledger(TASK, "test")
    groups: list[list[int | None]] = [[0, 0, 1, None], [1, 1, 1, 0]]
    earned = REWARDS["brier"](Judge(ledger, 8), rollouts(ledger, groups))
    wanted = []
    for offsets in groups:
        for j, offset in enumerate(offsets):
            others = [other for k, other in enumerate(offsets) if k != j]
            sure = 0.0 if offset is None else float(np.mean([other == offset for other in others]))
            right = float(offset == 0)
            wanted.append(right - (sure - right) ** 2)
    assert earned == pytest.approx(wanted)


def test_no_other_confidence_than_the_true_share_earns_more() -> None:
    """The expected score of a confidence q at the share p of right answers is p - p (1-q)^2 - (1-p) q^2."""
    grid = np.linspace(0, 1, 101)
    for p in (0.1, 0.5, 0.8):
        expected = [p * (1 - (q - 1) ** 2) + (1 - p) * (0 - q**2) for q in grid]
        assert grid[int(np.argmax(expected))] == pytest.approx(p)
