"""One command line becomes one checked `Settings`: hydra composes the YAML, `build` makes the objects.

    overrides --Composer.node--> plain resolved dict --build_settings--> Settings(method, model, task, eval, ...)

Hydra's own `_target_` instantiation is never used. A dataclass is the schema of its YAML node (the
defaults are the truth, YAML states differences), so every override of a value is passed on as
`++key=value` and unknown keys are refused afterwards by `build`, however they came in. Plug-ins add
config folders through the entry-point group `elicit.configs`. Knows no model and no method; torch-free,
and hydra is imported only when something is composed.
"""

from __future__ import annotations

import copy
import functools
import importlib.util
import itertools
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from elicit.config.build import Builder, plugins
from elicit.config.settings import ARMS, GROUPS, Settings, Sweep
from elicit.console import SECRET_NAME, masked, secrets_in
from elicit.errors import ConfigError, DataError, near
from elicit.reading import read_yaml
from elicit.watch import HOOK, watching

_NO_SECRETS = (
    "a secret can't be a setting, since settings are written into names, files and trackers; leave it in the "
    "environment (HF_TOKEN, WANDB_API_KEY), where the libraries find it"
)


PROMPTS = "task.prompts."
"""settings whose values are texts, with braces around {question}"""


def config_dirs() -> list[Path]:
    """Our config folder, then those of the registered plug-ins. Raises ConfigError naming a plug-in without one."""
    here = Path(__file__).parents[1]
    dirs = [here / "_configs" if (here / "_configs").is_dir() else here.parent / "configs"]
    for name, point in plugins().items():
        try:
            spec = importlib.util.find_spec(point.value)
        except Exception:  # its parent package is missing, or raises when it is imported
            spec = None
        locations = list(spec.submodule_search_locations or ()) if spec else []
        if not locations:
            raise ConfigError(f"plug-in {name!r}: its entry point names {point.value!r}, which is no package of YAML")
        dirs.append(Path(locations[0]))
    return dirs


def choices(group: str) -> dict[str, Path]:
    """The YAML files of a group by name, plug-ins included. A subfolder that is no group is a part of the name."""
    files: dict[str, Path] = {}
    for folder in config_dirs():
        for path in sorted((folder / group).rglob("*.yaml")):
            name = path.relative_to(folder / group).with_suffix("")
            if name.parent == Path() or f"{group}/{name.parts[0]}" not in GROUPS:
                files.setdefault(name.as_posix(), path)
    return files


class Composer:
    """The configurations of one command. Overrides with the same group choices share one hydra composition.

    Hydra merges the YAML files that the group choices name, then sets the values in the order given. Merging takes a
    few tenths of a second and is kept; values are set here on a copy, by the call that hydra itself makes. So seeds,
    placebos, rivals and sweeps over fields cost no second composition.
    """

    def __init__(self) -> None:
        self._merged: dict[tuple[str, ...], Any] = {}

    def node(self, overrides: Sequence[str]) -> dict[str, Any]:
        """The resolved configuration as plain containers. Raises ConfigError with hydra's reason and near matches."""
        from hydra.errors import HydraException
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
        from yaml import YAMLError

        for override in overrides:
            if any(not character.isprintable() and character not in "\n\t" for character in override):
                raise ConfigError(f"{override!r}: it holds a character that can't be printed; remove it")
        try:
            group_choices, values = _split([_prepare(_quoted(override)) for override in overrides])
            if group_choices not in self._merged:
                self._merged[group_choices] = _merge(group_choices)
            config = copy.deepcopy(self._merged[group_choices])
            for key, value in values:
                OmegaConf.update(config, key, value, merge=True, force_add=True)
            with _guarded_environment():
                node = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        except (HydraException, OmegaConfBaseException, YAMLError, AssertionError, TypeError, ValueError) as fault:
            raise ConfigError(f"{_blamed(overrides, fault)}; {_remedy(fault)}") from None
        except RecursionError:
            raise ConfigError(
                "a setting that refers to itself: ${...} is resolved in a circle; write its value"
            ) from None
        assert isinstance(node, dict)
        _without_secrets(node)
        return {str(key): value for key, value in node.items()}

    def settings(self, overrides: Sequence[str]) -> Settings:
        """The checked settings of these overrides. Raises ConfigError with all faults at once."""
        node = self.node(overrides)
        packages = node.get("allow_classes")
        return build_settings(node, [str(name) for name in packages] if isinstance(packages, list) else ())


def compose(overrides: Sequence[str]) -> dict[str, Any]:
    """`Composer.node` for a single configuration."""
    return Composer().node(overrides)


def build_settings(node: Mapping[str, Any], allow: Iterable[str] = ()) -> Settings:
    """Build a composed configuration. Raises ConfigError with all faults at once.

    `allow`: packages whose classes it may name, besides those of `trusting`. The node's own `allow_classes` is only
    passed by callers that composed it from a command line.
    """
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
    builder = Builder(allow)
    if node.get("arm") is not None:
        builder.fault(f"arm={node['arm']!r}: no setting; choose with method.placebo=NAME or method.rival=NAME")
    for name in ("node", "smuggled"):
        if name in plain:
            builder.fault(f"{name}: no setting")
    method, smuggled = _watched(builder, plain.pop("method", None))
    value = builder.instance(Settings, {**plain, "method": None}, "config")
    builder.faults = [fault.removeprefix("config.") for fault in builder.faults]
    builder.raise_faults()
    return with_arm(replace(value, method=method, node=dict(node), smuggled=smuggled))


def _watched(builder: Builder, node: Any) -> tuple[Any, tuple[str, ...]]:
    """Import and build the method under the audit hook: what it reads by itself did not come through the ledger."""
    if node is None:
        return None, ()
    if not isinstance(node, Mapping) or "_class_" not in node:
        return builder.fault(f"method={node!r}: no method; choose one with method=NAME"), ()
    tempfile.gettempdir()  # tries its folders on its first call in a process: not a read by the method
    seen = HOOK.read_at_import.setdefault(str(node["_class_"]), [])
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


def sweep_jobs(overrides: Sequence[str], composer: Composer | None = None) -> list[list[str]]:
    """The cartesian product of all comma-separated (or range, choice) values and of the axes of `sweep=NAME`."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Glob
    from hydra.errors import HydraException

    overrides = [_quoted(override) for override in overrides]
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    axes: list[list[str]] = []
    for text, override in zip(overrides, parsed, strict=True):
        if override.is_sweep_override():
            key = text.split("=", 1)[0]
            try:
                if isinstance(pattern := override.value(), Glob):
                    axes.append([f"{key}={name}" for name in _matching(key, pattern)])
                    continue
                axes.append([f"{key}={value}" for value in override.sweep_string_iterator()])
            except (HydraException, ValueError) as fault:
                raise ConfigError(f"{text}: {_first_lines(fault)}; write the values out: {key}=a,b") from None
        else:
            axes.append([text])
    composer = composer or Composer()
    jobs = [list(job) for job in itertools.product(*axes)]
    return [[*axis, *job] for job in jobs for axis in _declared_axes(composer.node(job).get("sweep"))]


def _matching(group: str, pattern: Any) -> list[str]:
    """The choices of a group that `glob(...)` matches. Raises ConfigError if there is none."""
    names: list[str] = pattern.filter(sorted(choices(group)))
    if not names:
        wanted = ", ".join(pattern.include)
        raise ConfigError(f"{group}=glob({wanted}): it matches no choice; {near(wanted, choices(group))}")
    return names


def _declared_axes(sweep: Any) -> Iterator[list[str]]:
    if not sweep:
        yield []
        return
    declared = Builder().instance(Sweep, sweep, "sweep")
    if not isinstance(declared, Sweep):
        raise ConfigError(f"sweep={sweep!r}: expected axes: {{key: [values]}}")
    keys = list(declared.axes)
    for values in itertools.product(*declared.axes.values()):
        yield [f"{key}={value}" for key, value in zip(keys, values, strict=True)]


@contextmanager
def _guarded_environment() -> Iterator[None]:
    """`${oc.env:NAME}` is resolved unless NAME is named like a secret: settings are written into many files."""
    from omegaconf import OmegaConf
    from omegaconf.resolvers import oc

    def env(name: str, *default: str | None) -> str | None:
        if SECRET_NAME.search(name):
            raise ConfigError(f"${{oc.env:{name}}}: {_NO_SECRETS}")
        return oc.env(name, *default)

    OmegaConf.register_new_resolver("oc.env", env, replace=True)
    try:
        yield
    except Exception as fault:  # omegaconf wraps what a resolver raises
        cause = fault.__cause__ or fault.__context__
        raise cause if isinstance(cause, ConfigError) else fault from None
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _without_secrets(node: Any, path: str = "") -> None:
    """Raises ConfigError for a value with a password, an access token or the value of a secret variable."""
    if isinstance(node, str) and secrets_in(node):
        raise ConfigError(f"{path}={masked(node)}: {_NO_SECRETS}")
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        _without_secrets(value, f"{path}.{key}" if path else str(key))


def check_methods_package() -> None:
    """Raises ConfigError, with both paths, if `import methods` would import some other package."""
    ours = Path(__file__).resolve().parents[2] / "methods"
    spec = importlib.util.find_spec("methods")
    package = Path(next(iter(spec.submodule_search_locations or ("",)))).resolve() if spec else None
    if package != ours:
        raise ConfigError(
            f"`methods` resolves to {package or 'nothing'}, the workbench's own is {ours}: "
            "start in another folder, or take the other package off PYTHONPATH"
        )


def _blamed(overrides: Sequence[str], fault: Exception) -> str:
    """The override that a fault names by its key, or all of them, with the fault's first lines."""
    reason = _first_lines(fault) or type(fault).__name__
    keys = {override: override.partition("=")[0].lstrip("+~") for override in overrides}
    blamed = [override for override, key in keys.items() if key and key in reason]
    return f"{(blamed or [' '.join(overrides)])[-1]}: {reason}"


def _remedy(fault: Exception) -> str:
    reason = str(fault)
    if "nterpolation" in reason or "oc." in reason:
        return "write the value itself, or ${KEY} of a setting that exists"
    return "choose a name that `elicit list` prints, or quote a text: key='...'"


def _as_text(value: str) -> str:
    """A text in quotes: braces, commas and colons in it mean nothing to hydra's grammar.

    >>> _as_text("It's {question}, then:")
    "'It\\\\'s {question}, then:'"
    """
    return "'" + re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), value) + "'"


@functools.cache
def _quoted(override: str) -> str:
    """An override whose value hydra's grammar can't read as it is (a path with = or ~ or an umlaut), quoted.

    Raises ConfigError if quoting can't help.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, equals, value = override.partition("=")
    if key.lstrip("+").startswith(PROMPTS) and not value.startswith(("'", '"', "{template")):
        return f"{key}={_as_text(value)}"
    try:
        OverridesParser.create().parse_override(override)
        return override
    except (HydraException, ValueError, AssertionError) as fault:
        if key.strip("+~") and equals and not value.startswith("'") and not re.search(r"[\[\]{}(),\"'$\\]|!!", value):
            return f"{key}='{value}'"
        raise ConfigError(f"{override}: {_first_lines(fault)}; write key=value, and quote a text: key='...'") from None


def _prepare(override: str) -> str:
    """Group choices go to hydra as they are, values as `++key=value` (YAML states only differences)."""
    key, equals, _ = override.partition("=")
    if not equals and not key.startswith("~"):
        raise ConfigError(f"{override!r}: expected key=value; {near(override, GROUPS)}")
    bare = key.lstrip("+~").split("@")[0]
    if not bare:
        raise ConfigError(f"{override!r}: expected key=value; {near(override, GROUPS)}")
    if bare in GROUPS:
        name = override.partition("=")[2]
        known = choices(bare)
        if name in known:
            _readable(known[name], known[name].stat().st_mtime_ns)
        if "," in name and set(name.split(",")) <= known.keys():
            raise _several(bare, override)
        if name not in ("", "null") and name not in known and not name.startswith(("[", "{")):
            raise ConfigError(f"{bare}={name}: {near(name, known)}")
        return override
    if "/" in bare and not bare.startswith("hydra"):
        raise ConfigError(f"{bare}: no such group; {near(bare, GROUPS)}")
    return override if key.startswith(("~", "hydra")) else f"++{key.lstrip('+')}{override[len(key) :]}"


@functools.cache
def _readable(path: Path, changed: int) -> None:
    """Raises ConfigError if a YAML file of a group is broken, before hydra's own messages about it."""
    try:
        read_yaml(path)
    except DataError as fault:
        raise ConfigError(str(fault)) from None


def _several(key: str, override: str) -> ConfigError:
    if key in GROUPS:
        return ConfigError(f"{override}: several values; name one, or elicit -m runs each")
    return ConfigError(
        f"{override}: several values; a text with a comma is quoted for hydra and for the shell ({key}=\"'a, b'\"), "
        f"a list is in brackets ({key}=[a,b]), and elicit -m runs each"
    )


def _split(prepared: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, Any]]]:
    """Prepared overrides as (what decides which YAML is merged, values to set in their order).

    Deletions and settings of hydra itself are left to hydra, with everything else, for they depend on the order. Raises
    ConfigError for several values of one key.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(list(prepared))
    for override in parsed:
        if override.is_sweep_override():
            raise _several(override.key_or_group, str(override.input_line).lstrip("+"))
    if any(override.is_delete() for override in parsed):
        return tuple(prepared), []
    values = [one for one in parsed if one.is_force_add() and one.package is None and one.key_or_group not in GROUPS]
    rest = tuple(str(one.input_line) for one in parsed if one not in values)
    if any(word.startswith("hydra") for word in rest):
        return tuple(prepared), []
    return rest, [(one.key_or_group, one.value()) for one in values]


def _merge(group_choices: Sequence[str]) -> Any:
    """Hydra's composition of these overrides, its interpolations not yet resolved."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    first, *rest = config_dirs()
    search = [f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in rest)}]"] if rest else []
    outer = GlobalHydra.instance().hydra  # under hydra's own launchers (commands/hydra_app.py) it is in use
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(config_dir=str(first.resolve()), version_base="1.3"):
            return hydra_compose("config", overrides=[*search, *group_choices])
    finally:
        GlobalHydra.instance().hydra = outer


def _first_lines(fault: Exception) -> str:
    return " ".join(line.strip() for line in str(fault).splitlines()[:3] if line.strip())
