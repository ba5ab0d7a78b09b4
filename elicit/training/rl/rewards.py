"""Rewards by name. Each turns the rollouts of one update into one number per rollout, or None (does not apply).

    correct    1 if the strict grade is right (the evaluator's own grader)             one label bit    R
    wrong      1 if an answer can be read and is not right (rival: wrong labels)       one label bit    R
    rubric     1 if the grade is right *and* the trace has no violation                one or two bits  R
    format     1 if the strict answer can be read                                      no bit           V
    majority   1 if the answer is in the most frequent class of its own group          no bit           V
    length     minus the share of the token limit that was used                        no bit           V
    steps, right_steps, brier: written steps, those on right answers, a proper score (step_rewards.py)
    random     Bernoulli(.5): the placebo                                              no bit           V

    certainty          mean over tokens of KL(uniform || p): self-certainty (Intuitor)             no bit   V
    entropy            minus the mean entropy of the next-token distributions                      no bit   V
    log_likelihood     mean log-prob of the tokens                                                 no bit   V
    self_verification  share of "right" against "wrong" in the model's own verdict on the answer   no bit   V

`rubric` is granted to right answers only: a rubric on every trace pays for traces that merely look valid
(arXiv 2605.31584). `majority` is test-time RL's label (arXiv 2504.16084); `wrong`, `format` and `random` are
the spurious rewards of arXiv 2506.10947. A rollout is graded once, however many rewards read the grade.
The last four and `majority` use no label (arXiv 2505.19590, 2603.08660): each pays for what the model that is being
trained already prefers, so each sharpens it, and a model that is sharp has nothing left to be paid for: a collapse
(`collapse.py`). They are means over tokens, so that no length is preferred by itself.
A package may add its own to `REWARDS`, each of at most 1: if every rollout earns the whole sum of the weights, there
is nothing to learn. What this module does not know: gradients; the model is behind `OwnModel`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from elicit.errors import ConfigError, ElicitError, MethodError, near
from elicit.files import seed_of
from elicit.training.rl import step_rewards
from elicit.training.rl.rollouts import Rollout

if TYPE_CHECKING:
    from elicit.ledger import Ledger


class OwnModel(Protocol):
    """The model that is being trained, as the rewards without labels read it."""

    def entropies(self, rollouts: Sequence[Rollout]) -> list[np.ndarray]:
        """Of the next-token distribution before each token of each rollout, in nats."""
        ...

    def verdicts(self, rollouts: Sequence[Rollout]) -> list[float]:
        """p(right) / (p(right) + p(wrong)) after "The proposed answer is", asked about each rollout."""
        ...

    def logprobs(self, rollouts: Sequence[Rollout], prompts: Sequence[str]) -> list[float]:
        """log p of each rollout's tokens after another prompt than its own, in nats."""
        ...


class Judge:
    """What rewards may learn about the rollouts of one update, from the ledger and from the model itself."""

    def __init__(self, ledger: Ledger, limit: int, own: OwnModel | None = None) -> None:
        self.ledger = ledger
        self.limit = limit
        """tokens of a rollout, at most"""
        self._own = own
        self._grades: dict[int, bool | None] = {}

    @property
    def own(self) -> OwnModel:
        """The model that drew the rollouts. Raises MethodError if there is none to ask."""
        if self._own is None:
            raise MethodError("a reward that reads the model itself needs a fit that gives one (elicit/training/rl)")
        return self._own

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


def certainty(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """Mean self-certainty of the tokens, in nats; None for an empty rollout."""
    if any(len(rollout.path.certainties) != len(rollout.path.token_ids) for rollout in rollouts):
        raise MethodError("rewards.certainty: only rollouts=loop measures self-certainty; use it, or rewards.entropy")
    return [_mean(rollout.path.certainties) for rollout in rollouts]


def entropy(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """Minus the mean entropy of the next-token distributions, in nats; None for an empty rollout."""
    return [None if (mean := _mean(values)) is None else -mean for values in judge.own.entropies(rollouts)]


def log_likelihood(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """Mean log-prob of the tokens; None for an empty rollout."""
    return [_mean(rollout.path.logprobs) for rollout in rollouts]


def self_verification(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """The model's own verdict, in [0, 1]; 0 without a readable answer: there is nothing to verify."""
    answered = [judge.answer_class(rollout) is not None for rollout in rollouts]
    asked = [rollout for rollout, readable in zip(rollouts, answered, strict=True) if readable]
    verdicts = iter(judge.own.verdicts(asked))
    return [next(verdicts) if readable else 0.0 for readable in answered]


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None


REWARDS: dict[str, Reward] = {
    "correct": correct,
    "wrong": wrong,
    "rubric": rubric,
    "format": format_,
    "majority": majority,
    "length": length,
    "random": random,
    "certainty": certainty,
    "entropy": entropy,
    "log_likelihood": log_likelihood,
    "self_verification": self_verification,
    "steps": step_rewards.steps,
    "right_steps": step_rewards.right_steps,
    "brier": step_rewards.brier,
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
