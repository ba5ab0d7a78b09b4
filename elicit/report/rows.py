"""A comparison.json, read, checked, made inert, and put in the order in which it is told.

Base rungs first, then ceilings, then every method followed by its placebos and its rivals. Knows the
schema of comparison.json, not how anything is computed or drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from elicit.errors import DataError
from elicit.files import read_json
from elicit.report.numbers import Shown, Unit, bounds, show
from elicit.report.text import clean, one_line
from elicit.results.comparison import Line
from elicit.results.version1 import upgraded_line

ROLES = ("base", "prompt", "ceiling", "method", "placebo", "rival")
GROUPS = {"base": "Base rungs", "prompt": "Base rungs", "ceiling": "Ceilings"}


@dataclass(frozen=True)
class Column:
    """One measured column of the scorecard."""

    key: str
    title: str
    unit: Unit
    get: Callable[[dict[str, Any]], Any]
    """the estimate or refusal in a policy of comparison.json"""
    meaning: str


def inner(*path: str) -> Callable[[dict[str, Any]], Any]:
    """How to get at a value in a policy of comparison.json; a refusal on the way is what is got."""

    def get(policy: dict[str, Any]) -> Any:
        value: Any = policy
        for name in path:
            if isinstance(value, dict) and value.get("refused"):
                return value
            value = value.get(name) if isinstance(value, dict) else None
        return value

    return get


def hardest(*keys: str) -> Callable[[dict[str, Any]], Any]:
    """How to get the difference at equal tokens with the least lower bound: to the base's vote or to the surest of its
    samples, over the named matches. Where no difference has a figure, the first refusal."""

    def get(policy: dict[str, Any]) -> Any:
        told = [inner(key, *path, "difference")(policy) for key in keys for path in ((), ("best",))]
        known = [(found[1], place) for place, value in enumerate(told) if (found := bounds(value))]
        return told[min(known)[1]] if known else next((value for value in told if value is not None), None)

    return get


COLUMNS = (
    Column("acc", "Accuracy", "percent", inner("acc"), "strict accuracy, percent"),
    Column("ef_b0_c4", "EF B0\u2192C4", "ratio", inner("ef", "B0/C4"), "share of the gap from B0 to C4"),
    Column("ef_b0_c1", "EF B0\u2192C1", "ratio", inner("ef", "B0/C1"), "share of the gap from B0 to C1"),
    Column("ef_b1_c4", "EF B1\u2192C4", "ratio", inner("ef", "B1/C4"), "share of the gap from B1 to C4"),
    Column("ef_b1_c1", "EF B1\u2192C1", "ratio", inner("ef", "B1/C1"), "share of the gap from B1 to C1"),
    Column("gain", "Gain over B0", "points", inner("gain", "B0"), "paired difference to the bare base, points"),
    Column("ctrl", "Control-adjusted", "points", inner("ctrl", "gain"),
           "gain over the better of base and strongest placebo, points"),
    Column("matched", "At equal tokens", "points", hardest("matched"),
           "paired difference to what the base's own samples give for the same tokens: their vote or the surest of "
           "them, whichever is harder to beat, points"),
    Column("matched_support", "At equal tokens, T=1", "points", hardest("matched_support"),
           "the same against the base's samples at temperature 1 (regime support), points"),
)  # fmt: skip
ROUTINE = ("base", "prompt", "ceiling")
"""roles for which gains and fractions mean nothing and are left blank"""


@dataclass(frozen=True)
class Row:
    """One policy, ready to print."""

    policy: dict[str, Any]
    name: str
    group: str
    depth: int
    """0 for base rungs, ceilings and methods; 1 for placebos and rivals under their method"""
    badge: str
    """B0, B1, or the role"""

    @cached_property
    def line(self) -> Line:
        """The policy as a typed line: what figures read."""
        return upgraded_line(self.policy)

    @property
    def label(self) -> str:
        """The name without its method's, for places where it stands indented under it."""
        if self.depth:
            for parent in (self.policy.get("parent"), self.policy.get("method")):
                rest = self.name.removeprefix(one_line(parent or "", 48)).lstrip(" :/-.+")
                if parent and rest and rest != self.name:
                    return rest
        return f"{self.name}, asked {self.policy['prompt']}" if self.policy.get("at_own_prompt") else self.name

    @property
    def role(self) -> str:
        return str(self.policy["role"])

    def cell(self, column: Column) -> Shown:
        """What stands in a column of this row."""
        if self.role in ROUTINE and column.key not in ("acc", "gain"):
            return Shown()
        if self.role != "method" and column.key == "ctrl":
            return Shown()
        if self.badge == "B0" and column.key == "gain":
            return Shown()
        return show(column.get(self.policy), column.unit)

    @property
    def sample_size(self) -> str:
        """Items x samples, as text."""
        return f"{self.policy.get('n_items', '?')}\u00a0\u00d7\u00a0{self.policy.get('n', '?')}"

    @property
    def seeds(self) -> int:
        return int(self.policy.get("seeds") or 1)

    @property
    def data_class(self) -> str:
        return str(self.policy.get("data_class") or "unaccounted")


def load(source: dict[str, Any] | Path | str) -> dict[str, Any]:
    """A comparison as an inert dict. Raises DataError where it is not a comparison that this version can read."""
    comparison = read_json(Path(source)) if isinstance(source, Path | str) else source
    where = str(source) if isinstance(source, Path | str) else "the comparison"
    if not isinstance(comparison, dict) or comparison.get("schema") != 1:
        found = comparison.get("schema") if isinstance(comparison, dict) else type(comparison).__name__
        raise DataError(f"{where}: schema {found!r}, expected 1; make it again with `elicit compare`")
    policies = comparison.get("policies")
    if not policies:
        raise DataError(f"{where}: no policies; make it again with `elicit compare`")
    for number, policy in enumerate(policies):
        missing = [key for key in ("id", "name", "role", "acc") if key not in policy]
        if missing:
            raise DataError(
                f"{where}: policy {number} has no {', '.join(missing)}; make it again with `elicit compare`"
            )
        if policy["role"] not in ROLES:
            raise DataError(f"{where}: policy {number} has role {policy['role']!r}; known: {', '.join(ROLES)}")
    return _completed(clean(comparison))


def _completed(comparison: dict[str, Any]) -> dict[str, Any]:
    """Ceilings know their value, traces the name of their policy, and the date is readable."""
    ceilings = comparison.get("ceilings") or {}
    names = {policy["id"]: policy["name"] for policy in comparison["policies"]}
    policies = [
        policy | {"ceiling": ceilings.get(policy["name"])} if policy["role"] == "ceiling" else policy
        for policy in comparison["policies"]
    ]
    traces = [_named(trace, names) for trace in comparison.get("traces") or []]
    created = comparison.get("created")
    if isinstance(created, int | float):
        created = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return comparison | {"policies": policies, "traces": traces, "created": created}


def _named(trace: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    method = trace.get("method") or {}
    return trace | {"method": method | {"policy": names.get(str(method.get("policy")), method.get("policy"))}}


def rows(comparison: dict[str, Any]) -> list[Row]:
    """Every policy once, in the order of the scorecard."""
    policies = comparison["policies"]
    badges = _badges(comparison)
    methods = [policy for policy in policies if policy["role"] == "method"]
    children = [policy for policy in policies if policy["role"] in ("placebo", "rival")]
    homes = [_home(child, methods) for child in children]
    out = [_row(p, GROUPS[p["role"]], 0, badges) for role in ("base", "prompt", "ceiling")
           for p in policies if p["role"] == role]  # fmt: skip
    for number, method in enumerate(methods):
        out.append(_row(method, "Methods", 0, badges))
        own = [child for child, home in zip(children, homes, strict=True) if home == number]
        out.extend(_row(p, "Methods", 1, badges) for role in ("placebo", "rival") for p in own if p["role"] == role)
    strays = [child for child, home in zip(children, homes, strict=True) if home is None]
    out.extend(_row(p, "Controls without their method", 1, badges) for p in strays)
    return out


def _badges(comparison: dict[str, Any]) -> dict[str, str]:
    rungs = comparison.get("rungs") or {}
    badges: dict[str, str] = {}
    for rung in ("B1", "B0"):
        if rungs.get(rung):
            badges[rungs[rung]] = rung
    return badges


def _home(child: dict[str, Any], methods: list[dict[str, Any]]) -> int | None:
    """The index of the method that a placebo or rival belongs to: by name, else by method, same prompt first."""
    parent = child.get("parent") or child.get("method")
    fits = [i for i, m in enumerate(methods) if m["name"] == parent] or [
        i for i, m in enumerate(methods) if m.get("method") == parent
    ]
    if not fits:
        return None
    return max(fits, key=lambda i: (methods[i].get("prompt") == child.get("prompt"),
                                    methods[i].get("seed") == child.get("seed"), -i))  # fmt: skip


def _row(policy: dict[str, Any], group: str, depth: int, badges: dict[str, str]) -> Row:
    badge = "ceiling" if policy["role"] == "ceiling" else badges.get(policy["id"], policy["role"])
    return Row(policy, one_line(policy["name"], 48), group, depth, badge)


def used_columns(table: list[Row]) -> list[Column]:
    """The columns that at least one row fills, be it with a refusal."""
    return [c for c in COLUMNS if any(row.cell(c) != Shown() for row in table)]


def reasons(table: list[Row], columns: list[Column]) -> list[str]:
    """Each distinct reason of a refusal in the table, in full, with the columns and rows it concerns."""
    found: dict[str, list[str]] = {}
    for row in table:
        for column in columns:
            cell = row.cell(column)
            if cell.refused:
                found.setdefault(cell.refused, []).append(f"{row.name} ({column.title})")
    return [f"{reason}: {', '.join(where[:6])}" + (f" and {len(where) - 6} more" if len(where) > 6 else "")
            for reason, where in found.items()]  # fmt: skip
