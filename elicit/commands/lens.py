"""`elicit lens GROUP [NAMES]`: read a comparison through lenses; lenses.json beside comparison.json.

    {"schema": 1, "group", "task", "inputs", "created", "lenses": {name: Reading.plain()}}      (lenses/lens.py)

Without `run=true` nothing is sampled: lenses that need more say so. No torch but with it. Readings of the same
comparison are kept beside new ones; those of another one (other entries, items or settings) are dropped.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elicit.commands.arguments import split
from elicit.commands.measured import find_comparison, settings_of
from elicit.console import Console
from elicit.errors import ConfigError, DataError, near
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
KNOWN = ("root", "output", "run", "text")


def lens(arguments: list[str]) -> int:
    """`elicit lens GROUP|RUN [NAME ...] [run=true] [text=FILE] [root=runs] [output=json]`."""
    words, given = split(arguments, KNOWN)
    if not words:
        raise ConfigError(f"elicit lens GROUP [NAME ...]: name a comparison; lenses: {', '.join(LENSES)}")
    unknown = [name for name in words[1:] if name not in LENSES]
    if unknown:
        raise ConfigError("; ".join(f"{name}: no such lens; {near(name, LENSES)}" for name in unknown))
    names, console = words[1:] or list(LENSES), Console(given.get("output", "text"))
    folder = find_comparison(words[:1], given, "lens")
    saved = read_json(folder / "inputs.json")
    chosen = settings_of(folder)
    entries = [Entry.of(plain) for plain in saved["entries"]]
    items = _items(saved["items"], chosen.task)
    if given.get("run", "false").lower() in ("true", "1", "yes"):
        from elicit.commands.lens_run import Runner

        Runner(chosen, entries, items, console, given.get("text")).run(names)
    view = _view(entries, items, chosen.task, saved["config"], names)
    readings = read(view, names, console)
    _write(folder, saved, chosen.task.name, readings)
    console.say(f"lenses: {folder / FILE}")
    console.result({"lenses": {reading.lens: reading.plain() for reading in readings}})
    return 0


def read(view: View, names: Sequence[str], console: Console) -> list[Reading]:
    """Readings of these lenses, each said aloud."""
    out = []
    for name in names:
        out.append(LENSES[name].read(view))
        console.say(f"\n{name}: {out[-1].about}")
        for part in out[-1].says.split("; "):
            console.say(f"  {part}")
    return out


def _items(wanted: Sequence[str], task: Any) -> list[Item]:
    known = {item.id: item for split_ in ("test", "dev") for item in task.items(split_)}
    missing = [name for name in wanted if name not in known]
    if missing:
        raise DataError(f"{len(missing)} items of the comparison are no longer in {task.name}: {missing[0]}")
    return [known[name] for name in wanted]


def _view(entries: list[Entry], items: list[Item], task: Any, config: dict[str, Any], names: Sequence[str]) -> View:
    """The view of a comparison, with the shift axes that all of its policies were sampled on."""

    def one(of: Sequence[Item]) -> View:
        return make_view(entries, of, task, config["draws"], config["seed"], lambda e: stored_probes(e.samples))

    view = one(items)
    if not any(LENSES[name].needs == SHIFTS or name == "length" for name in names):
        return view
    shifted = {}
    for axis in (axis for axis in AXES if axis in task.splits()):
        found = _sampled(entries, task.items(axis))
        if found:
            shown = [entry for entry in entries if entry.role != "ceiling"]
            shifted[axis] = make_view(shown, found, task, config["draws"], config["seed"])
    return dataclasses.replace(view, shifted=shifted)


def _sampled(entries: Sequence[Entry], items: Sequence[Item]) -> list[Item]:
    """Those of the items that every policy of the comparison has finished samples of."""
    common = {item.id for item in items}
    for entry in entries:
        if entry.role != "ceiling":
            common &= SampleFolder(Path(entry.samples)).items
    return [item for item in items if item.id in common]


def _write(folder: Path, saved: dict[str, Any], task: str, readings: Sequence[Reading]) -> None:
    """lenses.json: new readings beside older ones of the same comparison."""
    path, inputs = folder / FILE, content_hash({key: saved[key] for key in ("entries", "items", "config")})
    old = read_json(path) if path.exists() else {}
    kept = old.get("lenses", {}) if old.get("inputs") == inputs else {}
    new = {reading.lens: reading.plain() for reading in readings}
    ordered = {name: {**kept, **new}[name] for name in LENSES if name in kept or name in new}
    write_json(path, {"schema": 1, "group": folder.name, "task": task, "inputs": inputs, "created": time.time(),
                      "lenses": ordered})  # fmt: skip
