"""What a comparison is made of: its settings, its rows, and the table that all numbers come from.

Plain records below `compare`, `rows` and `warnings`, which fill, render and judge them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from elicit.evaluate.entry import Entry
from elicit.evaluate.measures.measure import Measures
from elicit.evaluate.metrics.matched import Match
from elicit.evaluate.metrics.rungs import Ceiling
from elicit.evaluate.statistics.joint import Joint
from elicit.evaluate.statistics.resamples import DRAWS
from elicit.records import Item

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
    """why a ceiling that was asked for has no row, by its name"""


@dataclass
class Row:
    """One line of the comparison: the seeds of one arm at one prompt."""

    key: str
    entries: list[Entry]
    measures: list[Measures]
    ks: list[int]
    """powers of two with 2k <= n; empty for deterministic policies"""
    match: dict[str, Match] = field(default_factory=dict)
    """how many base samples the method's tokens pay for, by the base's regime"""
    tied: list[float] = field(default_factory=list)
    """share of votes with a tie at the top, by k"""
    silent: list[float] = field(default_factory=list)
    """share of votes without any answer, by k"""
    guessing: list[float] = field(default_factory=list)
    """the guessing null that was taken off cov_net, by k"""

    @property
    def first(self) -> Entry:
        return self.entries[0]

    @property
    def regime(self) -> str:
        return self.measures[0].regime


@dataclass
class Table:
    """Everything a row's numbers are made from."""

    rows: list[Row]
    items: list[Item]
    joint: Joint
    base: Row
    b1: Row | None
    c1: Ceiling | None
    c4: Row | None
    config: CompareConfig
    checkpoint: Mapping[str, Any]
    dropped: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    def ceiling(self, name: str) -> Row | None:
        """The row of a ceiling that is a policy (C2, C3, C4); None where it was not measured."""
        if name == "C4":
            return self.c4
        return next((row for row in self.rows if row.first.role == "ceiling" and row.first.name == name), None)

    @property
    def ceilings(self) -> list[str]:
        """C1 and C4 always; C2 and C3 where they were measured, or asked for in vain."""
        return [c for c in CEILINGS if c in ("C1", "C4") or c in self.config.refused or self.ceiling(c) is not None]

    def b2(self, row: Row) -> Row | None:
        """The row that is a method's rung B2."""
        if row.first.b2 is None:
            return None
        asked = ("base", "prompt")
        return next((r for r in self.rows if r.first.role in asked and r.first.name == row.first.b2), None)

    @property
    def matched_bases(self) -> list[Row]:
        """The base in the regime of the comparison, then in regime `support` where it was sampled so (C1)."""
        c1 = [row for row in self.rows if row.first.role == "ceiling" and row.first.name == "C1"]
        return [self.base, *(row for row in c1 if row.regime != self.base.regime)]
