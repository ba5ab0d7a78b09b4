"""RLVR on one item: every update trains on copies of a single problem (class R).

    i* = argmax_i Var_g[ r(x_i, y_ig) ],   y_ig ~ base, g = 1..choice_samples, i = 1..candidates
    then the update of method.py with P copies of x_i* in place of P items

Wang et al. (arXiv 2504.20571): one problem, copied to a batch of 128, raises a base of 1.5 B about as far as 1,209
problems do, and many single problems work. 2601.03111 designs the problem. Wang et al. rank problems by the variance of
their training accuracy over the epochs of a run on all of them. Here it is the variance of the reward among the base's
own rollouts, which needs no such run: p (1 - p) of an item's share p of right rollouts, largest at one half.
Each copy is a group of its own, with its own rollouts and its own mean.
Left out: the ranking by a training run, the entropy bonus of 2504.20571, problems that are written for the purpose.
Cost: that of RLVR, and candidates x choice_samples rollouts and label bits for the choice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from elicit.errors import ConfigError, MethodError, checked
from elicit.method import Work
from elicit.sampling.own import own_completions
from methods.rlvr.method import RLVR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from elicit.ledger import Ledger
    from elicit.method import Context, Method
    from elicit.policy.policy import Policy
    from elicit.records import Item


@dataclass(frozen=True)
class OneItem(RLVR):
    """RLVR on copies of one item."""

    prompts: int = 128
    """copies of the item per update, each with `samples` rollouts"""
    choose: Literal["variance", "random"] = "variance"
    """variance: the candidate whose base rollouts have the largest variance of the reward; random: any candidate"""
    candidates: int = 64
    """train items to choose from"""
    choice_samples: int = 16
    """base rollouts of each candidate, at temperature 1"""
    name: str = "rlvr_one_item"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least = {"candidates": 1, "choice_samples": 2}
        checked(self, at_least=at_least, one_of={"choose": ("variance", "random")})
        if self.train_items is not None:
            raise ConfigError(f"{self.name}.train_items={self.train_items}: it trains on one item; set candidates")

    def chooser(self, policy: Policy, ledger: Ledger, context: Context) -> Callable[[], list[Item]]:
        """The choice among the candidates."""
        return lambda: [self.chosen(policy, ledger, context)]

    def chosen(self, policy: Policy, ledger: Ledger, context: Context) -> Item:
        """The item to train on; a random choice draws and grades the same rollouts and does not use the grades.

        Raises MethodError if no candidate has two different rewards: none could be trained on.
        """
        # 1) what the base earns on each candidate, a label bit per rollout
        items = ledger.items("train", "train", limit=self.candidates)
        draw = int(context.rng.integers(2**31))
        drawn = own_completions(policy, ledger, items, self.choice_samples, draw, self.name)
        grades = ledger.grades([d.item for d in drawn], [d.text for d in drawn], [d.finished for d in drawn])
        rewards: dict[str, list[float]] = {item.id: [] for item in items}
        for completion, grade in zip(drawn, grades, strict=True):
            if grade is not None:
                rewards[completion.item.id].append(float(grade))
        # 2) choose
        variances = [variance(rewards[item.id]) for item in items]
        uniform = int(context.rng.integers(len(items)))
        place = uniform if self.choose == "random" else int(np.argmax(variances))
        if self.choose == "variance" and not variances[place]:
            raise MethodError(
                f"{self.name}: none of {len(items)} candidates is right in some and wrong in others of its "
                f"{self.choice_samples} rollouts: raise candidates or choice_samples"
            )
        share = float(np.mean(rewards[items[place].id] or [0.0]))
        context.log({f"{self.name}/variance": variances[place], f"{self.name}/share_right": share})
        context.say(f"{self.name}: {self.prompts} copies of {items[place].id}, {share:.0%} right before training")
        return items[place]

    def work(self, items: int, tokens: float) -> Work:
        """That of RLVR, and the rollouts of the choice."""
        return super().work(items, tokens) + Work(self.candidates * self.choice_samples)

    def placebos(self) -> dict[str, Method]:
        """A random item, at the same cost: what remains above it is due to the choice. And the coin of RLVR."""
        return {"random_item": replace(self, choose="random"), **super().placebos()}


def variance(rewards: Sequence[float]) -> float:
    """Variance of an item's rewards, with the number of rollouts as the divisor; 0 if none was graded."""
    return float(np.var(rewards)) if rewards else 0.0
