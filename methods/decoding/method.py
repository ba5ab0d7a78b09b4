"""Decoding as a method: the intervention is the strategy itself, nothing is fitted.

`method=decoding method/strategy=NAME` takes any `DecodingStrategy`. The strategy owns its sampling settings and
replaces those of the evaluator's regime. Class Z, except for a strategy that asks a verifier while it answers: that is
class L and is booked. Papers and formulas are in the heads of the strategies. Cost: everything that the strategy
generates, counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from elicit.method import MethodBase, Work
from elicit.policy.decoding import DecodingStrategy, Sampling
from methods.decoding.controls import EntropyMatched, peers, strict, twins
from methods.decoding.cot_decoding import CotDecoding, RandomFirstTokens
from methods.decoding.plain import Greedy, Temperature

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
    """empty: the name of the strategy, so that the lines of a sweep over strategies have different names"""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.strategy.name)

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> Intervention:
        """The strategy. Reads nothing; books the verifier of a strategy that asks one: its most calls per answer."""
        if self.strategy.needs_verifier:
            ledger.teacher(calls=self.strategy.verifier_calls, stage="infer")
        return cast("Intervention", self.strategy)

    def work(self, items: int, tokens: float) -> Work:
        """Nothing is sampled before the evaluation."""
        return Work()

    def placebos(self) -> dict[str, Method]:
        """Random pick among the same chains (or a strategy's own placebo), and the entropy-matched temperature.

        A plain rule has none. With a verifier there is no entropy to match: what it accepts depends on gold.
        """
        out: dict[str, Method] = {name: replace(self, strategy=twin) for name, twin in twins(self.strategy).items()}
        plain = isinstance(self.strategy, Greedy | Temperature | Sampling)
        if not plain and not self.strategy.needs_verifier:
            out["entropy_matched"] = EntropyMatched(self.strategy, name=self.name)
        return out

    def rivals(self) -> dict[str, Method]:
        """The plain majority of the same chains and a strategy's own rivals first; then random first tokens (with the
        same number of branches), greedy, low temperature, and the same strategy with declared answers only."""
        branches = RandomFirstTokens()
        if isinstance(self.strategy, CotDecoding):
            branches = RandomFirstTokens(self.strategy.k, extraction=self.strategy.extraction)
        others: dict[str, DecodingStrategy] = {
            **peers(self.strategy),
            "random_first_tokens": branches,
            "greedy": Greedy(),
            "low_temperature": Temperature(0.25),
            **strict(self.strategy),
        }
        return {name: replace(self, strategy=s) for name, s in others.items() if s != self.strategy}
