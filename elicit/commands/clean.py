"""`elicit clean`: what can be removed from a root without losing a result, with sizes; `yes=true` removes it.

    temporary    files and folders that a killed process left half written
    cache        chains that strategies share (drawn again if they are needed), wandb's own cache
    checkpoint   training states of fits that are finished: they only serve to resume an unfinished one
    superseded   run folders that were repeated: a later run of the same group, name and seed is done

Never: samples, grades and annotations of the store; a run folder that a comparison names, that a kept fit was taken
from, or that is the last of its kind. Nothing is removed while a process works below the root. Knows only folders.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from elicit.commands.arguments import COMMON, Command
from elicit.commands.runs import held, is_repeated, job_of, last_done
from elicit.console import Console
from elicit.errors import StageError
from elicit.evaluate.comparison.additions import additions
from elicit.evaluate.comparison.inputs import FILE as INPUTS
from elicit.evaluate.comparison.inputs import Inputs
from elicit.experiment.finished import origins
from elicit.experiment.run_folder import DONE, FITTED, RunFolder, all_runs
from elicit.experiment.so_far import worked_on
from elicit.files import remove_tree

CLEAN = Command(
    "clean: takes no name; give the folder as root=FOLDER", {**COMMON, "yes": "false"}, names=0, needs_name=False
)
HALF_WRITTEN = re.compile(r"^\..+\.[0-9a-f]{16}$|^\.unfinished-\d+$")
"""names that `files.replacing` and the checkpoints of a fit write under"""


@dataclass(frozen=True)
class Removable:
    """A file or folder that can go."""

    kind: str
    path: Path
    why: str
    bytes: int


def clean(words: list[str]) -> int:
    """List what can go, largest first; with `yes=true` remove it. Raises StageError while a process works there."""
    given = CLEAN.read(words)
    root, console, remove = given.path("root"), given.console(), given.flag("yes")
    found = sorted(removable(root), key=lambda one: (-one.bytes, str(one.path)))
    if remove:
        refuse_if_worked_on(root)
        for one in found:
            remove_tree(one.path) if one.path.is_dir() else one.path.unlink(missing_ok=True)
    show(found, root, remove, console)
    return 0


def show(found: Sequence[Removable], root: Path, removed: bool, console: Console) -> None:
    """One line per file or folder, then the total."""
    for one in found:
        console.say(f"{size(one.bytes):>9}  {one.kind:10}  {one.path.relative_to(root)}  ({one.why})")
    total = size(sum(one.bytes for one in found))
    if not found:
        console.say(f"nothing to remove under {root}")
    elif removed:
        console.say(f"removed: {total}")
    else:
        place = "" if str(root) == "runs" else f" root={root}"
        console.say(f"{total} can go; nothing was removed. To remove it: elicit clean yes=true{place}")
    rows = [{"kind": one.kind, "path": str(one.path), "bytes": one.bytes, "why": one.why} for one in found]
    console.result({"removable": rows, "removed": removed})


def removable(root: Path) -> list[Removable]:
    """What can go, each part of the disk once: nothing is listed below a folder that is listed itself."""
    runs = [run for run in all_runs(root) if not run.path.is_symlink()]
    kept = kept_runs(root, runs)
    found = [_of("superseded", run.path, f"repeated by {later}") for run, later in superseded(runs, kept)]
    gone = {one.path for one in found}
    for run in runs:
        if run.path in gone:
            continue
        if (cache := run.path / "wandb" / "cache").is_dir():
            found.append(_of("cache", cache, "of wandb"))
        if run.manifest.get("status") in (DONE, FITTED) and (run.intervention / "spec.json").exists():
            states = (path for path in (run.path / "fit").rglob("checkpoint-[0-9]*") if path.is_dir())
            found += [_of("checkpoint", path, "training state of a finished fit") for path in states]
    if (pools := root / "store" / "pools").is_dir():
        found.append(_of("cache", pools, "chains that strategies share; drawn again if needed"))
    listed = {one.path for one in found}
    for path in root.rglob(".*") if root.is_dir() else ():
        if HALF_WRITTEN.match(path.name) and not path.is_symlink() and not listed & {path, *path.parents}:
            found.append(_of("temporary", path, "half written by a process that was killed"))
    return found


def kept_runs(root: Path, runs: Sequence[RunFolder]) -> set[str]:
    """Names of the run folders that a comparison names, and of those that these or other runs build on."""
    kept: set[str] = set()
    for folder in (file.parent for file in sorted((root / "comparisons").glob(f"*/{INPUTS}"))):
        kept |= {Path(entry.run).name for entry in Inputs.read(folder).entries if entry.run}
        kept |= {name for one in additions(folder) for name in one.runs}
    below = (name for run in runs for name in _stack(run))
    kept |= {run.path.name for name in below for run in runs if name in (run.path.name, run.manifest.get("name"))}
    return kept | {path.name for run in runs if run.path.name in kept for path in origins(run)}


def superseded(runs: Sequence[RunFolder], kept: set[str]) -> Iterator[tuple[RunFolder, str]]:
    """Runs that no comparison needs and that a later one repeated, each with the name of the last that did.

    A run that another fit was taken over from is needed as long as that fit is kept.
    """
    last = last_done(runs)
    repeated = [run for run in runs if is_repeated(run, last)]
    candidates = {run.path.name for run in repeated} - kept
    needed = {path.name for run in runs if run.path.name not in candidates for path in origins(run)}
    yield from ((run, last[job_of(run)]) for run in repeated if run.path.name in candidates - needed)


def refuse_if_worked_on(root: Path) -> None:
    """Raises StageError that names what a process works on: its temporary files are no leftovers."""
    busy = [run.path.name for run in all_runs(root) if held(run)]
    busy += [folder.name for folder in (root / "comparisons").glob("*") if worked_on(folder)]
    if busy:
        raise StageError(f"{root}: a process works on {', '.join(busy[:3])}; clean when it has ended (elicit runs)")


def size(count: int) -> str:
    """Bytes as a person reads them.

    >>> size(0), size(1_500), size(20_300_000)
    ('0.0 kB', '1.5 kB', '20.3 MB')
    """
    units = ((1e9, "GB"), (1e6, "MB"))
    return next((f"{count / unit:.1f} {name}" for unit, name in units if count >= unit), f"{count / 1e3:.1f} kB")


def _stack(run: RunFolder) -> Iterable[str]:
    """Names that its `on=` gives."""
    on = run.config().get("on") or []
    return [Path(str(name)).name for name in ([on] if isinstance(on, str) else on)]


def _of(kind: str, path: Path, why: str) -> Removable:
    files = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
    return Removable(kind, path, why, sum(inner.lstat().st_size for inner in files))
