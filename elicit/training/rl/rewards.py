"""Rewards by name. Each turns the rollouts of one update into one number per rollout, or None (does not apply).

    correct    1 if the strict grade is right (the evaluator's own grader)             one label bit    R
    wrong      1 if an answer can be read and is not right (rival: wrong labels)       one label bit    R
    rubric     1 if the grade is right *and* the trace has no violation                one or two bits  R
    format     1 if the strict answer can be read                                      no bit           V
    majority   1 if the answer is in the most frequent class of its own group          no bit           V
    length     minus the share of the token limit that was used                        no bit           V
    random     Bernoulli(.5): the placebo                                              no bit           V

`rubric` is granted to right answers only: a rubric on every trace pays for traces that merely look valid
(arXiv 2605.31584). `majority` is test-time RL's label (arXiv 2504.16084); `wrong`, `format` and `random` are
the spurious rewards of arXiv 2506.10947. A rollout is graded once, however many rewards read the grade.
A package may add its own to `REWARDS`, each of at most 1: if every rollout earns the whole sum of the weights, there
is nothing to learn. What this module does not know: models, gradients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from elicit.errors import ConfigError, ElicitError, MethodError, near
from elicit.files import seed_of
from elicit.training.rl.rollouts import Rollout

if TYPE_CHECKING:
    from elicit.ledger import Ledger


class Judge:
    """What rewards may learn from the ledger about the rollouts of one update."""

    def __init__(self, ledger: Ledger, limit: int) -> None:
        self.ledger = ledger
        self.limit = limit
        """tokens of a rollout, at most"""
        self._grades: dict[int, bool | None] = {}

    def right(self, rollout: Rollout) -> bool | None:
        """The strict grade; one label bit per rollout. None: ungraded."""
        key = id(rollout)
        if key not in self._grades:
            self._grades[key] = self.ledger.grade(rollout.item, rollout.path.text, rollout.finished)
        return self._grades[key]

    def valid(self, rollout: Rollout) -> bool:
        """Whether the trace has no violation; one label bit. Raises MethodError if the task has no validator."""
        try:
            return self.ledger.valid(rollout.item, rollout.path.text)
        except LookupError:
            name = self.ledger.task_view.name
            raise MethodError(f"rewards.rubric: task {name} has no trace validator; use rewards.correct") from None

    def answer_class(self, rollout: Rollout) -> str | None:
        """The class of the strict answer, None if none can be read; no label bit."""
        view = self.ledger.task_view
        answer = view.extract(rollout.path.text, rollout.finished).strict
        return None if answer is None else view.answer_class(answer)


Values = list[float | None]
"""one per rollout; None: the reward does not apply"""
Reward = Callable[[Judge, Sequence[Rollout]], Values]


def correct(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """1 right, 0 wrong, None ungraded."""
    return [None if (right := judge.right(rollout)) is None else float(right) for rollout in rollouts]


def wrong(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """1 for a readable answer that is not right."""
    readable = [judge.answer_class(rollout) is not None for rollout in rollouts]
    grades = [judge.right(rollout) for rollout in rollouts]
    return [None if right is None else float(read and not right) for read, right in zip(readable, grades, strict=True)]


def rubric(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """1 for a right answer with a valid trace; the trace of a wrong answer is not checked."""
    return [
        None if (right := judge.right(rollout)) is None else float(right and judge.valid(rollout))
        for rollout in rollouts
    ]


def format_(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """1 if the strict answer can be read."""
    return [float(judge.answer_class(rollout) is not None) for rollout in rollouts]


def majority(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """1 if the answer is in its group's most frequent class; of equally frequent ones, the first seen."""
    answers = [(rollout.item.id, judge.answer_class(rollout)) for rollout in rollouts]
    counts: dict[str, Counter[str]] = {}
    for item, answer in answers:
        if answer is not None:
            counts.setdefault(item, Counter())[answer] += 1
    top = {item: counter.most_common(1)[0][0] for item, counter in counts.items()}
    return [float(answer is not None and answer == top[item]) for item, answer in answers]


def length(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """Minus the share of the token limit used, in [-1, 0]."""
    return [-len(rollout.path.token_ids) / judge.limit for rollout in rollouts]


def random(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """Bernoulli(.5) by the hash of the rollout's seed: no information about the answer."""
    return [float(seed_of("reward", rollout.seed) % 2) for rollout in rollouts]


REWARDS: dict[str, Reward] = {
    "correct": correct,
    "wrong": wrong,
    "rubric": rubric,
    "format": format_,
    "majority": majority,
    "length": length,
    "random": random,
}


def resolve(rewards: Mapping[str, float]) -> dict[str, tuple[Reward, float]]:
    """Functions and weights by name. Raises ConfigError for an unknown name."""
    for name in rewards:
        if name not in REWARDS:
            raise ConfigError(f"rewards.{name}: no such reward; {near(name, REWARDS)}")
    return {name: (REWARDS[name], float(weight)) for name, weight in rewards.items()}


def values(name: str, reward: Reward, judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """One value for each rollout. Raises MethodError if the function raises, or if it returns anything else."""
    try:
        out = list(reward(judge, rollouts))
    except ElicitError:
        raise
    except Exception as fault:
        raise MethodError(f"rewards.{name} raised {type(fault).__name__}: {fault}") from fault
    if len(out) != len(rollouts):
        raise MethodError(f"rewards.{name} returned {len(out)} values for {len(rollouts)} rollouts: one each, or None")
    odd = [value for value in out if value is not None and not np.isfinite(value)]
    if odd:
        raise MethodError(f"rewards.{name} returned {odd[0]}: a finite number, or None if it does not apply")
    return out


def total(columns: Mapping[str, Values], weights: Mapping[str, float]) -> np.ndarray:
    """Weighted sum of the rewards, float64 [B]; NaN if all of them are None."""
    table = np.array([[np.nan if v is None else v for v in columns[name]] for name in weights], dtype=float)
    summed = np.nansum(table * np.array(list(weights.values()))[:, None], axis=0)
    return np.where(np.isnan(table).all(0), np.nan, summed)
