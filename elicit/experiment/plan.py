"""From a command line to the jobs of one or more comparisons, before anything is loaded.

    overrides --sweep, experiment--> job configurations --placebos, rivals--> Job ... --> Comparison(group, jobs)

A job is one fit and its evaluation. Jobs that share checkpoint, task and evaluation settings are one
comparison: base and ceilings are measured once for all of them. Knows no model and no file.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from elicit.config import Settings
from elicit.config.compose import build_settings, compose
from elicit.errors import ConfigError
from elicit.files import content_hash

SHARED = ("model", "task", "eval")
"""what jobs of one comparison have in common"""
DRAW = 1000
"""distance of the seeds of a placebo's draws: sweeps over seeds don't meet them"""


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
        """Samples an item: the draws of a placebo share those of one policy."""
        draws = self.settings.placebo_seeds if self.role == "placebo" else 1
        return -(-self.settings.eval.n // draws)

    def _method_hash(self, *without: str) -> str:
        method = self.settings.node.get("method") or {}
        return content_hash({key: value for key, value in method.items() if key not in without})


@dataclass(frozen=True)
class Comparison:
    """Jobs that are measured against the same base on the same items."""

    group: str
    jobs: tuple[Job, ...]
    settings: Settings = field(repr=False)
    """of the first job: checkpoint, task, evaluation, tracker, report"""

    @property
    def folder(self) -> Path:
        return Path(self.settings.root) / "comparisons" / self.group


def plan(command_line: Sequence[Sequence[str]]) -> list[Comparison]:
    """The comparisons of one command; `command_line` holds one list of overrides a sweep job (one without `-m`)."""
    jobs: list[Job] = []
    for overrides in command_line:
        for job_overrides in _experiment_jobs(list(overrides)):
            jobs += _with_controls(job_overrides)
    cells: dict[str, list[Job]] = {}
    for job in jobs:
        cells.setdefault(content_hash([job.settings.node[key] for key in SHARED]), []).append(job)
    alone = len(cells) == 1
    suffixes = [""] if alone else _cell_names([cell[0] for cell in cells.values()])
    return [_comparison(cell, suffix) for cell, suffix in zip(cells.values(), suffixes, strict=True)]


def _experiment_jobs(overrides: list[str]) -> list[list[str]]:
    """The jobs of `experiment=NAME`; what the command line says goes over what the preset says."""
    experiment = compose(overrides).get("experiment")
    if not experiment:
        return [overrides]
    jobs = experiment.get("jobs")
    if not jobs or not all(isinstance(job, list) for job in jobs):
        raise ConfigError(f"experiment.jobs={jobs!r}: a list of lists of overrides, one list a job")
    return [[*job, *overrides] for job in jobs]


def _with_controls(overrides: list[str]) -> list[Job]:
    """A job followed by the placebos and rivals that it asks for."""
    main = build_settings(compose(overrides))
    if main.method is None:
        return [Job("base", "base", main, tuple(overrides))]
    kind, _, twin = (main.arm or "method").partition(":")
    name = main.method.name
    if kind != "method":
        return [Job(f"{name}/{twin}", kind, main, tuple(overrides), parent=name, twin=twin)]
    jobs = [Job(name, "method", main, tuple(overrides))]
    draws = [main.seed + DRAW * draw for draw in range(main.placebo_seeds)]
    for kind, how_many, found in (
        ("placebo", main.placebos, main.method.placebos()),
        ("rival", main.rivals, main.method.rivals()),
    ):
        count = {"none": 0, "one": 1, "all": len(found)}[how_many]
        for twin, seed in itertools.product(list(found)[:count], draws if kind == "placebo" else draws[:1]):
            twin_overrides = [*overrides, f"method.{kind}={twin}", f"seed={seed}"]
            twin_settings = build_settings(compose(twin_overrides))
            jobs.append(Job(f"{name}/{twin}", kind, twin_settings, tuple(twin_overrides), parent=name, twin=twin))
    return jobs


def _cell_names(firsts: list[Job]) -> list[str]:
    """What tells the comparisons of one command apart: the task's or the model's name where that is enough."""
    tasks = [job.settings.task.name for job in firsts]
    both = [f"{task}-{_model(job)}" for task, job in zip(tasks, firsts, strict=True)]
    hashes = [content_hash([job.settings.node[key] for key in SHARED], 6) for job in firsts]
    return next(names for names in (tasks, both, hashes) if len(set(names)) == len(names))


def _model(job: Job) -> str:
    path = str(job.settings.node["model"].get("path", "model"))
    return path.rstrip("/").rsplit("/", 1)[-1].replace(":", "-")


def _comparison(jobs: list[Job], suffix: str) -> Comparison:
    named = _unique_names(jobs)
    first = named[0].settings
    methods = list(dict.fromkeys(job.name for job in named if job.role in ("method", "base")))
    derived = f"{_several(methods)}-{first.task.name}-{_model(named[0])}"
    experiment = first.experiment.name if first.experiment else None
    group = first.group or experiment or derived
    if suffix and (group != derived or suffix not in derived):
        group = f"{group}-{suffix}"
    return Comparison(group, tuple(named), first)


def _several(methods: list[str]) -> str:
    """The part of a group's name that says which methods: two commands with other methods are other groups."""
    return "+".join(methods) if len(methods) <= 3 else f"{len(methods)}-methods-{content_hash(methods, 6)}"


def _unique_names(jobs: list[Job]) -> list[Job]:
    """Jobs of one name that differ in more than the seed are told apart by what differs; seeds share a name."""
    arms: dict[str, set[str]] = {}
    for job in jobs:
        arms.setdefault(job.name, set()).add(job.arm)
    twice = {name for name, found in arms.items() if len(found) > 1}
    parents = Counter(job.name for job in jobs if job.role == "method")
    suffixes = _arm_suffixes([job for job in jobs if job.name in twice and job.parent is None])
    out = []
    for job in jobs:
        suffix = f"-{suffixes[job.parent_arm]}" if job.parent_arm in suffixes else ""
        if job.parent is None:
            out.append(replace(job, name=job.name + suffix if job.name in twice else job.name))
            continue
        several = job.parent in twice and parents[job.parent] > 1
        parent = job.parent + suffix if several else job.parent
        out.append(replace(job, name=f"{parent}/{job.twin}", parent=parent))
    return out


def _arm_suffixes(jobs: list[Job]) -> dict[str, str]:
    """By arm, what its overrides of the method say that those of its namesakes don't: `self`, `items8`; else a hash.

    >>> [_said(word) for word in ("method/critic=self", "method.items=8")]
    ['self', 'items8']
    """
    out: dict[str, str] = {}
    for name in {job.name for job in jobs}:
        own = {job.parent_arm: {w for w in job.overrides if w.startswith("method")} for job in jobs if job.name == name}
        shared = set.intersection(*own.values())
        told = {arm: "-".join(_said(word) for word in sorted(words - shared)) for arm, words in own.items()}
        plain = all(told.values()) and len(set(told.values())) == len(told) and max(map(len, told.values())) <= 32
        out |= told if plain else {arm: arm[:6] for arm in told}
    return out


def _said(override: str) -> str:
    """A choice by its name, a value with its field's."""
    key, _, value = override.partition("=")
    said = value if "/" in key or key == "method" else key.rpartition(".")[2] + value
    return re.sub(r"[^A-Za-z0-9.+]+", "_", said)
