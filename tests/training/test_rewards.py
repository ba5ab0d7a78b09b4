"""Laws of the rewards: what each pays, and which label bits it costs."""

from __future__ import annotations

import numpy as np
import pytest

from elicit.ledger import Ledger
from elicit.policy.decoding import Path
from elicit.training.rl import rewards
from elicit.training.rl.rewards import REWARDS, Judge
from elicit.training.rl.rollouts import Rollout
from tests.training.latent import LatentTask

TASK = LatentTask()
TEXTS = {
    "{thought} {right}": "right, by the trace",
    "guess {right}": "right, without it",
    "guess {wrong}": "wrong",
    "{thought}": "no answer",
}


def drawn(ledger: Ledger, finishes: tuple[str, ...] = ("eos",) * 4) -> list[Rollout]:
    item = ledger.items("train", limit=1)[0]
    number = int(item.question[1:])
    words = {"thought": f"t{number}", "right": f"a{number + 1}", "wrong": f"a{number}"}
    texts = [text.format(**words) for text in TEXTS]
    ids = [list(range(len(text.split()))) for text in texts]
    return [
        Rollout(item, j, 1000 + j, (1,), Path(ids[j], [], [], [], [], finish, texts[j]))
        for j, finish in enumerate(finishes)
    ]


@pytest.mark.parametrize(
    ("name", "wanted", "bits", "data_class"),
    [
        ("correct", [1, 1, 0, 0], 4, "R"),
        ("wrong", [0, 0, 1, 0], 4, "R"),
        ("rubric", [1, 0, 0, 0], 6, "R"),
        ("format", [1, 1, 1, 0], 0, "Z"),
        ("majority", [1, 1, 0, 0], 0, "Z"),
        ("length", [-0.25, -0.25, -0.25, -0.125], 0, "Z"),
    ],
)
def test_each_reward_pays_by_its_definition_and_books_what_it_reads(name, wanted, bits, data_class) -> None:
    ledger = Ledger(TASK, "test")
    assert REWARDS[name](Judge(ledger, 8), drawn(ledger)) == wanted
    assert ledger.spent.labels == bits and ledger.data_class == data_class


def test_the_trace_of_a_wrong_answer_is_not_checked(monkeypatch) -> None:
    ledger = Ledger(TASK, "test")
    looked: list[str] = []
    monkeypatch.setattr(Ledger, "valid", lambda self, item, text, stage="train": looked.append(text) or True)
    rollouts = drawn(ledger)
    REWARDS["rubric"](Judge(ledger, 8), rollouts)
    assert looked == [rollouts[0].path.text, rollouts[1].path.text]


def test_a_rollout_is_graded_once_however_many_rewards_read_the_grade() -> None:
    ledger = Ledger(TASK, "test")
    judge, rollouts = Judge(ledger, 8), drawn(ledger)
    for name in ("correct", "wrong", "correct"):
        REWARDS[name](judge, rollouts)
    assert ledger.spent.labels == 4


def test_a_truncated_rollout_earns_nothing() -> None:
    ledger = Ledger(TASK, "test")
    judge = Judge(ledger, 8)
    rollouts = drawn(ledger, ("length",) * 4)
    for name in ("correct", "wrong", "format", "majority", "rubric"):
        assert REWARDS[name](judge, rollouts) == [0] * 4


def test_the_random_reward_is_a_fair_coin_that_belongs_to_the_rollout() -> None:
    ledger = Ledger(TASK, "test")
    one = drawn(ledger)[0]
    many = [Rollout(one.item, j, seed, (1,), one.path) for j, seed in enumerate(range(4000))]
    values = REWARDS["random"](Judge(ledger, 8), many)
    assert abs(np.mean(values) - 0.5) < 0.03 and values == REWARDS["random"](Judge(ledger, 8), many)


def test_weights_sum_what_applies_and_nothing_is_not_zero() -> None:
    columns = {"a": [1.0, None, None], "b": [2.0, 3.0, None]}
    total = rewards.total(columns, {"a": 1.0, "b": -0.5})
    assert total[:2].tolist() == [0.0, -1.5] and np.isnan(total[2])
