"""`elicit add RUN GROUP`: a comparison grows by a run that another command measured, and by the run's placebos.

Nothing is sampled. A run of another base, task or evaluation is refused: a comparison has one base, measured once. What
was frozen when is logged (`evaluate/comparison/additions.py`); the same command of the group keeps the runs added here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from elicit.commands.arguments import COMMON, Command
from elicit.commands.measured import finish
from elicit.commands.saved import SavedComparison, with_placebos
from elicit.errors import ConfigError, DataError
from elicit.evaluate.comparison.additions import Addition, append, frozen_plan
from elicit.evaluate.entry import Entry, check, distinct
from elicit.evaluate.store import SampleFolder
from elicit.experiment.run_folder import RunFolder, all_runs, find_run
from elicit.names import published_node

ADD = Command("add RUN GROUP: name a measured run, then the comparison it joins", {**COMMON, "template": ""}, names=2)
QUIET = ("workers",)
"""settings of an evaluation that change no number"""


def add(words: list[str]) -> int:
    """Check the run against the group, log it, then compare and report again."""
    given = ADD.read(words)
    if len(given.names) != 2:
        raise ConfigError(f"elicit add {given.names[0]}: no comparison; expected: elicit add RUN GROUP")
    run, saved = find_run(given.names[0], given.path("root")), SavedComparison.find(given.names[1], given.path("root"))
    refuse_misfit(run, saved)
    # 1) its entries and those of its placebos, as far as the comparison lacks them
    runs = with_placebos([run])
    new = [Entry.of(plain, saved.root) for one in runs for plain in one.manifest["entries"]]
    here = {entry.key for entry in saved.entries}
    if not (new := distinct(entry for entry in new if entry.key not in here)):
        raise ConfigError(f"{run.path.name} is in {saved.folder.name} already: elicit compare {saved.folder.name}")
    refuse_names(new, saved)
    refuse_orphans(new, saved, run)
    entries = [*saved.entries, *new]
    check(entries, saved.items)  # before anything is written
    # 2) what was frozen when
    group = run.manifest["group"]
    plan, frozen_at = frozen_plan(saved.root / "comparisons" / group)
    names = tuple(dict.fromkeys(entry.name for entry in new))
    folders = tuple(one.path.name for one in runs)
    first = first_sample(new, saved.inputs.items)
    append(saved.folder, Addition(run.path.name, names, folders, time.time(), group, plan, frozen_at, first))
    # 3) the comparison again
    commands = [*saved.inputs.commands, f"elicit add {run.path.name} {saved.folder.name}"]
    inputs = replace(saved.inputs, commands=commands)
    return finish(saved.folder, entries, inputs, saved.settings, given, given.console())


def refuse_misfit(run: RunFolder, saved: SavedComparison) -> None:
    """Raises DataError that names every difference between the run's base, task or evaluation and the group's."""
    manifest, group = run.manifest, saved.folder.name
    if "entries" not in manifest:
        raise DataError(f"{run.path.name}: not measured yet (or a base, which every comparison has); elicit resume it")
    if run.path.resolve().parent != saved.root:
        raise DataError(f"{run.path} is not under {saved.root}: its samples are in another store; run it again there")
    ours, theirs = (published_node(node) for node in (saved.settings.node, run.settings().node))
    base, other = saved.inputs.checkpoint, manifest.get("checkpoint") or {}
    faults = []
    if base.get("id") != other.get("id"):
        faults.append(f"base {other.get('name')} ({other.get('id')}), not {base.get('name')} ({base.get('id')})")
    for part in ("task", "eval"):
        faults += differences(part, ours[part], theirs[part])
    if not faults and list(manifest["items"]) != list(saved.inputs.items):
        faults.append(f"{len(manifest['items'])} test items that are not the {len(saved.inputs.items)} of the group")
    if faults:
        raise DataError(
            f"{run.path.name} does not fit {group}: {'; '.join(faults)}. Run it with the settings of {group}, or "
            f"compare it on the items that both have: elicit compare RUN RUN group=NAME"
        )


def differences(part: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """One text per setting in which two configurations differ.

    >>> differences("eval", {"n": 16, "workers": 2}, {"n": 8, "workers": 1})
    ['eval.n=8, not 16']
    """
    keys = [key for key in {**ours, **theirs} if key not in QUIET and ours.get(key) != theirs.get(key)]
    return [f"{part}.{key}={theirs.get(key)}, not {ours.get(key)}" for key in keys]


def refuse_names(new: Sequence[Entry], saved: SavedComparison) -> None:
    """Raises ConfigError for a policy whose name the group has for another configuration."""
    arms = {entry.name: entry.arm for entry in saved.entries}
    for entry in new:
        if arms.get(entry.name, entry.arm) != entry.arm:
            raise ConfigError(
                f"{saved.folder.name} has a {entry.name} of other settings: run this one again as method.name=OTHER "
                "(its samples are kept, nothing is fitted again)"
            )


def refuse_orphans(new: Sequence[Entry], saved: SavedComparison, run: RunFolder) -> None:
    """Raises ConfigError for a placebo or rival of a method that would not be in the comparison."""
    methods = {entry.name for entry in [*saved.entries, *new] if entry.role == "method"}
    for entry in new:
        if entry.parent is not None and entry.parent not in methods:
            runs = [with_placebos([one]) for one in all_runs(run.path.parent)]
            names = [one.path.name for one, *its in runs if run.path in [placebo.path for placebo in its]]
            way = f"elicit add {names[0]} {saved.folder.name}, its own come along" if names else "add its method first"
            raise ConfigError(
                f"{run.path.name} is a {entry.role} of {entry.parent}, which {saved.folder.name} lacks: {way}"
            )


def first_sample(entries: Sequence[Entry], items: Sequence[str]) -> float | None:
    """When the first test sample of these policies was begun; None if a time is not known."""
    timings = [shard for entry in entries for shard in SampleFolder(Path(entry.samples)).timings]
    return min((shard.begun for shard in timings if set(items) & set(shard.items)), default=None)
