"""From a command line to the jobs of one or more comparisons, before anything is loaded.

    overrides --sweep, experiment--> one list per job --placebos, rivals--> Job ... --> ComparisonPlan(group, jobs)

A job is one fit and its evaluation. Jobs that share checkpoint, task and evaluation settings are one
comparison: base and ceilings are measured once for all of them. Knows no model; of files, whether they exist.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from elicit.config import Settings
from elicit.config.compose import Composer
from elicit.errors import SEGMENT_BYTES, ConfigError, near, segment
from elicit.experiment.run_folder import find_run
from elicit.files import content_hash
from elicit.watch.native_readers import announced

SHARED = ("model", "task", "eval")
"""what jobs of one comparison have in common"""
_RUN = re.compile(r"^\d{8}-\d{6}-(.+)-[0-9a-f]{6}$")
"""name of a run folder, without its time and its id"""
DRAW = 1000
"""distance of the seeds of a placebo's draws: larger than the seeds of a sweep"""


@dataclass(frozen=True)
class Job:
    """One fit and its evaluation."""

    name: str
    """unique in its comparison; a placebo is `method/placebo`"""
    role: str
    """method | placebo | rival | base (nothing fitted)"""
    settings: Settings
    overrides: tuple[str, ...]
    parent: str | None = None
    """name of the method that a placebo or rival belongs to"""
    twin: str | None = None
    """name of the placebo within its method"""

    @property
    def arm(self) -> str:
        """Hash of the method's configuration without the seed: what sweeps over seeds have in common."""
        return self._method_hash("seed")

    @property
    def parent_arm(self) -> str:
        """The arm of the method that a placebo or rival belongs to; a method's own arm."""
        return self._method_hash("seed", "placebo", "rival")

    @property
    def n(self) -> int:
        """Samples per item: the draws of a placebo share those of one policy."""
        draws = self.settings.placebo_seeds if self.role == "placebo" else 1
        return -(-self.settings.eval.n // draws)

    def _method_hash(self, *without: str) -> str:
        method = self.settings.node.get("method") or {}
        known = {key: value for key, value in method.items() if key not in without}
        return content_hash([known, *self.settings.stack] if self.settings.stack else known)


@dataclass(frozen=True)
class ComparisonPlan:
    """Jobs that are measured against the same base on the same items."""

    group: str
    jobs: tuple[Job, ...]
    settings: Settings = field(repr=False)
    """of the first job: checkpoint, task, evaluation, tracker, report"""

    @property
    def folder(self) -> Path:
        return Path(self.settings.root) / "comparisons" / self.group


def plan(command_line: Sequence[Sequence[str]], composer: Composer | None = None) -> list[ComparisonPlan]:
    """The comparisons of one command; `command_line` holds one list of overrides per sweep job (one without `-m`)."""
    composer = composer or Composer()
    with announced():  # once for all jobs: each watched import of a method would search every loaded module by itself
        families = [
            _with_controls(job_overrides, composer)
            for overrides in command_line
            for job_overrides in _experiment_jobs(list(overrides), composer)
        ]
    _check_files([job for family in families for job in family])
    _check_prompts([job.settings for family in families for job in family])
    _check_layers([job for family in families for job in family])
    # one comparison per group that was named, checkpoint, task and evaluation; suffixes if one group has several.
    # a control belongs to the group of its method, also if the name holds the seed, which its further draws change
    groups: dict[str | None, dict[str, list[Job]]] = {}
    for family in families:
        cells = groups.setdefault(_named_group(family[0]), {})
        for job in family:
            cells.setdefault(_shared_hash(job), []).append(job)
    comparisons = []
    for cells in groups.values():
        suffixes = [""] if len(cells) == 1 else _cell_suffixes([cell[0] for cell in cells.values()])
        comparisons += [_comparison(cell, suffix) for cell, suffix in zip(cells.values(), suffixes, strict=True)]
    return comparisons


def _experiment_jobs(overrides: list[str], composer: Composer) -> list[list[str]]:
    """The jobs of `experiment=NAME`; the command line overrides the preset."""
    experiment = composer.node(overrides).get("experiment")
    if not experiment:
        return [overrides]
    jobs = experiment.get("jobs")
    if not jobs or not all(isinstance(job, list) for job in jobs):
        raise ConfigError(f"experiment.jobs={jobs!r}: a list of lists of overrides, one list per job")
    return [[*job, *overrides] for job in jobs]


def _with_controls(overrides: list[str], composer: Composer) -> list[Job]:
    """A job followed by the placebos and rivals that it asks for: the same composition with one or two values set."""
    main = composer.settings(overrides)
    if main.method is None:
        if main.stack:
            raise ConfigError(f"on={main.on!r} without a method: choose what is stacked on it with method=NAME")
        return [Job("base", "base", main, tuple(overrides))]
    role, _, twin = (main.arm or "method").partition(":")
    name = "+".join([*(_RUN.sub(r"\1", Path(run).name) for run in main.stack), main.method.name])
    if role != "method":
        return [Job(f"{name}/{twin}", role, main, tuple(overrides), parent=name, twin=twin)]
    jobs = [Job(name, "method", main, tuple(overrides))]
    draws = [main.seed + DRAW * draw for draw in range(main.placebo_seeds)]
    for role, wanted, controls, seeds in (
        ("placebo", main.placebos, main.method.placebos(), draws),
        ("rival", main.rivals, main.method.rivals(), draws[:1]),
    ):
        count = {"none": 0, "one": 1, "all": len(controls)}[wanted]
        for twin, seed in itertools.product(list(controls)[:count], seeds):
            words = (*overrides, f"method.{role}={twin}", f"seed={seed}")
            jobs.append(Job(f"{name}/{twin}", role, composer.settings(words), words, parent=name, twin=twin))
    return jobs


def _check_files(jobs: Sequence[Job]) -> None:
    """Raises ConfigError that names every file of a task or method that can't be used, also in a dry run."""
    faults = []
    named = [(part, (job.settings.node.get(part) or {}).get("path")) for job in jobs for part in ("task", "method")]
    for part, name in dict.fromkeys(named):
        path = Path(str(name)).expanduser()
        if name and not path.exists():
            there = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
            what = near(path.name, there) if there else f"nor the folder {path.parent}"
            faults.append(f"{part}.path={name}: no such file (from {Path.cwd()}); {what}; choose another")
    for job in jobs if not faults else ():
        try:
            _ = job.settings.method and job.settings.method.files  # a method with files of its own looks for them
        except ConfigError as fault:
            faults.append(f"{job.name.partition('/')[0]}: {fault}")
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(faults)))


def _check_prompts(chosen: Sequence[Settings]) -> None:
    """Raises ConfigError for a prompt of the evaluation or the fits that the task lacks, also in a dry run."""
    for settings in chosen:
        plan, fitted = settings.eval, settings.fit.prompt
        asked = {
            "eval.prompt": [plan.prompt],
            "eval.prompts": plan.prompts or (),
            "fit.prompt": [fitted or plan.prompt],
        }
        for key, names in asked.items():
            if unknown := [name for name in names if name not in settings.task.prompts]:
                raise ConfigError(f"{key}={unknown[0]!r}: {near(unknown[0], settings.task.prompts)}")


def _check_layers(jobs: Sequence[Job]) -> None:
    """Raises ConfigError for layers and vectors that the checkpoint does not fit, also in a dry run."""
    from elicit.experiment.forecast.shape import shape_of

    for job in jobs:
        wanted = (job.settings.node.get("method") or {}).get("layers") or ()
        numbers = [layer for layer in wanted if isinstance(layer, int)]  # fractions of the depth always fit
        widths = job.settings.method.widths if job.settings.method else {}
        shape = shape_of(job.settings.model) if numbers or widths else None
        if shape is None:
            continue
        model = f"{job.settings.model.path} has layers 0 to {shape.layers - 1}"
        if beyond := [layer for layer in numbers if not 0 <= layer < shape.layers]:
            raise ConfigError(
                f"method.layers={list(wanted)}: {model}, not {beyond[0]}; choose others, or fractions of the depth "
                "with a point (0.5)"
            )
        for layer, width in widths.items():
            if layer >= shape.layers or width != shape.width:
                raise ConfigError(
                    f"{job.name.partition('/')[0]}: a vector of width {width} at layer {layer}; {model} of width "
                    f"{shape.width}; use the checkpoint that it was made for"
                )


def _named_group(job: Job) -> str | None:
    settings = job.settings
    return settings.group or (settings.experiment.name if settings.experiment else None)


def _shared_hash(job: Job, length: int = 16) -> str:
    return content_hash([job.settings.node[key] for key in SHARED], length)


def _cell_suffixes(firsts: list[Job]) -> list[str]:
    """Suffixes that distinguish the comparisons of one command: the task's or also the model's name if it suffices."""
    tasks = [job.settings.task.name for job in firsts]
    with_models = [f"{task}-{_model(job)}" for task, job in zip(tasks, firsts, strict=True)]
    hashes = [_shared_hash(job, 6) for job in firsts]
    return next(names for names in (tasks, with_models, hashes) if len(set(names)) == len(names))


def _model(job: Job) -> str:
    path = str(job.settings.node["model"].get("path", "model"))
    return path.rstrip("/").rsplit("/", 1)[-1].replace(":", "-")


def _comparison(jobs: list[Job], suffix: str) -> ComparisonPlan:
    named = _unique_names(jobs)
    check_order([job.name for job in named], [job.settings.stack for job in named])
    first, names = named[0].settings, {job.name for job in named}
    for below in {below for job in named for below in job.settings.stack} - names:
        if "name" not in find_run(below, Path(first.root)).manifest:
            raise ConfigError(f"on={below}: its manifest.json names no run; choose another, or fit it again")
    methods = list(dict.fromkeys(job.name for job in named if job.role in ("method", "base")))
    # two commands with other methods are other groups, however many methods there are
    listed = "+".join(methods) if len(methods) <= 3 else f"{len(methods)}-methods-{content_hash(methods, 6)}"
    derived = _as_segment(f"{listed}-{first.task.name}-{_model(named[0])}")
    group = _named_group(named[0]) or derived
    if suffix and (group != derived or suffix not in derived):
        group = f"{group}-{_as_segment(suffix)}"
    segment(group, "group")
    return ComparisonPlan(group, tuple(named), first)


def _as_segment(name: str) -> str:
    """A derived name as the name of a folder: separators and what can't be printed replaced, a long one shortened."""
    safe = "".join(c if c.isprintable() and c not in "/\\" else "-" for c in name).strip().lstrip(".~-") or "unnamed"
    return safe if len(safe.encode()) <= SEGMENT_BYTES else f"{safe[:24]}-{content_hash(name, 8)}"


def _unique_names(jobs: list[Job]) -> list[Job]:
    """Names for jobs that share one but differ in more than the seed, from what differs; seeds share a name."""
    arms: dict[str, set[str]] = {}
    for job in jobs:
        arms.setdefault(job.name, set()).add(job.arm)
    ambiguous = {name for name, of_name in arms.items() if len(of_name) > 1}
    parents = Counter(job.name for job in jobs if job.role == "method")
    suffixes = _arm_suffixes([job for job in jobs if job.name in ambiguous and job.parent is None])
    out = []
    for job in jobs:
        suffix = f"-{suffixes[job.parent_arm]}" if job.parent_arm in suffixes else ""
        if job.parent is None:
            out.append(replace(job, name=job.name + suffix if job.name in ambiguous else job.name))
            continue
        several = job.parent in ambiguous and parents[job.parent] > 1
        parent = job.parent + suffix if several else job.parent
        out.append(replace(job, name=f"{parent}/{job.twin}", parent=parent))
    return out


def check_order(names: Sequence[str], stacks: Sequence[Sequence[str]]) -> None:
    """Raises ConfigError if a job of a command is stacked on itself or on a later one.

    >>> check_order(["a", "a+b"], [(), ("a",)])
    """
    for i, (name, stack) in enumerate(zip(names, stacks, strict=True)):
        if late := [below for below in stack if below in names[i:] and below not in names[:i]]:
            raise ConfigError(f"{name}: on={late[0]}: put the job of {late[0]} before it")


def _arm_suffixes(jobs: list[Job]) -> dict[str, str]:
    """By arm, a suffix made of the overrides of the method that jobs of one name do not share; else a hash.

    >>> [_suffix(word) for word in ("method/critic=self", "method.items=8")]
    ['self', 'items8']
    """
    out: dict[str, str] = {}
    for name in {job.name for job in jobs}:
        words = {
            job.parent_arm: {w for w in job.overrides if w.startswith("method")} for job in jobs if job.name == name
        }
        shared = set.intersection(*words.values())
        suffixes = {arm: "-".join(_suffix(word) for word in sorted(own - shared)) for arm, own in words.items()}
        texts = suffixes.values()
        readable = all(texts) and len(set(texts)) == len(texts) and max(map(len, texts)) <= 32
        out |= suffixes if readable else {arm: arm[:6] for arm in suffixes}
    return out


def _suffix(override: str) -> str:
    """A choice by its name, a value with the name of its field."""
    key, _, value = override.partition("=")
    text = value if "/" in key or key == "method" else key.rpartition(".")[2] + value
    return re.sub(r"[^A-Za-z0-9.+]+", "_", text)
