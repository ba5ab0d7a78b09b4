"""A comparison that went through, and what it was computed from: unchanged, its files are the result of the command.

    <root>/comparisons/GROUP/finished.json    {"made_from": {part: hash}, "runs": [names of run folders]}

    settings   the resolved configuration of every job
    code       all files of the workbench and its methods; of a plug-in those next to its method and task
    machine    Python, versions of the libraries, devices
    data       ids of the task's items (a hash of question and gold), files that the configuration names
    model      files of the checkpoint and of the sibling
    store      all samples, grades and annotations of the root
    runs       manifest, configuration, ledger and intervention of every run
    result     the files of the comparison and of its report, its frozen plan and the user's notes

Large files count by size and time of change, like in git's index: a root that is copied without its times is computed
once more. The store counts as a whole, for a fit's choice of a prompt depends on dev samples that no entry names.
Computes no result; no torch.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from elicit.experiment.fit import named_files
from elicit.experiment.plan import ComparisonPlan
from elicit.experiment.provenance import code_hash, versions
from elicit.experiment.run_folder import DONE, RunFolder
from elicit.files import file_hash, fingerprint, read_record, write_json
from elicit.ledger import OPEN_SPLITS
from elicit.policy.cache import cache_root
from elicit.policy.fetched import PREFIX
from elicit.report.sources import template_folder

FILE = "finished.json"
QUIET = ("root", "output", "dry_run")
"""settings that change neither a number nor a page"""
VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ELICIT_DATA", "ELICIT_CACHE", "HF_HOME", "HF_HUB_CACHE")
SMALL = 1 << 16
"""bytes of a file that is read; a larger one counts by size and time of change"""
BY_CONTENT = (".json", ".yaml", ".jsonl", ".md", ".html", ".j2", ".py")


@dataclass(frozen=True)
class Finished:
    """The content of finished.json."""

    made_from: dict[str, str]
    runs: tuple[str, ...]
    """names of the run folders, in the order of the plan's jobs"""


def causes(comparison: ComparisonPlan) -> dict[str, str]:
    """Hashes of all that decides a result before anything is sampled."""
    chosen = comparison.settings
    package = Path(__file__).resolve().parents[1]
    folders = {package, package.parent / "methods", template_folder()}
    methods = [job.settings.method for job in comparison.jobs if job.settings.method is not None]
    splits = ("test", *(OPEN_SPLITS if methods else ()))
    nodes = [{key: value for key, value in job.settings.node.items() if key not in QUIET} for job in comparison.jobs]
    named = {path for node in nodes for path in named_files(node)} | {path for one in methods for path in one.files}
    models = [path for one in (chosen.model.path, chosen.eval.sibling) if one for path in _model_files(str(one))]
    return fingerprint(
        settings=[[job.name, job.role, job.n, node] for job, node in zip(comparison.jobs, nodes, strict=True)],
        code=[
            {str(path): file_hash(path) for folder in sorted(folders) for path in _files(folder)},
            sorted({code_hash(one) for one in (*methods, chosen.task, chosen.tracker)}),
        ],
        machine=[
            *(platform.python_version(), platform.machine(), platform.processor(), versions(), _version("vllm")),
            *({name: os.environ.get(name) for name in VARIABLES}, sorted(map(str, Path("/dev").glob("nvidia*")))),
        ],
        data=[
            {split: [item.id for item in chosen.task.items(split)] for split in splits},
            {str(path): file_hash(path) for path in sorted(named)},
        ],
        model=_marks(models),
    )


def effects(comparison: ComparisonPlan, runs: Iterable[RunFolder]) -> dict[str, str]:
    """Hashes of all files that the comparison was computed from and of those that it wrote."""
    root = Path(comparison.settings.root)
    store = root / "store"
    stages = [store / stage for stage in ("samples", "grades", "annotations")]
    own = [path for path in _files(comparison.folder) if path.name != FILE and "tracked" not in path.parts]
    parts = [
        run.path / part
        for run in runs
        for part in ("manifest.json", "config.yaml", "ledger.jsonl", "intervention", "on")
    ]
    return fingerprint(
        store=_marks((path for stage in stages for path in _files(stage)), root),
        runs=_marks((path for part in parts for path in _files(part)), root),
        result=_marks(own, root),
    )


def write(comparison: ComparisonPlan, runs: Iterable[RunFolder], begun: dict[str, str]) -> None:
    """Record a comparison whose jobs all went through; `begun`: its `causes` when it began."""
    runs = list(runs)
    names = tuple(run.path.name for run in runs)
    write_json(comparison.folder / FILE, Finished({**begun, **effects(comparison, runs)}, names))


def unchanged(comparison: ComparisonPlan, say: Callable[[str], None]) -> list[RunFolder]:
    """The runs of a comparison that is finished and would come out the same; empty if it has to be computed.

    `say` gets one line with what has changed since.
    """
    file = comparison.folder / FILE
    if not file.exists() or any(job.settings.stack for job in comparison.jobs):  # `on=RUN`: a run outside the plan
        return []
    last = read_record(Finished, file)
    folders = [Path(comparison.settings.root) / name for name in last.runs]
    if not all((folder / part).exists() for folder in folders for part in ("manifest.json", "config.yaml")):
        return []
    runs = [RunFolder(folder) for folder in folders]
    now = {**causes(comparison), **effects(comparison, runs)}
    changed = sorted(name for name in {*now, *last.made_from} if now.get(name) != last.made_from.get(name))
    if changed:
        say(f"{comparison.group}: computed again, for another {', '.join(changed)}")
        return []
    return runs if all(run.manifest["status"] == DONE for run in runs) else []


def _model_files(path: str) -> Iterator[Path]:
    """Of a checkpoint: a file, a folder, one that `elicit fetch` installed, or the hub's cache."""
    if path.startswith(PREFIX):
        yield from _files(cache_root(None)[0] / "models" / path.removeprefix(PREFIX))
    elif Path(path).expanduser().exists():
        yield from _files(Path(path).expanduser())
    elif "/" in path:
        from huggingface_hub.constants import HF_HUB_CACHE

        yield from _files(Path(HF_HUB_CACHE) / f"models--{path.replace('/', '--')}")


def _files(path: Path) -> Iterator[Path]:
    """A file, or the files of a folder, without caches and hidden files."""
    if path.is_file():
        yield path
    for folder, inner, names in os.walk(path):
        inner[:] = sorted(name for name in inner if name != "__pycache__" and not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _marks(paths: Iterable[Path], root: Path = Path("/")) -> dict[str, Any]:
    """By path below the root, the content of a small text file, the size and the time of change of any other."""
    marks: dict[str, Any] = {}
    for path in paths:
        state = path.stat()
        read = path.suffix in BY_CONTENT and state.st_size <= SMALL and not path.name.startswith("timings-")
        marks[os.path.relpath(path, root)] = file_hash(path) if read else [state.st_size, state.st_mtime_ns]
    return marks


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
