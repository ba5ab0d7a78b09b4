"""Decoding as a method: the intervention is the strategy itself, nothing is fitted.

`method=decoding method/strategy=NAME` takes any `DecodingStrategy`. The strategy owns its sampling
settings; the evaluator's regime gives way to it. Class Z, but for a strategy that asks a verifier while it
answers: that is class L, and is booked. Cost: what the strategy generates, all counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from elicit.method import MethodBase, Work
from elicit.policy.decoding import DecodingStrategy, Sampling
from methods.decoding.cot_decoding import CotDecoding
from methods.decoding.deepconf_online import DeepConfOnline
from methods.decoding.placebos import EntropyMatched, twins
from methods.decoding.plain import Greedy, Temperature
from methods.decoding.random_first_tokens import RandomFirstTokens
from methods.decoding.sampled import SampledChains
from methods.decoding.self_consistency import SelfConsistency

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context, Method
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy


@dataclass(frozen=True)
class Decoding(MethodBase):
    """Pick tokens by another rule."""

    strategy: DecodingStrategy = field(default_factory=CotDecoding)
    """how completions are made; presets in configs/method/strategy"""
    name: str = ""
    """empty: the strategy's, so that the rows of a sweep over strategies are told apart"""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", getattr(self.strategy, "name", "decoding"))

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> Intervention:
        """The strategy. Reads nothing; books the verifier of a strategy that asks one: its most calls an answer."""
        if getattr(self.strategy, "needs_verifier", False):
            ledger.teacher(calls=getattr(self.strategy, "rounds", 1), stage="infer")
        return cast("Intervention", self.strategy)

    def work(self, items: int, tokens: float) -> Work:
        """Nothing is sampled before the evaluation."""
        return Work()

    def placebos(self) -> dict[str, Method]:
        """Random pick among the same chains (or a strategy's own placebo), entropy-matched temperature; none for a
        plain rule. Where a verifier is asked there is no entropy to match: what it accepts depends on gold."""
        found: dict[str, Method] = {name: replace(self, strategy=twin) for name, twin in twins(self.strategy).items()}
        plain = isinstance(self.strategy, (Greedy, Temperature, Sampling))
        if not plain and not getattr(self.strategy, "needs_verifier", False):
            found["entropy_matched"] = EntropyMatched(self.strategy, name=self.name)
        return found

    def rivals(self) -> dict[str, Method]:
        """The plain majority of the same chains and a strategy's own rivals first; then random first tokens (with the
        same number of branches), greedy, low temperature."""
        k = getattr(self.strategy, "k", None)
        others: dict[str, DecodingStrategy] = {
            **_majority(self.strategy),
            **(self.strategy.peers() if hasattr(self.strategy, "peers") else {}),
            "random_first_tokens": RandomFirstTokens(k=k) if k else RandomFirstTokens(),
            "greedy": Greedy(),
            "low_temperature": Temperature(0.25),
        }
        return {name: replace(self, strategy=s) for name, s in others.items() if s != self.strategy}


def _majority(strategy: Any) -> dict[str, DecodingStrategy]:
    """Self-consistency over the chains that a vote, a filter or a best-of-n looks at (online: over all it may draw)."""
    if isinstance(strategy, SelfConsistency) or not isinstance(strategy, (SampledChains, DeepConfOnline)):
        return {}
    return {"majority": SelfConsistency(strategy.n, strategy.temperature, strategy.top_p, strategy.min_p)}
