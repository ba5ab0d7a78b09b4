"""Decoding as a method: the intervention is the strategy itself, nothing is fitted (class Z).

`method=decoding method/strategy=NAME` takes any `DecodingStrategy`. The strategy owns its sampling
settings; the evaluator's regime gives way to it. Cost: what the strategy generates, all counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from elicit.policy.decoding import DecodingStrategy
from methods.decoding.cot_decoding import CotDecoding
from methods.decoding.placebos import EntropyMatched, random_pick
from methods.decoding.plain import Greedy, Temperature
from methods.decoding.random_first_tokens import RandomFirstTokens

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context, Method
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy


@dataclass(frozen=True)
class Decoding:
    """Pick tokens by another rule."""

    strategy: DecodingStrategy = field(default_factory=CotDecoding)
    """how completions are made; presets in configs/method/strategy"""
    name: str = "decoding"

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> Intervention:
        """The strategy; reads nothing."""
        return cast("Intervention", self.strategy)

    def placebos(self) -> dict[str, Method]:
        """Random pick among the same chains, entropy-matched temperature; none where there is one chain."""
        pick = random_pick(self.strategy)
        if pick is None:
            return {}
        return {"random_pick": replace(self, strategy=pick), "entropy_matched": EntropyMatched(self.strategy)}

    def rivals(self) -> dict[str, Method]:
        """Random first tokens (with the same number of branches), greedy, low temperature."""
        k = getattr(self.strategy, "k", None)
        others: dict[str, DecodingStrategy] = {
            "random_first_tokens": RandomFirstTokens(k=k) if k else RandomFirstTokens(),
            "greedy": Greedy(),
            "low_temperature": Temperature(0.25),
        }
        return {name: replace(self, strategy=s) for name, s in others.items() if s != self.strategy}
