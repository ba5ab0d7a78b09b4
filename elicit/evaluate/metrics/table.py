"""What the numbers of a comparison are made from: its settings, its arms, and the table that holds them all.

Plain records and the relations between arms (an arm's placebos, its rung B2, the same arm at its own best prompt).
`comparison.compare` fills the table, metrics add columns to its joint bootstrap and read them. Computes no number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from elicit.evaluate.entry import Entry
from elicit.evaluate.measures.measure import Measures
from elicit.evaluate.statistics.joint import Joint
from elicit.evaluate.statistics.resamples import DRAWS
from elicit.records import Item
from elicit.results.comparison import FITTED

if TYPE_CHECKING:
    from elicit.evaluate.metrics.ceilings import C1

CEILINGS = ("C1", "C2", "C3", "C4")


@dataclass(frozen=True)
class CompareConfig:
    """Settings of one comparison."""

    group: str
    b1: str | None = None
    """name of the fixed prompt chosen on dev (`rungs.choose_b1`); None: no rung B1"""
    n: int | None = None
    """samples wanted of each item; None: as many as were asked for"""
    draws: int = DRAWS
    seed: int = 0
    limit: int | None = None
    """the seeded subset of items that was asked for, for the record"""
    refused: Mapping[str, str] = field(default_factory=dict)
    """why a ceiling that was asked for has no arm, by its name"""


@dataclass
class Arm:
    """One line of the comparison to be: the seeds of one configuration at one prompt."""

    key: str
    """of its columns in the joint bootstrap"""
    entries: list[Entry]
    measures: list[Measures]
    """by entry, on the same items"""
    ks: list[int]
    """powers of two with 2k <= n; empty for deterministic policies"""
    beside: dict[str, dict[str, tuple[float, ...]]] = field(default_factory=dict)
    """curve -> further values by k without an interval: {"maj": {"tied": ...}}"""

    @property
    def first(self) -> Entry:
        return self.entries[0]

    @property
    def regime(self) -> str:
        return self.measures[0].regime

    @property
    def fitted(self) -> bool:
        """Whether it is a method, a placebo or a rival."""
        return self.first.role in FITTED


@dataclass
class Table:
    """Everything that the numbers of a line are made from."""

    arms: list[Arm]
    items: list[Item]
    joint: Joint
    base: Arm
    b1: Arm | None
    c1: C1 | None
    config: CompareConfig
    checkpoint: Mapping[str, Any]
    answer_class: Callable[[str], str]
    """of the task: which answers are the same"""
    dropped: int = 0
    """items left out because a policy has no graded sample of them"""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """settings that all sample folders share"""

    def at_base(self, arm: Arm) -> bool:
        """Whether an arm was asked with the prompt of the base, B0."""
        return arm.first.prompt == self.base.first.prompt

    def ceiling(self, name: str) -> Arm | None:
        """The arm of a ceiling that is a policy (C2, C3, C4); None if it was not measured."""
        named = [arm for arm in self.arms if arm.first.role == "ceiling"]
        if name == "C4":
            return next((arm for arm in named if arm.first.name.startswith("C4")), None)
        return next((arm for arm in named if arm.first.name == name), None)

    @property
    def ceilings(self) -> list[str]:
        """C1 and C4 always; C2 and C3 if they were measured, or asked for in vain."""
        return [c for c in CEILINGS if c in ("C1", "C4") or c in self.config.refused or self.ceiling(c) is not None]

    def b2(self, arm: Arm) -> Arm | None:
        """The arm that is a method's rung B2."""
        if arm.first.b2 is None:
            return None
        asked = ("base", "prompt")
        return next((r for r in self.arms if r.first.role in asked and r.first.name == arm.first.b2), None)

    def at_best_prompt(self, arm: Arm) -> Arm:
        """The same configuration at its own dev-best prompt; the arm itself if there is none."""
        first = arm.first
        for other in self.arms:
            same = (other.first.role, other.first.name, other.first.arm) == (first.role, first.name, first.arm)
            if same and self.at_base(arm) and other.first.prompt != first.prompt:
                return other
        return arm

    def placebos(self, arm: Arm) -> list[Arm]:
        """The placebos of a method."""
        return [r for r in self.arms if r.first.role == "placebo" and r.first.parent == arm.first.name]

    @property
    def c1_arm(self) -> Arm | None:
        """The samples of C1; None if it was not measured."""
        return self.ceiling("C1")

    @property
    def c1_elsewhere(self) -> str | None:
        """The prompt of C1 if it was drawn at another one than the base's (`eval.c1_prompt=best`); else None.

        Then its samples are not those of a method without its edit: they differ from it by the prompt as well.
        """
        return None if self.c1_arm is None or self.at_base(self.c1_arm) else self.c1_arm.first.prompt

    def base_in_support(self, arm: Arm) -> Arm | None:
        """The base in regime `support` at the prompt of an arm: B0, B1 or C1; None if it was not sampled there."""
        prompts = {entry.prompt for entry in arm.entries}
        asked = [one for one in (self.base, self.b1, self.c1_arm) if one is not None and one.regime == "support"]
        return next((one for one in asked if prompts == {one.first.prompt}), None)

    @property
    def matched_bases(self) -> list[Arm]:
        """The base in the regime of the comparison, then in regime `support` if C1 holds it at the same prompt."""
        c1 = [self.c1_arm] if self.c1_arm is not None and self.c1_elsewhere is None else []
        return [self.base, *(arm for arm in c1 if arm.regime != self.base.regime)]

    @property
    def direct(self) -> Measures | None:
        """Draws at a prompt that asks for the answer alone (ceiling C1/direct): one of the guessing nulls."""
        return next((arm.measures[0] for arm in self.arms if arm.first.name == "C1/direct"), None)
