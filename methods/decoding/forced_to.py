"""Budget forcing to a number of tokens: how rung B2 asks the base (evaluate/rungs.py).

    an ending before `tokens` own tokens:   replaced by the tokens of `continuation`, as often as it takes
    at `tokens`:                            the tokens of `marker` are forced, the answer follows

As `BudgetForcing`, which forces to the token limit. The answer comes on top, so that a chain is a little longer than
asked, never cheaper. `times` bounds the rounds of a model that ends at once whatever it is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from elicit.errors import ConfigError
from methods.decoding.budget_forcing import BudgetForcing

if TYPE_CHECKING:
    from elicit.policy.decoding import DecodingStrategy, Loop
    from elicit.tasks.task import Reader


@dataclass(frozen=True)
class ForcedTo(BudgetForcing):
    """One chain that is made to write `tokens` tokens, and then to answer."""

    times: int = 64
    """endings that are replaced at most"""
    tokens: int = 256
    """tokens of a chain with the marker, without the answer behind it; rung B2 sets it to a method's own"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tokens < 1:
            raise ConfigError(f"{self.name}: tokens={self.tokens}: 1 or more")

    def limit(self, loop: Loop, task: Reader) -> int:
        """Tokens before the marker: as many as are wanted, and as fit under the task's own limit."""
        return min(super().limit(loop, task), max(1, self.tokens - len(loop.encode(self.marker))))

    def twins(self) -> dict[str, DecodingStrategy]:
        """None: a rung of the base has no placebo."""
        return {}
