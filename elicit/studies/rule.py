"""The rule of a study: conditions on measured endpoints, joined to a verdict.

    condition   the endpoint lies above a bound, below a bound, or between two
      met       every interval lies inside              (an endpoint has one interval per policy and training seed)
      missed    every interval lies outside
      open      anything else: an interval contains a bound, seeds or policies disagree, or a number was refused

    holds           every condition is met, and every precondition
    fails           every precondition is met, and at least one condition is missed
    not decidable   anything else

A precondition states that there is something to test (a gain that a shift could destroy): if it is not met, neither
verdict follows. Intervals are 95 %, not corrected for the number of conditions. Knows no file and no statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from elicit.errors import ConfigError
from elicit.results import Estimate

State = Literal["met", "missed", "open"]
Decision = Literal["holds", "fails", "not decidable"]


@dataclass(frozen=True)
class Condition:
    """Where the intervals of one endpoint have to lie."""

    endpoint: str
    """key of the endpoint in its study"""
    above: float | None = None
    """in the endpoint's unit of storage: shares and differences of shares are in [-1, 1], not percent"""
    below: float | None = None

    def __post_init__(self) -> None:
        if self.above is None and self.below is None:
            raise ConfigError(f"condition on {self.endpoint!r}: it states no bound; give above, below or both")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ConfigError(
                f"condition on {self.endpoint!r}: above={self.above} must be less than below={self.below}"
            )

    def state(self, values: Sequence[Estimate]) -> State:
        """`met` or `missed` only if all intervals agree; an interval that touches a bound from inside is open."""
        low, high = self.above, self.below
        states: set[State] = set()
        for value in values:
            if value.bounds is None:
                return "open"
            _, lo, hi = value.bounds
            inside = (low is None or lo > low) and (high is None or hi < high)
            outside = (low is not None and hi <= low) or (high is not None and lo >= high)
            states.add("met" if inside else "missed" if outside else "open")
        return states.pop() if len(states) == 1 else "open"


def decide(preconditions: Iterable[State], conditions: Iterable[State]) -> Decision:
    """The verdict.

    >>> decide([], ["met", "missed"]), decide(["open"], ["missed"]), decide(["met"], ["met", "met"])
    ('fails', 'not decidable', 'holds')
    """
    tested = list(conditions)
    if not tested or any(state != "met" for state in preconditions):
        return "not decidable"
    if "missed" in tested:
        return "fails"
    return "holds" if all(state == "met" for state in tested) else "not decidable"
