"""The overall shape of a configuration: the settings of one command line as dataclasses.

A dataclass is the schema of its YAML node: its defaults are the truth, and YAML states differences. The fields of a
method, a task or a model are defined next to the code that they configure. Knows no hydra, no model and no method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, Literal

from elicit.errors import ConfigError, checked, segment
from elicit.records import BARE

if TYPE_CHECKING:  # floors above: `build` checks these by their `_class_` alone
    from elicit.ledger import Budget
    from elicit.method import Method
    from elicit.policy.checkpoint import CheckpointConfig
    from elicit.sampling.engine import EngineConfig
    from elicit.tasks.task import Task
    from elicit.track import NoTracker, WandbTracker

GROUPS = (
    *("method", "method/strategy", "method/critic", "method/response"),
    *("model", "task", "eval", "engine", "tracker", "experiment", "sweep"),
)
MEMBERS = {
    "method": ("fit", "placebos", "rivals", "work"),
    "task": ("items", "grade", "splits", "prompts", "stop"),
    "model": ("path", "revision", "device", "dtype"),
    "tracker": ("start",),
}
"""what a class needs to be chosen as one: a task given as a method is refused before anything runs"""
MAX_SEED = 2**63 - 1
ARMS = ("placebo", "rival")
"""`method.placebo=NAME` and `method.rival=NAME` run one of the method's own controls; they are no fields of it."""


@dataclass(frozen=True)
class EvalPlan:
    """How all policies of a comparison are measured."""

    n: int = 16
    """samples per item; deterministic strategies take 1"""
    base_n: int | None = None
    """samples per item of the base rungs, so that the base's vote can spend a costly method's tokens; null: n"""
    prompt: str = BARE
    """fixed prompt of the task at which base (B0), methods and their controls are compared. `bare` for a base that
    answers it; `few_shot` for a pretrained one that rambles: its exemplars are then part of the base, and a data class
    counts what a method adds to them"""
    limit: int | None = 200
    """items of the test split, a seeded subset that is the same for all policies; null: all"""
    regime: Literal["compare", "support", "greedy"] = "compare"
    max_new_tokens: int | None = None
    """null: the task's own limit; one limit for all policies"""
    workers: int = 2
    """processes that grade"""
    bootstrap_draws: int = 10_000
    ceilings: tuple[Literal["C1", "C3", "C4"], ...] = ("C1", "C4")
    """C4: opener forced, if the task defines one; C1: base coverage net of guessing, needs support_n; C3: fine-tuning
    on gold traces, if the task has them. C2 is declared by `sibling`."""
    sibling: str | None = None
    """post-trained sibling of the checkpoint, a folder or hub id: ceiling C2; null: none"""
    c3: Any = None
    """how C3 is fitted; null: elicit.training.sft.gold.GoldSft as it is"""
    b2: Any = None
    """strategy that forces rung B2 (B1 at a method's tokens), with settings tokens, temperature, top_p; null: no B2"""
    prompts: tuple[str, ...] | None = None
    """fixed prompts that rung B1 is chosen from; null: all of the task, (): none"""
    prompt_limit: int = 48
    """dev items on which B1's prompt is chosen"""
    prompt_n: int = 2
    """samples per item for that choice"""
    own_prompts: bool = True
    """methods are measured at their own dev-best fixed prompt as well: EF against B1 compares best with best"""
    support_n: int | None = None
    """base samples per item at temperature 1 for C1; null: C1 is not measured"""
    c1_prompt: Literal["bare", "best"] = "bare"
    """prompt that C1 is drawn at. bare: that of B0 (`prompt`). best: B1's (B0's if B1 was not measured), for bases that
    ramble at B0's, where C1 would lie below B1. Figures that compare a method's samples with the base's at T=1 are
    refused if C1 is drawn at another prompt than theirs."""
    annotate: bool = False
    """KL to the base and likelihood under it: every policy's samples at T=1 on some items, each scored by the base"""
    annotate_limit: int = 48
    """items for that"""
    annotate_n: int = 4
    """samples per item for that"""

    def __post_init__(self) -> None:
        wanted = {"b2": ("tokens", "temperature", "top_p", "run"), "c3": ("fit", "name")}
        for name, parts in wanted.items():
            chosen = getattr(self, name)
            if lacking := [part for part in parts if chosen is not None and not hasattr(chosen, part)]:
                raise ConfigError(f"{name}={type(chosen).__name__}: it has no {', '.join(lacking)} (see eval=full)")
        counts = ("n", "workers", "bootstrap_draws", "prompt_limit", "prompt_n", "annotate_limit", "annotate_n")
        optional = ("base_n", "limit", "max_new_tokens", "support_n")
        checked(self, at_least=dict.fromkeys((*counts, *optional), 1))


@dataclass(frozen=True)
class FitPlan:
    """How methods are fitted, besides their own settings."""

    prompt: str | None = None
    """fixed prompt of the task that a method is fitted on; null: the one it is compared at (`eval.prompt`)"""


@dataclass(frozen=True)
class Experiment:
    """A preset: settings of the groups in its YAML, and the jobs that share one comparison."""

    name: str
    jobs: tuple[tuple[str, ...], ...]
    """one list of overrides per job"""
    expected: dict[str, Any] = field(default_factory=dict)
    """figures to print next to the measured ones, by policy name"""
    study: Any = None
    """the published claim that the preset tests again (`elicit.studies.study.Study`)"""

    def __post_init__(self) -> None:
        segment(self.name, "experiment.name")


@dataclass(frozen=True)
class Sweep:
    """Axes that `elicit -m sweep=NAME` multiplies, besides comma-separated values of the command line."""

    axes: dict[str, list[Any]]


@dataclass(frozen=True)
class Settings:
    """Everything one job needs. `node` is the resolved configuration it was built from."""

    method: Method | None
    """None: only the base is measured"""
    model: CheckpointConfig
    task: Task
    eval: EvalPlan
    tracker: NoTracker | WandbTracker
    engine: EngineConfig | None = None
    """what samples; None: auto"""
    fit: FitPlan = FitPlan()
    on: str | tuple[str, ...] = ()
    """runs that the method is stacked on: fitted and measured with their interventions. Run folders, or the names of
    earlier jobs of the same command"""
    experiment: Experiment | None = None
    sweep: Sweep | None = None
    seed: int = 0
    root: str = "runs"
    group: str | None = None
    """null: the experiment's name, or method-task-model"""
    output: Literal["text", "json"] = "text"
    dry_run: bool = False
    parallel: int = 1
    """processes that fit and measure the jobs of a comparison in parallel; more than 1 for tiny models on a CPU"""
    placebos: Literal["none", "one", "all"] = "none"
    placebo_seeds: int = 1
    """draws of every placebo (seed, seed + 1000, ...); they share the samples: n per draw is eval.n / placebo_seeds"""
    rivals: Literal["none", "one", "all"] = "none"
    template: str = "comparison"
    """report template: a shipped name or a path"""
    budget: Budget | None = None
    """limits on what a fit may use; null: none"""
    allow_classes: tuple[str, ...] = ()
    """further packages whose classes `_class_` may name"""
    arm: str | None = None
    """set by method.placebo=NAME or method.rival=NAME: "placebo:NAME" """
    node: dict[str, Any] = field(default_factory=dict, compare=False)
    smuggled: tuple[str, ...] = ()
    """files and items read while the method was imported and built: the ledger counts them as unaccounted"""

    @property
    def stack(self) -> tuple[str, ...]:
        """What `on` names."""
        return (self.on,) if isinstance(self.on, str) else self.on

    def __post_init__(self) -> None:
        checked(self, at_least={"parallel": 1, "placebo_seeds": 1, "seed": 0})
        if isinstance(self.engine, Mapping | Sequence):  # settings of no class: nothing would read them
            raise ConfigError(f"engine={self.engine!r}: choose engine=auto, loop or vllm, then its settings")
        if any(not name.strip() for name in self.stack):
            raise ConfigError(f"on={self.on!r}: the names of runs")
        if self.seed > MAX_SEED:
            raise ConfigError(f"seed={self.seed}: at most {MAX_SEED:,} (2^63 - 1)")
        if self.group is not None:
            segment(self.group, "group")
        if not self.root.strip() or "\0" in self.root:
            raise ConfigError(f"root={self.root!r}: give the folder for runs and comparisons, such as root=runs")
        for name, members in MEMBERS.items():
            chosen = getattr(self, name)
            lacking = [member for member in members if getattr_static(chosen, member, self) is self]
            if lacking and chosen is not None:
                kind = type(chosen).__name__
                raise ConfigError(
                    f"{name}: {kind} is no {name} (it has no {', '.join(lacking)}); see elicit list {name}s"
                )
