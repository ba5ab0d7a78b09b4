"""One chain by one pick rule: greedy, and temperature with its truncations.

Always in the same table as more complex strategies: about three quarters of the published gain of power sampling is
plain temperature 0.25 (arXiv 2510.14901). min-p: arXiv 2407.01082. Cost: one chain per answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from elicit.policy.decoding import Loop, Outcome, PickRule, Request, Sampling, StrategyBase

if TYPE_CHECKING:
    from elicit.tasks.task import Reader


@dataclass(frozen=True)
class Greedy(StrategyBase):
    """The most probable token at every step. One completion per question: no coverage."""

    deterministic: ClassVar[bool] = True

    @property
    def token_rule(self) -> PickRule:
        return PickRule(temperature=0.0)

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        return Sampling(self.token_rule).run(loop, requests, task)


@dataclass(frozen=True)
class Temperature(StrategyBase):
    """Independent samples at a temperature, optionally truncated."""

    temperature: float = 0.25
    """logits are divided by it"""
    top_k: int = 0
    """0 = off"""
    top_p: float = 1.0
    """share of the mass that is kept, in (0, 1]"""
    min_p: float = 0.0
    """tokens with p < min_p * p_max are dropped"""

    def __post_init__(self) -> None:
        self.rule()

    @property
    def name(self) -> str:
        """That of the preset: named by what truncates, else by the temperature."""
        truncations = {"min_p": self.min_p > 0, "top_p": self.top_p < 1, "top_k": self.top_k > 0}
        truncated = [name for name, on in truncations.items() if on]
        return truncated[0] if truncated else "low_temperature" if self.temperature < 1 else "temperature"

    @property
    def token_rule(self) -> PickRule:
        return self.rule()

    def rule(self) -> PickRule:
        """The loop's rule. Raises ConfigError for values out of range."""
        return PickRule(temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, min_p=self.min_p)

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        return Sampling(self.token_rule).run(loop, requests, task)
