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
from dataclasses import replace
from pathlib import Path
from typing import Any

from elicit.config.build import Builder, plugins
from elicit.config.settings import ARMS, GROUPS, Settings, Sweep
from elicit.errors import ConfigError, near
from elicit.watch import watching


def config_dirs() -> list[Path]:
    """Our config folder, then those of the registered plug-ins. Raises ConfigError naming a plug-in without one."""
    here = Path(__file__).parents[1]
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


def build_settings(node: Mapping[str, Any]) -> Settings:
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
    return [Path(__file__).resolve().parents[2] / "methods", *(Path(path) for path in metadata if path)]


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
    ours = Path(__file__).resolve().parents[2] / "methods"
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
