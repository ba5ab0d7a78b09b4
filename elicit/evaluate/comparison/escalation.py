"""Escalation: is what only the method solved really out of the base's reach? Ask the base more often.

    E items -> base at T = 1, 64 samples -> still unsolved: 256 -> still unsolved: 1,024

`look` drives it: it decides from the samples there are which items need more, and asks `sampled` for them; the
store grows by key, so nothing is sampled twice and an interrupted escalation goes on. What no sample solves gets
the 95 % upper bound 1 - 0.05^(1/K) on the base's rate. `escalation.json` beside a comparison is read by the next
`elicit compare`. What this module does not know: models, tasks, how samples are made. No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from elicit.errors import ConfigError
from elicit.evaluate.measures.measure import Measures, measure
from elicit.evaluate.metrics.support import LEVELS, escalate, novel, outcome
from elicit.files import read_json, write_json
from elicit.records import Item

FILE = "escalation.json"
SCHEMA = 1
Sampled = Callable[[list[Item], int], tuple[Path, Path]]
"""(items, n) -> folders of base samples in regime `support` and of their grades, n an item there"""


def look(
    methods: Mapping[str, Measures],
    base: Measures,
    items: Sequence[Item],
    sampled: Sampled,
    levels: Sequence[int] = LEVELS,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Sample the base on every method's E items, level by level, until a hit or the last level.

    Returns {"levels", "items": {id: n, right, upper_bound}, "methods": {name: totals}}.
    Raises ConfigError on levels that do not rise.
    """
    if not levels or list(levels) != sorted(set(levels)) or levels[0] < 1:
        raise ConfigError(f"levels={list(levels)}: numbers of base samples that rise, such as {list(LEVELS)}")
    found = {name: novel(method, base) for name, method in methods.items()}
    wanted = {item for ids in found.values() for item in ids}
    left, known = [item for item in items if item.id in wanted], {}
    for level in levels:
        if not left:
            break
        say(f"base support: {len(left)} items at {level} samples")
        drawn = measure(*sampled(left, level), left)
        known.update(outcome(drawn))
        unsolved = {item for ids in escalate([item.id for item in left], drawn, tuple(levels)).values() for item in ids}
        left = [item for item in left if item.id in unsolved]
    totals = {name: total(ids, known) for name, ids in found.items()}
    return {"schema": SCHEMA, "levels": list(levels), "items": known, "methods": totals}


def total(ids: Sequence[str], known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Of these E items: how many the base solves when asked often enough, and the bound on the others' rates."""
    bounds = [known[item]["upper_bound"] for item in ids if item in known and known[item]["upper_bound"] is not None]
    return {
        "E": len(ids),
        "asked": sum(item in known for item in ids),
        "solved_by_base": sum(bool(known[item]["right"]) for item in ids if item in known),
        "unsolved": len(bounds),
        "upper_bound": max(bounds, default=None),
    }


def save(found: Mapping[str, Any], folder: Path) -> Path:
    """Write escalation.json beside a comparison."""
    path = Path(folder) / FILE
    write_json(path, dict(found))
    return path


def attach(lines: Sequence[dict[str, Any]], folder: Path) -> None:
    """Put what an escalation found into the support of the methods' lines; does nothing where there was none."""
    path = Path(folder) / FILE
    if not path.exists():
        return
    totals = read_json(path)["methods"]
    for line in lines:
        if line["id"] in totals and "refused" not in line.get("support", {"refused": ""}):
            line["support"]["escalation"] = totals[line["id"]]
