"""Controls of decoding that know nothing about the answers.

* random pick: the very same chains, one of them returned at random: what branching or sampling
  does to a single answer, without the vote. Same tokens, same cost.
* entropy-matched temperature: one chain at the temperature whose completions are as surprising as
  the strategy's chains are. "Entropy" is estimated by the mean of -log p(completion) under the raw
  softmax, the one measure that a branching rule and a temperature both have; matched on train
  questions, without labels. A whole completion, not a token: a mean over tokens is ruled by the
  longest chains and need not rise with temperature. Less compute than the strategy, and the
  report shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from elicit.policy.decoding import REGIMES, Candidate, DecodingStrategy, Path, Request
from methods.decoding.chains import ChainStrategy
from methods.decoding.cot_decoding import CotDecoding
from methods.decoding.plain import Temperature
from methods.decoding.random_first_tokens import RandomFirstTokens
from methods.decoding.self_consistency import SelfConsistency
from methods.decoding.votes import own_rng

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context, Method
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy
    from elicit.records import Item


class RandomPick:
    """Mixin: whatever the chains say, one is returned at random."""

    deterministic: ClassVar[bool] = False

    def choose(self, candidates: Sequence[Candidate], classes: Sequence[str | None], request: Request) -> int:
        return int(own_rng(request.seed, "random pick").integers(len(candidates)))


@dataclass(frozen=True)
class RandomPickCotDecoding(RandomPick, CotDecoding):
    """The chains of `CotDecoding`, one at random."""


@dataclass(frozen=True)
class RandomPickSelfConsistency(RandomPick, SelfConsistency):
    """The chains of `SelfConsistency`, one at random."""


@dataclass(frozen=True)
class RandomPickRandomFirstTokens(RandomPick, RandomFirstTokens):
    """The chains of `RandomFirstTokens`, one at random."""


RANDOM_PICKS: dict[type, type] = {
    CotDecoding: RandomPickCotDecoding,
    SelfConsistency: RandomPickSelfConsistency,
    RandomFirstTokens: RandomPickRandomFirstTokens,
}


def random_pick(strategy: DecodingStrategy) -> DecodingStrategy | None:
    """The random-pick placebo with the settings of `strategy`; None for a strategy of one chain."""
    if type(strategy) not in RANDOM_PICKS or not isinstance(strategy, ChainStrategy):
        return None
    settings = {each.name: getattr(strategy, each.name) for each in fields(strategy)}
    return RANDOM_PICKS[type(strategy)](**settings)


@dataclass(frozen=True)
class EntropyMatched:
    """Method: fits the temperature at which one chain is as surprising as the chains of `strategy`."""

    strategy: DecodingStrategy = field(default_factory=CotDecoding)
    items: int = 32
    """train questions to match on"""
    temperatures: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5)
    """grid, ascending; linear in between, its ends outside"""
    name: str = "decoding"

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> Temperature:
        """One chain at the matched temperature."""
        items = ledger.items("train", "train", limit=self.items)
        target = surprise(policy.with_intervention(cast("Intervention", self.strategy)), items, ledger)
        curve = [surprise(policy.with_intervention(Temperature(t)), items, ledger) for t in self.temperatures]
        matched = float(np.interp(target, np.maximum.accumulate(curve), self.temperatures))
        context.log({"entropy_matched/surprise": target, "entropy_matched/temperature": matched})
        return Temperature(round(matched, 3))

    def placebos(self) -> dict[str, Method]:
        return {}

    def rivals(self) -> dict[str, Method]:
        return {}


def surprise(policy: Policy, items: Sequence[Item], ledger: Ledger) -> float:
    """Mean -log p(completion) over all chains of one answer an item, in nats; the chains are booked."""
    from elicit.sampling.sample import sample

    outcomes = [outcome for _, _, outcome in sample(policy, items, [0], REGIMES["support"], ledger.task_view)]
    paths: list[Path] = [c.path for o in outcomes for c in (o.chains or [Candidate(o.path)])]
    ledger.rollouts(len(paths), sum(len(path.token_ids) for path in paths))
    return -sum(sum(path.logprobs) for path in paths) / max(len(paths), 1)
