"""Escalation: is what only the method solved really out of the base's reach? Ask the base more often.

    E items -> base at T = 1, 64 samples -> still unsolved: 256 -> still unsolved: 1,024

`look` drives it: it decides from the existing samples which items need more, and asks `sampled` for them; the
store grows by key, so nothing is sampled twice and an interrupted escalation goes on. What no sample solves gets
the 95 % upper bound 1 - 0.05^(1/K) on the base's rate. `escalation.json` next to a comparison is read by the next
`elicit compare`. What this module does not know: models, tasks, how samples are made. No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elicit.errors import ConfigError
from elicit.evaluate.measures.measure import Measures, measure
from elicit.evaluate.metrics.metric import put
from elicit.evaluate.metrics.support import LEVELS, Outcome, escalate, novel, outcome
from elicit.files import read_json, record, write_json
from elicit.records import Item
from elicit.results import Line

FILE = "escalation.json"
SCHEMA = 1
Sampled = Callable[[list[Item], int], tuple[Path, Path]]
"""(items, n) -> folders of base samples in regime `support` and of their grades, n per item"""


@dataclass(frozen=True)
class Total:
    """What asking the base more often gave for the items that one method solved and no sample of the base."""

    E: int
    """these items"""
    asked: int
    solved_by_base: int
    unsolved: int
    upper_bound: float | None
    """95 % bound on the base's rate on the unsolved ones, the largest; None if all were solved"""


@dataclass(frozen=True)
class Escalation:
    """The content of escalation.json."""

    levels: tuple[int, ...]
    items: dict[str, Outcome]
    methods: dict[str, Total]
    """by policy id"""

    def plain(self) -> dict[str, Any]:
        """As the file holds it."""
        items = {item: of._asdict() for item, of in self.items.items()}
        methods = {name: asdict(total) for name, total in self.methods.items()}
        return {"schema": SCHEMA, "levels": list(self.levels), "items": items, "methods": methods}


def look(
    methods: Mapping[str, Measures],
    base: Measures,
    items: Sequence[Item],
    sampled: Sampled,
    levels: Sequence[int] = LEVELS,
    say: Callable[[str], None] = lambda line: None,
) -> Escalation:
    """Sample the base on every method's E items, level by level, until a hit or the last level.

    Raises ConfigError on levels that do not rise.
    """
    if not levels or list(levels) != sorted(set(levels)) or levels[0] < 1:
        raise ConfigError(f"levels={list(levels)}: numbers of base samples that rise, such as {list(LEVELS)}")
    novel_to = {name: novel(method, base) for name, method in methods.items()}
    wanted = {item for ids in novel_to.values() for item in ids}
    left = [item for item in items if item.id in wanted]
    outcomes: dict[str, Outcome] = {}
    for level in levels:
        if not left:
            break
        say(f"base support: {len(left)} items at {level} samples")
        drawn = measure(*sampled(left, level), left)
        outcomes.update(outcome(drawn))
        unsolved = {item for ids in escalate([item.id for item in left], drawn, tuple(levels)).values() for item in ids}
        left = [item for item in left if item.id in unsolved]
    return Escalation(tuple(levels), outcomes, {name: total(ids, outcomes) for name, ids in novel_to.items()})


def total(ids: Sequence[str], outcomes: Mapping[str, Outcome]) -> Total:
    """Of these E items: how many the base solves when asked often enough, and the bound on the others' rates."""
    asked = [outcomes[item] for item in ids if item in outcomes]
    bounds = [of.upper_bound for of in asked if of.upper_bound is not None]
    solved = sum(of.right > 0 for of in asked)
    return Total(len(ids), len(asked), solved, len(bounds), max(bounds, default=None))


def save(found: Escalation, folder: Path) -> Path:
    """Write escalation.json into the folder of a comparison."""
    path = Path(folder) / FILE
    write_json(path, found.plain())
    return path


def attach(lines: Sequence[Line], folder: Path) -> None:
    """Put the totals of an escalation into the support of the methods' lines, if there was one.

    Also if the support was refused: the items were asked of the base at T=1, which is what an escalation claims, while
    a refused support lacks the method's samples at T=1.
    """
    path = Path(folder) / FILE
    if not path.exists():
        return
    totals = {name: record(Total, of, path) for name, of in read_json(path)["methods"].items()}
    for line in lines:
        if line.id in totals:
            for name, number in asdict(totals[line.id]).items():
                put(line, f"support/escalation/{name}", number)
