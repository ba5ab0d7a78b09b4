"""A comparison: one `Line` per policy, and the `Column`s that say what its numbers mean.

    Comparison
      columns    Column(key, title, unit, meaning, table, roles)     written by the metrics, one per reported number
      lines      Line(identity ..., values {key: Estimate}, curves {key: Curve}, notes {key: text})
      ceilings   {"C1": Estimate, ...}
      pairs, tests, solves, traces, warnings, provenance ...

Keys are paths: "acc/strict", "gain/B0", "ef/B1/C4", "ctrl/gain", "cost/tokens", "kl/sequence". A reader shows a column
without knowing its metric: the file describes its own columns. Plain data, no behaviour beyond look-ups; knows neither
how a number is computed nor how it is printed. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from elicit.results.estimate import Curve, Estimate

Unit = Literal["percent", "points", "ratio", "tokens", "nats", "seconds", "gigabytes", "count"]
ROLES = ("base", "prompt", "ceiling", "method", "placebo", "rival")
FITTED = ("method", "placebo", "rival")
NO_CEILING = "C1 is no ceiling"
"""how the warning begins that C1 lies below B1: the terminal prints it under the scorecard"""


@dataclass(frozen=True)
class Column:
    """What one reported number is."""

    key: str
    """of `Line.values` or `Line.curves`; a curve is shown at its largest k"""
    title: str
    unit: Unit
    meaning: str
    """one sentence for a legend"""
    table: str = ""
    """table of the report that lists it: scorecard, split, further, figures, distance; empty: none"""
    roles: tuple[str, ...] = FITTED
    """lines for which the number means something; others are left blank"""


@dataclass(frozen=True)
class Member:
    """One training seed of a line."""

    id: str
    seed: int | None
    run: str | None
    acc: float


@dataclass
class Line:
    """One policy of a comparison, or the seeds of one arm together."""

    id: str
    """policy id of the first seed"""
    name: str
    role: str
    method: str | None = None
    parent: str | None = None
    """the method that a placebo or a rival belongs to"""
    arm: str | None = None
    prompt: str = "bare"
    own_prompt: str | None = None
    """the method's dev-best fixed prompt"""
    at_own_prompt: bool = False
    """this line was measured there, not at the bare prompt"""
    seed: int | None = None
    """None if there are several"""
    seeds: int = 1
    members: tuple[Member, ...] = ()
    n_items: int = 0
    n: int = 0
    """samples per item"""
    data_class: str | None = None
    ledger: dict[str, int] = field(default_factory=dict)
    run: str | None = None
    values: dict[str, Estimate] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    """text and flags that belong to a number: "ctrl/strongest", "matched/note", "kl/regime", "p/exact" """

    def get(self, key: str) -> Estimate | None:
        """The value of a column, None if it was not measured.

        A curve ("cov") and what is beside it ("maj/tied") give the value at their largest k.
        """
        name, _, part = key.partition("/")
        if key in self.curves:
            return self.curves[key].last
        if key not in self.values and name in self.curves and part in self.curves[name].beside:
            return Estimate(self.curves[name].beside[part][-1])
        return self.values.get(key)

    def number(self, key: str) -> float | None:
        """The point of a value; None if it was refused or not measured."""
        value = self.get(key)
        return value.number if value is not None else None

    def under(self, prefix: str) -> dict[str, Estimate]:
        """The values whose key begins with `prefix/`, by the rest of their key."""
        head = f"{prefix}/"
        return {key.removeprefix(head): value for key, value in self.values.items() if key.startswith(head)}


@dataclass(frozen=True)
class Rungs:
    """Policy ids of the base's rungs."""

    b0: str
    b1: str | None = None
    b1_prompt: str | None = None
    b2: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ceiling:
    """What C1 is an estimate of."""

    kind: str
    k: int
    guessing: float | None
    """share of items that plain guessing covers at k"""
    coverage: float | None = None
    """share of items covered at k, guessing included"""
    reading: str = "strict"
    """of its samples: strict (older files), lenient or any"""


@dataclass(frozen=True)
class Setup:
    """The settings that all policies share."""

    n: int
    n_items: int
    clusters: int
    regime: str
    max_new_tokens: int | None = None
    limit: int | None = None
    bootstrap_draws: int | None = None
    seed: int | None = None
    prompts: tuple[str, ...] = ()
    engine: str | None = None
    dtype: str | None = None
    attention: str | None = None


@dataclass(frozen=True)
class FamilyTest:
    """One test of the primary family."""

    policy: str
    name: str
    test: str
    """gain | ctrl"""
    p: float
    holm: float


@dataclass(frozen=True)
class Pair:
    """Accuracy of method a minus accuracy of method b, paired."""

    a: str
    b: str
    names: tuple[str, str]
    prompts: tuple[str, str]
    difference: Estimate


@dataclass(frozen=True)
class Solves:
    """Share of right samples per item, by policy."""

    items: tuple[str, ...] = ()
    by_policy: dict[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """One completion of a pair of traces."""

    text: str | None
    answer: str | None
    policy: str | None = None


@dataclass(frozen=True)
class Trace:
    """The same item answered by the base and by a method."""

    item: str
    question: str
    gold: str | None
    kind: str
    base: Side
    method: Side


@dataclass
class Comparison:
    """Everything that a report, a tracker or an exporter reads."""

    group: str
    task: str
    lines: list[Line]
    columns: tuple[Column, ...]
    setup: Setup
    rungs: Rungs
    created: float | None = None
    """epoch seconds"""
    frozen: str = "after"
    """"before" or "after": whether the plan was frozen before the first test sample"""
    checkpoint: dict[str, Any] = field(default_factory=dict)
    """facts about the model, as `Checkpoint.info` lists them"""
    ceilings: dict[str, Estimate] = field(default_factory=dict)
    c1: Ceiling | None = None
    correction: str = "Holm"
    tests: tuple[FamilyTest, ...] = ()
    pairs: tuple[Pair, ...] = ()
    solves: Solves = field(default_factory=Solves)
    traces: tuple[Trace, ...] = ()
    warnings: tuple[str, ...] = ()
    calibration: dict[str, Any] = field(default_factory=dict)
    """the shipped calibration files, as they are"""
    commands: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    def table(self, name: str) -> tuple[Column, ...]:
        """The columns of one table of the report, in order."""
        return tuple(column for column in self.columns if column.table == name)

    def line(self, policy: str) -> Line | None:
        """The first line with a policy id."""
        return next((line for line in self.lines if line.id == policy), None)
