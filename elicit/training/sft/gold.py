"""Ceiling C3: supervised fine-tuning on the task's own worked solutions of train items, class T.

    rows   question, as the policy asks it | gold completion with its steps       ->  sft.train  ->  WeightEdit

What the same checkpoint reaches if it is simply taught: a ceiling, not a method, so it has no placebos. Refused if a
task's gold completions state answers only, as those of most data sets do: then only guessing could be taught. The
texts come through the ledger (`traces`): one label bit per item, and foreign text. What this module does not know:
tasks, the evaluation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from elicit.errors import MethodError, checked
from elicit.method import MethodBase
from elicit.training.sft.rows import Row
from elicit.training.sft.sft import SftConfig, refuse_other_edits, train

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.policy import Policy
    from elicit.policy.weights import WeightEdit

SMALL = 10_000_000
"""below this many parameters full fine-tuning needs `SMALL_RATE`"""
SMALL_RATE = 5e-4


@dataclass(frozen=True)
class GoldSft(MethodBase):
    """Fine-tune on gold traces. A ceiling claims nothing, so it has no controls."""

    items: int = 1000
    """train items, at most"""
    sft: SftConfig = field(default_factory=lambda: SftConfig(batch=16, epochs=2.0))
    """learning_rate null: 5e-4 for a full update of a model below 10 M parameters, else that of SftConfig"""
    name: str = "C3"

    def __post_init__(self) -> None:
        checked(self, at_least={"items": 1}, label=self.name)

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> WeightEdit:
        """The weights after training. Raises MethodError if the task's gold has no steps."""
        refuse_other_edits(policy)
        items = ledger.items("train", "train", limit=self.items)
        golds = ledger.traces(items)
        if not all(has_steps(gold) for gold in golds):
            bare = next(gold for gold in golds if not has_steps(gold))
            raise MethodError(f"the task's gold completions have no steps to learn ({bare.strip()[:60]!r})")
        rows = [
            Row(policy.prompt.render(item.question), gold if gold[:1].isspace() else f" {gold}")
            for item, gold in zip(items, golds, strict=True)
        ]
        seed = int(context.rng.integers(2**31))
        sft, folder = self._sized(policy), context.folder
        return train(policy, rows, sft, seed, folder, context.say, context.log, progress=context.progress).edit

    def _sized(self, policy: Policy) -> SftConfig:
        """The settings, with a learning rate at which a small model moves."""
        count = sum(parameter.numel() for parameter in policy.checkpoint.model.parameters())
        small = self.sft.learning_rate is None and self.sft.update == "full" and count < SMALL
        return replace(self.sft, learning_rate=SMALL_RATE) if small else self.sft


def has_steps(gold: str) -> bool:
    """Whether a completion has more than its answer: two sentences or more.

    >>> has_steps(" The answer is 3.5."), has_steps(" 3 + 4 = 7. So the answer is 7.")
    (False, True)
    """
    return len([part for part in re.split(r"(?<=[.!?])\s+|\n+", gold.strip()) if part]) > 1
