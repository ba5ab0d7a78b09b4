"""A comparison on disk, as commands need it: found by name, with its settings, entries and items. No torch.

    saved = SavedComparison.find("demo", Path("runs"))       a group, the path of its folder, or one of its runs
    saved.settings, saved.entries, saved.items

Samples nothing and changes nothing. Knows no command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from elicit.config import Settings
from elicit.errors import ConfigError, DataError, near
from elicit.evaluate.entry import Entry
from elicit.experiment.plan import DRAW
from elicit.experiment.run_folder import RunFolder, all_runs, find_run
from elicit.experiment.stack import rows_of
from elicit.records import Item

if TYPE_CHECKING:
    from elicit.evaluate.comparison.inputs import Inputs


@dataclass(frozen=True)
class SavedComparison:
    """The folder <root>/comparisons/GROUP, read on demand."""

    folder: Path

    @staticmethod
    def find(name: str, root: Path) -> SavedComparison:
        """By group, path or run. Raises ConfigError with near matches if there is no such comparison."""
        groups = root / "comparisons"
        for folder in (groups / name, Path(name)):
            if (folder / "inputs.json").exists() or (folder / "comparison.json").exists():
                return SavedComparison(folder)
        runs = [run.path.name for run in all_runs(root)]
        known = [path.parent.name for path in groups.glob("*/inputs.json")]
        if name not in runs and not (Path(name) / "manifest.json").exists():
            raise ConfigError(f"{name}: no comparison or run under {root}; {near(name, [*known, *runs])}")
        return SavedComparison.of_run(find_run(name, root))

    @staticmethod
    def of_run(run: RunFolder) -> SavedComparison:
        """The comparison that a run was measured in."""
        return SavedComparison(run.path.parent / "comparisons" / run.manifest["group"])

    @cached_property
    def inputs(self) -> Inputs:
        """What the comparison was computed from, with the folders of today if the root was moved."""
        from elicit.evaluate.comparison.inputs import Inputs

        return Inputs.read(self.folder)

    @property
    def entries(self) -> Sequence[Entry]:
        """One per policy and seed; "unaccounted" if the ledger that its data class came from is gone or changed."""
        return [_accounted(entry) for entry in self.inputs.entries]

    @property
    def root(self) -> Path:
        """The root that holds the comparison, its runs and its store."""
        return self.folder.resolve().parent.parent

    @cached_property
    def settings(self) -> Settings:
        """The settings of any of its runs: they share model, task and evaluation. Raises DataError if none is left."""
        for path in (Path(entry.run) for entry in self.entries if entry.run):
            if (path / "config.yaml").exists():
                return RunFolder(path).settings()
        for run in all_runs(self.root):
            if run.manifest.get("group") == self.folder.name:
                return run.settings()
        raise DataError(
            f"{self.folder}: no run folder of this comparison under {self.root}; keep runs and comparisons together"
        )

    @cached_property
    def items(self) -> list[Item]:
        """The items that all policies were measured on, in their order."""
        return items_of(self.settings, self.inputs.items)


def _accounted(entry: Entry) -> Entry:
    from elicit.ledger import data_class

    run = Path(entry.run) if entry.run else None
    if run is None or not (run / "manifest.json").exists():
        return entry
    lost = data_class(rows_of(RunFolder(run))) == "unaccounted"
    return replace(entry, data_class="unaccounted") if lost else entry


def with_placebos(runs: Sequence[RunFolder]) -> list[RunFolder]:
    """The runs, each method followed by the measured placebos that were fitted for it in the same comparison."""
    chosen: dict[Path, RunFolder] = {}
    for run in runs:
        chosen.setdefault(run.path.resolve(), run)
        method = run.manifest
        for other in all_runs(run.path.parent) if method["role"] == "method" else ():
            placebo = other.manifest
            draws, rest = divmod(placebo["seed"] - method["seed"], DRAW)
            alike = placebo["group"] == method["group"] and placebo.get("parent") == method["name"]
            if alike and placebo["role"] == "placebo" and "entries" in placebo and draws >= 0 and rest == 0:
                chosen.setdefault(other.path.resolve(), other)
    return list(chosen.values())


def items_of(settings: Settings, ids: Sequence[str]) -> list[Item]:
    """The items with these ids, in this order. Raises DataError if the task no longer has one of them."""
    known = gradable(settings)
    if missing := [name for name in ids if name not in known]:
        raise DataError(f"{len(missing)} items of the comparison are no longer in {settings.task.name}: {missing[0]}")
    return [known[name] for name in ids]


def gradable(settings: Settings) -> dict[str, Item]:
    """By id, every item that a store of this task may hold samples of: test, and dev for the choice of prompts."""
    return {item.id: item for split in ("test", "dev") for item in settings.task.items(split)}


def shared_items(runs: Sequence[RunFolder], items: Sequence[str]) -> list[str]:
    """The items that all runs were measured on. An item that one run never saw would count as wrong for it.

    Raises DataError, naming both, if two runs have none in common.
    """
    shared = list(items)
    for run in runs:
        measured = set(run.manifest["items"])
        left = [item for item in shared if item in measured]
        if not left:
            tasks = [one.settings().task.name for one in (runs[0], run)]
            raise DataError(
                f"{runs[0].path} (task {tasks[0]}) and {run.path} (task {tasks[1]}) were measured on different "
                "items: there is nothing to pair"
            )
        shared = left
    return shared
