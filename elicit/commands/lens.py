"""`elicit lens GROUP [NAMES]`: read a comparison through lenses; lenses.json next to comparison.json.

    {"schema": 1, "group", "task", "inputs", "created", "lenses": {name: Reading.plain()}}      (lenses/lens.py)

Without `run=true` nothing is sampled: a lens that needs more says so. No torch without it. Readings of the same
comparison are kept next to new ones; those of another one (other entries, items or settings) are dropped.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elicit.commands.arguments import COMMON, MANY, Command
from elicit.commands.saved import SavedComparison
from elicit.console import Console
from elicit.errors import ConfigError, near
from elicit.evaluate.entry import Entry
from elicit.evaluate.lenses import LENSES, Reading
from elicit.evaluate.lenses.lens import SHIFTS
from elicit.evaluate.lenses.view import View, make_view
from elicit.evaluate.stages.probes import stored_probes
from elicit.evaluate.store import SampleFolder
from elicit.files import content_hash, read_json, write_json
from elicit.records import Item
from elicit.tasks.task import SHIFTS as AXES

FILE = "lenses.json"
LENS = Command(
    f"lens GROUP [NAME ...]: name a comparison; lenses: {', '.join(LENSES)}",
    {**COMMON, "run": "false", "text": ""},
    names=MANY,
)


def lens(words: list[str]) -> int:
    """`elicit lens GROUP|RUN [NAME ...] [run=true] [text=FILE] [root=runs] [output=json]`."""
    given = LENS.read(words)
    group, *names = given.names
    if unknown := [name for name in names if name not in LENSES]:
        raise ConfigError("; ".join(f"{name}: no such lens; {near(name, LENSES)}" for name in unknown))
    names, console = names or list(LENSES), given.console()
    saved = SavedComparison.find(group, given.path("root"))
    if given.flag("run"):
        from elicit.commands.lens_run import Runner

        Runner(saved.settings, saved.entries, saved.items, console, given["text"] or None).run(names)
    readings = read(view_of(saved, names), names, console)
    keep(saved, readings)
    console.say(f"lenses: {saved.folder / FILE}")
    console.result({"lenses": {reading.lens: reading.plain() for reading in readings}})
    return 0


def read(view: View, names: Sequence[str], console: Console) -> list[Reading]:
    """Readings of these lenses, each printed."""
    out = []
    for name in names:
        out.append(LENSES[name].read(view))
        console.say(f"\n{name}: {out[-1].about}")
        for part in out[-1].says.split("; "):
            console.say(f"  {part}")
    return out


def view_of(saved: SavedComparison, names: Sequence[str]) -> View:
    """The view of a comparison, with the shift axes that all of its policies were sampled on."""
    task, config = saved.settings.task, saved.inputs.config
    draws, seed = config.draws, config.seed
    view = make_view(saved.entries, saved.items, task, draws, seed, lambda entry: stored_probes(entry.samples))
    if not any(LENSES[name].needs == SHIFTS or name == "length" for name in names):
        return view
    shown = [entry for entry in saved.entries if entry.role != "ceiling"]
    shifted = {}
    for axis in (axis for axis in AXES if axis in task.splits()):
        if sampled := _sampled_by_all(shown, task.items(axis)):
            shifted[axis] = make_view(shown, sampled, task, draws, seed)
    return dataclasses.replace(view, shifted=shifted)


def _sampled_by_all(entries: Sequence[Entry], items: Sequence[Item]) -> list[Item]:
    """The items for which every one of these policies has finished samples."""
    common = {item.id for item in items}
    for entry in entries:
        common &= SampleFolder(Path(entry.samples)).items
    return [item for item in items if item.id in common]


def keep(saved: SavedComparison, readings: Sequence[Reading]) -> None:
    """lenses.json: new readings next to older ones of the same comparison."""
    path = saved.folder / FILE
    written = read_json(saved.folder / "inputs.json")
    inputs = content_hash({key: written[key] for key in ("entries", "items", "config")})
    old: dict[str, Any] = read_json(path) if path.exists() else {}
    kept = old.get("lenses", {}) if old.get("inputs") == inputs else {}
    new = {reading.lens: reading.plain() for reading in readings}
    ordered = {name: {**kept, **new}[name] for name in LENSES if name in kept or name in new}
    write_json(
        path,
        {
            "schema": 1,
            "group": saved.folder.name,
            "task": saved.settings.task.name,
            "inputs": inputs,
            "created": time.time(),
            "lenses": ordered,
        },
    )
