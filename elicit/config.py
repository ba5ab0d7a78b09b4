"""One command line becomes one checked `Settings`: hydra composes the YAML, `build` makes the objects.

    overrides --compose--> plain resolved dict --settings--> Settings(method, model, task, eval, tracker, ...)

Hydra's own `_target_` instantiation is never used. A dataclass is the schema of its YAML node (the
defaults are the truth, YAML states differences), so every override of a value is passed to hydra as
`++key=value` and unknown keys are refused afterwards by `build`, however they came in. Plug-ins add
config folders through the entry-point group `elicit.configs`. Knows no model and no method; torch-free,
and hydra is imported only when something is composed.
"""

from __future__ import annotations

import importlib.util
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from elicit.build import Builder, plugins
from elicit.errors import ConfigError, near
from elicit.watch import watching

GROUPS = (
    *("method", "method/strategy", "method/critic", "method/response"),
    *("model", "task", "eval", "tracker", "experiment", "sweep"),
)
ARMS = ("placebo", "rival")
"""`method.placebo=NAME` and `method.rival=NAME` run one of the method's own controls; they are no fields of it."""


@dataclass(frozen=True)
class EvalPlan:
    """How all policies of a comparison are measured."""

    n: int = 16
    """samples an item; deterministic strategies take 1"""
    base_n: int | None = None
    """the same of the base rungs, so that the base's vote can spend as many tokens as a costly method; null: n"""
    limit: int | None = 200
    """items of the test split, a seeded subset that is the same for all policies; null: all"""
    regime: Literal["compare", "support", "greedy"] = "compare"
    max_new_tokens: int | None = None
    """null: the task's own limit; one limit for all policies"""
    workers: int = 2
    """processes that grade"""
    bootstrap_draws: int = 10_000
    ceilings: tuple[Literal["C1", "C3", "C4"], ...] = ("C1", "C4")
    """C4: opener forced, where the task knows one; C1: base coverage net of guessing, needs support_n; C3: fine-tuning
    on gold traces, where the task has them. C2 is declared by `sibling`."""
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
    """samples an item for that choice"""
    own_prompts: bool = True
    """methods are measured at their own dev-best fixed prompt as well: EF against B1 compares best with best"""
    support_n: int | None = None
    """base samples an item at temperature 1 for C1; null: C1 is not measured"""
    annotate: bool = False
    """KL to the base and likelihood under it: every policy's samples at T=1 on some items, each scored by the base"""
    annotate_limit: int = 48
    """items for that"""
    annotate_n: int = 4
    """samples an item for that"""

    def __post_init__(self) -> None:
        for name in ("n", "workers", "bootstrap_draws", "prompt_limit", "prompt_n", "annotate_limit", "annotate_n"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: 1 or more")
        wanted = {"b2": ("tokens", "temperature", "top_p", "run"), "c3": ("fit", "name")}
        for name, parts in wanted.items():
            chosen = getattr(self, name)
            if lacking := [part for part in parts if chosen is not None and not hasattr(chosen, part)]:
                raise ConfigError(f"{name}={type(chosen).__name__}: it has no {', '.join(lacking)} (see eval=full)")
        for name in ("base_n", "limit", "max_new_tokens", "support_n"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: null, or 1 or more")


@dataclass(frozen=True)
class FitPlan:
    """How methods are fitted, besides what each says itself."""

    prompt: str = "bare"
    """fixed prompt of the task that a method is fitted on; it is evaluated at the bare one and at its own best"""


@dataclass(frozen=True)
class Experiment:
    """A preset: settings of the groups in its YAML, and the jobs that share one comparison."""

    name: str
    jobs: tuple[tuple[str, ...], ...]
    """one list of overrides a job"""
    expected: dict[str, Any] = field(default_factory=dict)
    """figures to print beside the obtained ones, by policy name"""


@dataclass(frozen=True)
class Sweep:
    """Axes that `elicit -m sweep=NAME` multiplies, besides comma-separated values of the command line."""

    axes: dict[str, list[Any]]


@dataclass(frozen=True)
class Settings:
    """Everything one job needs. `node` is the resolved configuration it was built from."""

    method: Any
    """None: only the base is measured"""
    model: Any
    task: Any
    eval: EvalPlan
    tracker: Any
    fit: FitPlan = FitPlan()
    experiment: Experiment | None = None
    sweep: Sweep | None = None
    seed: int = 0
    root: str = "runs"
    group: str | None = None
    """null: the experiment's name, or method-task-model"""
    output: Literal["text", "json"] = "text"
    dry_run: bool = False
    parallel: int = 1
    """processes that fit and measure the jobs of a comparison side by side; more than 1 for tiny models on a CPU"""
    placebos: Literal["none", "one", "all"] = "none"
    placebo_seeds: int = 1
    """draws of every placebo (seed, seed + 1000, ...); they share the samples: n a draw is eval.n / placebo_seeds"""
    rivals: Literal["none", "one", "all"] = "none"
    template: str = "comparison"
    """report template: a shipped name or a path"""
    budget: Any = None
    """elicit.ledger.Budget"""
    allow_classes: tuple[str, ...] = ()
    """further packages whose classes `_class_` may name"""
    arm: str | None = None
    """set by method.placebo=NAME or method.rival=NAME: "placebo:NAME" """
    node: dict[str, Any] = field(default_factory=dict, compare=False)
    smuggled: tuple[str, ...] = ()
    """what was read while the method was imported and built: the ledger counts it as unaccounted"""

    def __post_init__(self) -> None:
        if self.parallel < 1:
            raise ConfigError(f"parallel={self.parallel}: 1 process or more")
        if self.placebo_seeds < 1:
            raise ConfigError(f"placebo_seeds={self.placebo_seeds}: 1 draw or more")


def config_dirs() -> list[Path]:
    """Our config folder, then those of the registered plug-ins. Raises ConfigError naming a plug-in without one."""
    here = Path(__file__).parent
    dirs = [here / "_configs" if (here / "_configs").is_dir() else here.parent / "configs"]
    for name, point in plugins().items():
        spec = importlib.util.find_spec(point.value)
        locations = list(spec.submodule_search_locations or ()) if spec else []
        if not locations:
            raise ConfigError(f"plug-in {name!r}: its entry point names {point.value!r}, which is no package of YAML")
        dirs.append(Path(locations[0]))
    return dirs


def choices(group: str) -> dict[str, Path]:
    """The YAML files of a group by name, plug-ins included."""
    found: dict[str, Path] = {}
    for folder in config_dirs():
        for path in sorted((folder / group).glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def compose(overrides: Sequence[str]) -> dict[str, Any]:
    """The resolved configuration as plain containers. Raises ConfigError with hydra's finding and near matches."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    first, *rest = config_dirs()
    search = [f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in rest)}]"] if rest else []
    prepared = [_prepare(override) for override in overrides]
    try:
        with initialize_config_dir(config_dir=str(first.resolve()), version_base="1.3"):
            composed = hydra_compose("config", overrides=[*search, *prepared])
        node = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as fault:
        raise ConfigError(_first_lines(fault)) from None
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items()}


def settings(node: Mapping[str, Any]) -> Settings:
    """Build a composed configuration. Raises ConfigError with all faults at once."""
    check_methods_package()
    plain = {key: value for key, value in node.items() if key != "arm"}
    plain["arm"] = None
    if isinstance(plain.get("method"), Mapping):
        method = dict(plain["method"])
        arms = {kind: method.pop(kind) for kind in ARMS if method.get(kind) is not None}
        plain["method"] = {key: value for key, value in method.items() if key not in ARMS}
        if len(arms) > 1:
            raise ConfigError("method.placebo and method.rival are both set: a job runs one of them")
        plain["arm"] = next((f"{kind}:{name}" for kind, name in arms.items()), None)
    builder = Builder(node.get("allow_classes") or ())
    for name in ("node", "smuggled"):
        if name in plain:
            builder.fault(f"{name}: no setting")
    method, smuggled = _watched(builder, plain.pop("method", None))
    value = builder.instance(Settings, {**plain, "method": None}, "config")
    builder.faults = [fault.removeprefix("config.") for fault in builder.faults]
    builder.raise_faults()
    return with_arm(replace(value, method=method, node=dict(node), smuggled=smuggled))


_seen_at_import: dict[str, list[str]] = {}


def _watched(builder: Builder, node: Any) -> tuple[Any, tuple[str, ...]]:
    """Import and build the method under the audit hook: what it reads by itself did not come through the ledger."""
    if node is None:
        return None, ()
    if not isinstance(node, Mapping) or "_class_" not in node:
        return builder.fault(f"method={node!r}: no method; choose one with method=NAME"), ()
    tempfile.gettempdir()  # tries its folders once a process: not a read of the method's
    seen = _seen_at_import.setdefault(str(node["_class_"]), [])
    with watching(own_places(), seen.append):
        method = builder.value(node, Any, "method")
    return method, tuple(seen)


def own_places() -> list[Path]:
    """What may be read while a method is imported and runs: our methods' folder and the metadata of plug-ins."""
    metadata = [getattr(point.dist, "_path", None) for point in plugins().values()]
    return [Path(__file__).resolve().parent.parent / "methods", *(Path(path) for path in metadata if path)]


def with_arm(value: Settings) -> Settings:
    """Replace the method by the placebo or rival that `arm` names."""
    if value.arm is None:
        return value
    if value.method is None:
        raise ConfigError(f"{value.arm}: there is no method to take it from")
    kind, name = value.arm.split(":", 1)
    known = value.method.placebos() if kind == "placebo" else value.method.rivals()
    if name not in known:
        raise ConfigError(f"method.{kind}={name!r}: {near(name, known) if known else f'the method has no {kind}s'}")
    return replace(value, method=known[name])


def sweep_jobs(overrides: Sequence[str]) -> list[list[str]]:
    """The cartesian product of all comma-separated (or range, choice) values and of the axes of `sweep=NAME`."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as fault:
        raise ConfigError(_first_lines(fault)) from None
    axes: list[list[str]] = []
    for text, override in zip(overrides, parsed, strict=True):
        if override.is_sweep_override():
            key = text.split("=", 1)[0]
            axes.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            axes.append([text])
    jobs = [list(job) for job in itertools.product(*axes)]
    return [[*axis, *job] for job in jobs for axis in _declared_axes(job)]


def _declared_axes(job: Sequence[str]) -> Iterator[list[str]]:
    sweep = compose(job).get("sweep")
    if not sweep:
        yield []
        return
    declared = Builder().instance(Sweep, sweep, "sweep")
    if not isinstance(declared, Sweep):
        raise ConfigError(f"sweep={sweep!r}: expected axes: {{key: [values]}}")
    keys = list(declared.axes)
    for values in itertools.product(*declared.axes.values()):
        yield [f"{key}={value}" for key, value in zip(keys, values, strict=True)]


def check_methods_package() -> None:
    """Refuse when `import methods` would find some other package; both paths are named."""
    ours = Path(__file__).resolve().parent.parent / "methods"
    spec = importlib.util.find_spec("methods")
    found = Path(next(iter(spec.submodule_search_locations or ("",)))).resolve() if spec else None
    if found != ours:
        raise ConfigError(
            f"`methods` resolves to {found or 'nothing'}, the workbench's own is {ours}: "
            "start in another folder, or take the other package off PYTHONPATH"
        )


def _prepare(override: str) -> str:
    """Group choices go to hydra as they are, values as `++key=value` (YAML states only differences)."""
    key, equals, _ = override.partition("=")
    if not equals and not key.startswith("~"):
        raise ConfigError(f"{override!r}: expected key=value; {near(override, GROUPS)}")
    bare = key.lstrip("+~").split("@")[0]
    if bare in GROUPS:
        name = override.partition("=")[2]
        known = choices(bare)
        if name not in ("", "null") and name not in known and not name.startswith(("[", "{")):
            raise ConfigError(f"{bare}={name}: {near(name, known)}")
        return override
    if "/" in bare and not bare.startswith("hydra"):
        raise ConfigError(f"{bare}: no such group; {near(bare, GROUPS)}")
    return override if key.startswith(("~", "hydra")) else f"++{key.lstrip('+')}{override[len(key) :]}"


def _first_lines(fault: Exception) -> str:
    return " ".join(line.strip() for line in str(fault).splitlines()[:3] if line.strip())
