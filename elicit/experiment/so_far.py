"""What a comparison has while its command goes on: the policies that are measured, as a comparison of their own.

    <root>/comparisons/GROUP/.at_work       locked as long as a command works on the comparison
    <root>/comparisons/GROUP/so_far.json    inputs of the base, its prompts and ceilings; removed when all are compared

Measured methods and controls come from the manifests of the runs. What is computed here is for looking: fewer bootstrap
draws, in a temporary folder, so it is neither the result nor part of it. Samples nothing; no torch.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from elicit.evaluate.comparison.compare import compare
from elicit.evaluate.comparison.inputs import Inputs
from elicit.evaluate.comparison.prereg import FILE as PLAN
from elicit.evaluate.entry import Entry, distinct
from elicit.experiment.run_folder import RunFolder, all_runs
from elicit.files import is_locked
from elicit.results import Comparison

FILE, LOCK = "so_far.json", ".at_work"
DRAWS = 200
"""bootstrap draws, at most: intervals for looking"""


@contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """While a command works on the comparison in `folder`; several may. It ends with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield


def worked_on(folder: Path) -> bool:
    """Whether a living process works on the comparison."""
    return is_locked(folder / LOCK, by_several=True)


def latest_runs(folder: Path) -> list[RunFolder]:
    """The runs of the last command that worked on a comparison, in its order."""
    group, root = folder.name, folder.resolve().parent.parent
    runs = [run for run in all_runs(root) if run.manifest.get("group") == group]
    newest = max(runs, key=lambda run: run.manifest.get("created") or 0.0, default=None)
    same = [run for run in runs if newest and run.manifest.get("invocation") == newest.manifest.get("invocation")]
    return sorted(same, key=lambda run: run.manifest.get("index") or 0)


def entries_so_far(folder: Path, runs: Sequence[RunFolder]) -> list[Entry]:
    """The entries that are measured: of the base, and of the runs that have some. None before the base has one."""
    if not (folder / FILE).exists():
        return []
    root = folder.resolve().parent.parent
    measured = [Entry.of(plain, root) for run in runs for plain in run.manifest.get("entries") or ()]
    return distinct([*Inputs.read(folder, FILE).entries, *measured])


def compared(folder: Path, runs: Sequence[RunFolder], entries: Sequence[Entry]) -> Comparison:
    """The comparison of these entries. Raises what `compare` raises, e.g. StageError while a folder is written."""
    inputs, settings = Inputs.read(folder, FILE), runs[0].settings()
    known = {item.id: item for item in settings.task.items("test")}
    asked = {entry.prompt for entry in entries if entry.role in ("base", "prompt")}
    b1 = inputs.config.b1 if inputs.config.b1 in asked else None
    config = replace(inputs.config, b1=b1, draws=min(inputs.config.draws, DRAWS))
    with tempfile.TemporaryDirectory() as temporary:
        if (folder / PLAN).exists():
            shutil.copy(folder / PLAN, temporary)
        items = [known[name] for name in inputs.items]
        return compare(entries, items, Path(temporary), settings.task, config, inputs.checkpoint)
