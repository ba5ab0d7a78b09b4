"""What a comparison is made of: one entry a policy, and the check that their numbers may stand side by side.

An entry names folders; it is JSON-able, so a comparison can be computed again from its `inputs.json` alone, also after
its root was moved (`located`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elicit.errors import ConfigError, LedgerError, StageError, near
from elicit.evaluate.store import SampleFolder, StageFolder
from elicit.records import Item

ROLES = ("base", "prompt", "method", "placebo", "rival", "ceiling")
CEILINGS = ("C1", "C1/direct", "C2", "C3", "C4")
ALIKE = ("checkpoint", "dtype", "attention", "task", "stop", "max_new_tokens", "regime")
"""settings of a samples folder that all entries share, but for those that are `EXEMPT`. Another engine is a warning: it
draws the same paths up to float noise"""

EXEMPT = (("C1", "regime"), ("C2", "checkpoint"))
"""C1 alone is in regime `support`, C2 alone of another checkpoint"""
FOLDERS = ("samples", "grades", "at_one")


@dataclass(frozen=True)
class Entry:
    """One policy of a comparison."""

    role: str
    """base (B0, bare prompt) | prompt (another fixed prompt, and B2) | method | placebo | rival | ceiling"""
    name: str
    """the same for all seeds of an arm; ceilings: C1, C1/direct (guessing null at T=1), C2, C2/..., C3, C4, C4/..."""
    policy: str
    samples: Path
    grades: Path
    at_one: Path | None = None
    """samples at T=1 of some of the items, whose annotations give KL and likelihood; None: those of `samples`"""
    method: str | None = None
    parent: str | None = None
    """name of the method that a placebo or rival belongs to"""
    arm: str | None = None
    prompt: str = "bare"
    own_prompt: str | None = None
    """the fixed prompt it is best at on dev; None: not looked for"""
    b2: str | None = None
    """name of the entry that is its rung B2: B1 forced to its tokens, or B1 itself; None: not measured"""
    seed: int | None = None
    n: int | None = None
    """samples wanted of each item; None: as many as the comparison says"""
    data_class: str | None = None
    ledger: dict[str, int] = field(default_factory=dict)
    """label_bits, select_bits, foreign_tokens, own_activations"""
    used_items: tuple[str, ...] = ()
    fit_seconds: float | None = None
    fit_warnings: tuple[str, ...] = ()
    """what the method said of its own fit, e.g. that a dictionary misses its gate"""
    run: str | None = None
    edit: dict[str, float] | None = None
    on: tuple[str, ...] = ()
    """names of the rows, or of the runs, that it is stacked on"""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ConfigError(f"role={self.role!r} of {self.name!r}: {near(self.role, ROLES)}")
        if self.role == "ceiling" and self.name.split("/")[0] not in CEILINGS:
            raise ConfigError(f"ceiling {self.name!r}: {', '.join(CEILINGS)}, or one of these with /...")

    @property
    def row(self) -> tuple[str, str, str, str | None]:
        """Entries with this in common are seeds of one row."""
        return (self.role, self.name, self.prompt, self.arm)

    @property
    def key(self) -> tuple[str, tuple[str, str, str, str | None]]:
        """Entries with this in common are one policy in one row, whatever their seed."""
        return self.policy, self.row

    def plain(self) -> dict[str, Any]:
        """JSON-able fields."""
        folders = {name: None if (path := getattr(self, name)) is None else str(path) for name in FOLDERS}
        return {**dataclasses.asdict(self), **folders}

    @staticmethod
    def of(plain: dict[str, Any], root: Path | None = None) -> Entry:
        """The inverse of `plain`. `root`: the root that it was read from, which may have been moved (`located`)."""
        known = {f.name for f in dataclasses.fields(Entry)}
        if unknown := sorted(set(plain) - known):
            raise ConfigError(f"entry with {', '.join(unknown)}: {near(unknown[0], known)}")
        folders: dict[str, Any] = {
            name: located(Path(plain[name]), root) for name in FOLDERS if plain.get(name) is not None
        }
        run = None if plain.get("run") is None else str(located(Path(plain["run"]), root))
        tuples = {name: tuple(plain.get(name, ())) for name in ("used_items", "fit_warnings", "on")}
        return Entry(**{**plain, **folders, **tuples, "run": run})


def located(recorded: Path, root: Path | None) -> Path:
    """A recorded folder; if it no longer exists, the one of the same name below a root that was moved or copied.

    A path records its old root, whose length is not known: the longest ending that exists below `root` counts.
    """
    if root is None or recorded.exists():
        return recorded
    endings = (Path(*recorded.parts[k:]) for k in range(1, len(recorded.parts)))
    return next((root / ending for ending in endings if (root / ending).exists()), recorded)


def distinct(entries: Iterable[Entry]) -> list[Entry]:
    """The first entry of each policy and row: a method without randomness gives one policy for all of its seeds."""
    first: dict[Any, Entry] = {}
    for entry in entries:
        first.setdefault(entry.key, entry)
    return list(first.values())


def check(entries: Sequence[Entry], items: Sequence[Item]) -> dict[str, Any]:
    """Raises where entries can't be compared, naming both sides; returns the settings they share.

    `engines`: the engine that drew each entry, by its name.

    StageError: a folder is unfinished, or two were made with different settings or graders. LedgerError: an
    item was used for fitting. ConfigError: no base, several bases, an entry twice.
    """
    bases = [entry for entry in entries if entry.role == "base"]
    if len(bases) != 1:
        raise ConfigError(f"{len(bases)} entries with role=base: a comparison has exactly one (B0, the bare prompt)")
    seen: dict[Any, Entry] = {}
    for entry in entries:
        if entry.key in seen:
            raise ConfigError(f"{entry.name!r} (policy {entry.policy}) is given twice: give each seed of an arm once")
        seen[entry.key] = entry
        _unused(entry, items)
    settings = {id(entry): _settings(entry) for entry in entries}
    first = bases[0]
    _same_prompts(entries, settings)
    for entry in entries:
        for name in ALIKE:
            if entry.role == "ceiling" and (entry.name.split("/")[0], name) in EXEMPT:
                continue
            ours, theirs = settings[id(first)].get(name), settings[id(entry)].get(name)
            if ours != theirs:
                raise StageError(
                    f"{name} differs: {first.name!r} has {ours!r} ({first.samples}), {entry.name!r} has {theirs!r} "
                    f"({entry.samples}); sample both alike before comparing"
                )
        _same_grader(first, entry)
    engines = {entry.name: settings[id(entry)].get("engine") for entry in entries}
    return {**settings[id(first)], "engines": engines}


def _same_prompts(entries: Sequence[Entry], settings: dict[int, dict[str, Any]]) -> None:
    """Raises StageError if two entries, ceilings aside, were asked by different prompts of one name."""
    by_name: dict[str, Entry] = {}
    for entry in (entry for entry in entries if entry.role != "ceiling"):
        first = by_name.setdefault(entry.prompt, entry)
        ours, theirs = (settings[id(one)].get("prompt") for one in (first, entry))
        if ours != theirs:
            raise StageError(
                f"prompt {entry.prompt!r} differs: {first.name!r} was asked {ours!r} ({first.samples}), {entry.name!r} "
                f"{theirs!r} ({entry.samples}); sample both alike before comparing"
            )


def _unused(entry: Entry, items: Sequence[Item]) -> None:
    both = sorted(set(entry.used_items) & {item.id for item in items})
    if both:
        raise LedgerError(
            f"{entry.name!r} used {len(both)} of these items for fitting or selection ({', '.join(both[:3])}, ...): "
            "evaluate on a split that it has not seen"
        )


def _settings(entry: Entry) -> dict[str, Any]:
    samples = SampleFolder(Path(entry.samples))
    if not samples.finished:
        raise StageError(
            f"{entry.samples}: sampling {entry.name!r} is not finished (no manifest.json); elicit resume goes on"
        )
    return samples.manifest["settings"]


def _same_grader(first: Entry, other: Entry) -> None:
    """One grader version for all: the fingerprints of the grade folders agree but for the samples they graded."""
    for entry in (first, other):
        if StageFolder(Path(entry.grades)).fingerprint is None:
            raise StageError(
                f"{entry.grades}: no fingerprint.json, {entry.name!r} is not graded; grade it (elicit score)"
            )
    ours, theirs = (grader_of(Path(entry.grades)) for entry in (first, other))
    if ours != theirs:
        raise StageError(
            f"grader differs: {first.name!r} ({first.grades}) and {other.name!r} ({other.grades}) were graded by "
            "different versions or tasks; grade again (elicit score)"
        )


def grader_of(grades: Path) -> dict[str, str]:
    """The version of the grader and the task that grades were made with, whatever samples they are of."""
    inputs = StageFolder(grades).fingerprint or {}
    return {name: value for name, value in inputs.items() if name in ("grader", "task")}
