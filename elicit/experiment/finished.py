"""A comparison that went through, and what it was computed from: unchanged, its files are the command's result.

    <root>/comparisons/GROUP/finished.json    {"made_from": {part: hash}, "runs": [...], "policies": [...]}

    settings   the resolved configuration of every job
    code       all files of the workbench and its methods, and of each plug-in that the configuration names
    machine    Python, names and versions of all installed packages, devices
    data       the task's items, files that the configuration names, a user's template with the files next to it
    model      files of the checkpoint and of the sibling
    store      all samples, grades and annotations of the policies that were in the store when the comparison ended
    runs       manifest, configuration, ledger, intervention, log and features of every run, or of the run that its fit
               was taken over from
    result     the files of the comparison and of its report, its frozen plan and the user's notes

Files of the root count by content, so a root may be copied. Weights of a model count by size and times, like in git's
index. The store counts by policy and not by entry, for a fit's choice of a prompt depends on dev samples that no entry
names; a policy that was added since is one that this comparison can't read. Computes no result; no torch.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elicit import ranks
from elicit.errors import DataError
from elicit.evaluate.comparison.additions import additions
from elicit.experiment.fit import named_files
from elicit.experiment.plan import ComparisonPlan
from elicit.experiment.provenance import code_hash
from elicit.experiment.run_folder import DONE, RunFolder
from elicit.files import file_hash, fingerprint, read_json, read_record, write_json
from elicit.ledger import OPEN_SPLITS
from elicit.names import current_name
from elicit.policy.cache import cache_root
from elicit.policy.fetched import PREFIX
from elicit.report.sources import template_folder

FILE = "finished.json"
QUIET = ("root", "output", "dry_run")
"""settings that change neither a number nor a page"""
VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ELICIT_DATA", "ELICIT_CACHE", "HF_HOME", "HF_HUB_CACHE")
STAGES = ("samples", "grades", "annotations")
FEATURES = "fit/features.json"
"""of a sparse dictionary: a figure of the report (`report/figures/features.py`)"""
OWN = ("elicit", "methods")
"""packages whose files all count"""


@dataclass(frozen=True)
class Finished:
    """The content of finished.json."""

    made_from: dict[str, str]
    runs: tuple[str, ...]
    """names of the run folders, in the order of the plan's jobs"""
    policies: tuple[str, ...]
    """ids of the policies that were in the store"""


def causes(comparison: ComparisonPlan) -> dict[str, str]:
    """Hashes of everything that decides a result before anything is sampled."""
    chosen = comparison.settings
    package = Path(__file__).resolve().parents[1]
    folders = {package, package.parent / "methods", template_folder()}
    methods = [job.settings.method for job in comparison.jobs if job.settings.method is not None]
    nodes = [{key: value for key, value in job.settings.node.items() if key not in QUIET} for job in comparison.jobs]
    named = {path for node in nodes for path in named_files(node)} | {path for one in methods for path in one.files}
    templates = [path for path in named if path.suffix == ".j2"]
    named |= {part for path in templates for part in _files(path.absolute().parent) if part.suffix == ".j2"}
    models = [path for one in (chosen.model.path, chosen.eval.sibling) if one
              for path in _model_files(str(one), chosen.model.cache)]  # fmt: skip
    plugins = {name.partition(".")[0] for node in nodes for name in _class_names(node)} - set(OWN)
    return fingerprint(
        settings=[[job.name, job.role, job.n, node] for job, node in zip(comparison.jobs, nodes, strict=True)],
        code=[
            {str(path): file_hash(path) for folder in sorted(folders) for path in _files(folder)},
            {name: _plugin_hashes(name) for name in sorted(plugins)},
            sorted({code_hash(one) for one in (*methods, chosen.task, chosen.tracker)}),
        ],
        machine=[
            *(platform.python_version(), platform.machine(), platform.processor(), _installed()),
            *({name: os.environ.get(name) for name in VARIABLES}, sorted(map(str, Path("/dev").glob("nvidia*")))),
        ],
        data=[
            {split: [asdict(item) for item in chosen.task.items(split)] for split in _splits(comparison)},
            {str(path): file_hash(path) for path in sorted(named - set(models))},
        ],
        model={str(path): _mark(path) for path in models},
    )


def effects(comparison: ComparisonPlan, runs: Iterable[RunFolder], policies: Sequence[str]) -> dict[str, str]:
    """Hashes of all files that the comparison was computed from and of those that it wrote."""
    root, folder = Path(comparison.settings.root), comparison.folder
    store = [root / "store" / stage / policy for stage in STAGES for policy in policies]
    own = [path for path in _files(folder) if path != folder / FILE and _belongs(path.relative_to(folder))]
    parts = ("manifest.json", "config.yaml", "ledger.jsonl", "log.jsonl", "intervention", "on", FEATURES)
    used = [path / part for path in (*(run.path for run in runs), *added(comparison)) for part in parts]
    used += [origin / part for run in runs for origin in origins(run) for part in ("log.jsonl", FEATURES)]
    return fingerprint(
        store=_contents((path for one in store for path in _files(one)), root),
        runs=_contents((path for part in used for path in _files(part)), root),
        result=_contents(own, root),
    )


def added(comparison: ComparisonPlan) -> list[Path]:
    """Folders of the runs of other commands that `elicit add` gave to a comparison, and of their placebos."""
    names = dict.fromkeys(name for one in additions(comparison.folder) for name in one.runs)
    return [Path(comparison.settings.root) / name for name in names]


def write(comparison: ComparisonPlan, runs: Iterable[RunFolder], begun: dict[str, str]) -> None:
    """Record a comparison whose jobs all went through; `begun`: its `causes` when it began."""
    runs, samples = list(runs), Path(comparison.settings.root) / "store" / "samples"
    policies = tuple(sorted(path.name for path in samples.iterdir())) if samples.is_dir() else ()
    names = tuple(run.path.name for run in runs)
    made_from = {**begun, **effects(comparison, runs, policies)}
    write_json(comparison.folder / FILE, Finished(made_from, names, policies))


def kept(comparisons: Iterable[ComparisonPlan], say: Callable[[str], None]) -> dict[str, list[RunFolder]]:
    """By group, the runs of each comparison that is `unchanged`. Launched as several processes: none."""
    return {one.group: runs for one in comparisons if ranks.world() == 1 and (runs := unchanged(one, say))}


def unchanged(comparison: ComparisonPlan, say: Callable[[str], None]) -> list[RunFolder]:
    """The runs of a comparison that is finished and would come out the same; empty if it has to be computed.

    `say` gets one line that names what has changed since it was computed.
    """
    file = comparison.folder / FILE
    if not file.exists() or any(job.settings.stack for job in comparison.jobs):  # `on=RUN`: a run outside the plan
        return []
    try:
        last = read_record(Finished, file)
    except DataError:  # of another version, or cut: it saves time and holds no result
        say(f"{comparison.group}: computed again, {file} can't be read")
        return []
    folders = [Path(comparison.settings.root) / name for name in last.runs]
    if lost := [path.name for path in (*folders, *added(comparison)) if not RunFolder.complete(path)]:
        say(f"{comparison.group}: computed again, {lost[0]} was removed")
        return []
    runs = [RunFolder(folder) for folder in folders]
    now = {**causes(comparison), **effects(comparison, runs, last.policies)}
    if changed := sorted(name for name in {*now, *last.made_from} if now.get(name) != last.made_from.get(name)):
        say(f"{comparison.group}: computed again; changed since the last time: {', '.join(changed)}")
        return []
    return runs if all(run.manifest["status"] == DONE for run in runs) else []


def origins(run: RunFolder) -> Iterator[Path]:
    """The run folders that a fit was taken over from, the nearest first, as far as they exist."""
    here, followed = run.path, set[Path]()
    while here not in followed and (here / "manifest.json").is_file():
        followed.add(here)
        before = read_json(here / "manifest.json").get("fit_from")
        if not before or not (here.parent / Path(str(before)).name).is_dir():
            return
        here = here.parent / Path(str(before)).name
        yield here


def _splits(comparison: ComparisonPlan) -> tuple[str, ...]:
    """test, dev for the choice of prompts, and what fits may read."""
    fitted = any(job.settings.method is not None for job in comparison.jobs)
    return tuple(dict.fromkeys(("test", "dev", *(OPEN_SPLITS if fitted else ()))))


def _belongs(path: Path) -> bool:
    """Whether a file below the folder of a comparison is its input or result: no further page, no row of a tracker."""
    return path.parts[0] != "tracked" and not path.parts[0].startswith("report-")


def _class_names(node: Any) -> Iterator[str]:
    """Today's dotted names of the classes that a configuration names."""
    if isinstance(node, dict):
        if isinstance(name := node.get("_class_"), str):
            yield current_name(name)
        for value in node.values():
            yield from _class_names(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _class_names(value)


def _plugin_hashes(package: str) -> dict[str, str]:
    """By path, the hash of each Python file of an imported package; of a single module, of the files next to it."""
    module = sys.modules.get(package)
    folders = list(getattr(module, "__path__", []))
    if not folders and (file := getattr(module, "__file__", None)):
        return {path.name: file_hash(path) for path in sorted(Path(file).parent.glob("*.py"))}
    return {str(path): file_hash(path) for one in folders for path in _files(Path(one)) if path.suffix == ".py"}


def _installed() -> list[str]:
    """Name and version of every installed package, as its metadata folder is called."""
    names = (path.name for entry in {*sys.path} if Path(entry).is_dir() for path in Path(entry).iterdir())
    return sorted({name for name in names if name.endswith((".dist-info", ".egg-info"))})


def _model_files(path: str, cache: str | None) -> Iterator[Path]:
    """Of a checkpoint: a file, a folder, one that `elicit fetch` installed, or the hub's cache."""
    if path.startswith(PREFIX):
        yield from _files(cache_root(cache)[0] / "models" / path.removeprefix(PREFIX))
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


def _contents(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """The hash of each file, by its path below the root."""
    return {os.path.relpath(path, root): file_hash(path) for path in paths}


def _mark(path: Path) -> list[int]:
    state = path.stat()
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns]
