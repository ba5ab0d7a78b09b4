"""Controls of decoding that have no information about the answers.

* random pick: the same chains, one of them returned at random. It shows what branching or sampling does to a single
  answer, without the vote, at the same tokens and cost. Chains are keyed by the base and not by the strategy, so they
  are the same draws, and all strategies that sample n chains in the same way share this placebo. Particles of power
  sampling are drawn without resampling for it.
* entropy-matched temperature: one chain at the temperature at which completions are as surprising as the strategy's
  chains. "Entropy" is estimated by the mean of -log p(completion) under the raw softmax, the one measure that a
  branching rule and a temperature share; it is matched on train questions, without labels. It is a measure of
  completions, not of tokens: a mean over tokens is dominated by the longest chains and need not rise with temperature.
  It takes less compute than the strategy, which the report shows.

A placebo that belongs to one strategy (`RandomContinuation`, `RandomVerdict`) is defined next to it and named by its
`twins`. Every class here is a published strategy: its samples are stored under its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast, runtime_checkable

import numpy as np

from elicit.method import MethodBase, Work
from elicit.policy.decoding import REGIMES, Candidate, DecodingStrategy, Path, Request
from methods.decoding.chains import Voter, own_rng
from methods.decoding.cot_decoding import CotDecoding, RandomFirstTokens
from methods.decoding.deepconf_online import DeepConfOnline
from methods.decoding.plain import Temperature
from methods.decoding.power_mh import PowerMH
from methods.decoding.power_smc import PowerSMC
from methods.decoding.sampled import SampledChains, SelfConsistency

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy
    from elicit.records import Item


class RandomPick:
    """Mixin: one of the chains is returned at random."""

    deterministic: ClassVar[bool] = False

    @property
    def reads_answers(self) -> bool:
        """No: its samples are those that were stored before answers were read loosely."""
        return False

    def choose(self, candidates: Sequence[Candidate], classes: Sequence[str | None], request: Request) -> int:
        return int(own_rng(request.seed, "random pick").integers(len(candidates)))


@dataclass(frozen=True)
class RandomPickCotDecoding(RandomPick, CotDecoding):
    """The chains of `CotDecoding`, one at random."""


@dataclass(frozen=True)
class RandomPickSamples(RandomPick, SampledChains):
    """The samples of any vote, filter or best-of-n, one at random."""


@dataclass(frozen=True)
class RandomPickDeepConfOnline(RandomPick, DeepConfOnline):
    """The chains of `DeepConfOnline`, finished and cut ones, one at random."""

    @property
    def reads_answers(self) -> bool:
        """Yes: agreement decides how many chains are drawn."""
        return True


@dataclass(frozen=True)
class RandomPickPowerMH(RandomPick, PowerMH):
    """The states and proposals of `PowerMH`, one at random."""


@dataclass(frozen=True)
class RandomPickPowerSMC(RandomPick, PowerSMC):
    """The particles of `PowerSMC`, one at random."""


@dataclass(frozen=True)
class RandomPickRandomFirstTokens(RandomPick, RandomFirstTokens):
    """The chains of `RandomFirstTokens`, one at random."""


RANDOM_PICKS: dict[type, type] = {
    CotDecoding: RandomPickCotDecoding,
    RandomFirstTokens: RandomPickRandomFirstTokens,
    DeepConfOnline: RandomPickDeepConfOnline,
    PowerMH: RandomPickPowerMH,
    PowerSMC: RandomPickPowerSMC,
}


def random_pick(strategy: DecodingStrategy) -> DecodingStrategy | None:
    """The random-pick placebo with the settings of `strategy`; None for a strategy of one chain."""
    if isinstance(strategy, RandomPick):
        return None
    if isinstance(strategy, SampledChains):
        return RandomPickSamples(**{each.name: getattr(strategy, each.name) for each in fields(SampledChains)})
    if type(strategy) not in RANDOM_PICKS:
        return None
    settings = {each.name: getattr(strategy, each.name) for each in fields(cast("Any", strategy))}
    resampling = {"threshold": 0.0} if isinstance(strategy, PowerSMC) else {}
    return cast("DecodingStrategy", RANDOM_PICKS[type(strategy)](**(settings | resampling)))


@runtime_checkable
class WithTwins(Protocol):
    """A strategy with placebos of its own."""

    def twins(self) -> dict[str, DecodingStrategy]: ...


@runtime_checkable
class WithPeers(Protocol):
    """A strategy with rivals of its own."""

    def peers(self) -> dict[str, DecodingStrategy]: ...


def twins(strategy: DecodingStrategy) -> dict[str, DecodingStrategy]:
    """The placebos of a strategy that are strategies: its own, and the random pick."""
    own = strategy.twins() if isinstance(strategy, WithTwins) else {}
    pick = random_pick(strategy)
    return {**own, "random_pick": pick} if pick is not None else dict(own)


def peers(strategy: DecodingStrategy) -> dict[str, DecodingStrategy]:
    """The plain majority of the same chains, for votes, filters and best-of-n (online: of all that it may draw); then
    the strategy's own rivals."""
    out: dict[str, DecodingStrategy] = {}
    if isinstance(strategy, SampledChains | DeepConfOnline) and not isinstance(strategy, SelfConsistency):
        out["majority"] = SelfConsistency(
            strategy.n, strategy.temperature, strategy.top_p, strategy.min_p, extraction=strategy.extraction
        )
    return out | (strategy.peers() if isinstance(strategy, WithPeers) else {})


def strict(strategy: DecodingStrategy) -> dict[str, DecodingStrategy]:
    """The strategy without the votes of chains that declare no answer: the effect of the loose reading, as a rival."""
    if isinstance(strategy, Voter) and strategy.reads_answers and strategy.extraction != "strict":
        return {"strict_extraction": replace(strategy, extraction="strict")}
    return {}


@dataclass(frozen=True)
class EntropyMatched(MethodBase):
    """A method that fits the temperature at which one chain is as surprising as the chains of `strategy`."""

    strategy: DecodingStrategy = field(default_factory=CotDecoding)
    items: int = 32
    """train questions to match on"""
    temperatures: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5)
    """grid, ascending; linear in between, its ends outside of it"""
    name: str = "decoding"

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> Temperature:
        """One chain at the matched temperature."""
        items = ledger.items("train", "train", limit=self.items)
        target = surprise(policy.with_intervention(cast("Intervention", self.strategy)), items, ledger)
        curve = [surprise(policy.with_intervention(Temperature(t)), items, ledger) for t in self.temperatures]
        matched = float(np.interp(target, np.maximum.accumulate(curve), self.temperatures))
        context.log({"entropy_matched/surprise": target, "entropy_matched/temperature": matched})
        return Temperature(round(matched, 3))

    def work(self, items: int, tokens: float) -> Work:
        """Not counted: one answer of the strategy per item, and one per temperature."""
        return Work()


def surprise(policy: Policy, items: Sequence[Item], ledger: Ledger) -> float:
    """Mean -log p(completion) over all chains of one answer per item, in nats; the chains are booked."""
    from elicit.sampling.sample import sample

    outcomes = [outcome for _, _, outcome in sample(policy, items, [0], REGIMES["support"], ledger.task_view)]
    paths: list[Path] = [c.path for o in outcomes for c in (o.chains or [Candidate(o.path)])]
    ledger.rollouts(len(paths), sum(len(path.token_ids) for path in paths))
    return -sum(sum(path.logprobs) for path in paths) / max(len(paths), 1)
