"""Configuration is data: a plain mapping becomes a frozen dataclass, and all faults are reported at once.

    {"_class_": "methods.contrastive.Contrastive", "layer": 0.5}  ->  Contrastive(layer=0.5)

A class is named by `_class_` (or known from the field's type); it must be a dataclass under
`elicit.`, `methods.`, a registered plug-in or a package that the command line trusts (`trusting`): nothing
else is ever imported or called. No file of a run folder can add to this list. Unknown keys and values of a
wrong type are faults with their path (`eval.n`) and near matches. Strict on purpose, like the loader of
facebookresearch/lingua and the errors of torchtune. Knows nothing about hydra or files. Imports no torch.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import math
import re
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from elicit.errors import ConfigError, ElicitError, near
from elicit.names import current_name

PLUGIN_GROUP = "elicit.configs"
"""Entry points of this group name a plug-in's config package: `toy = "toy_elicit.configs"`."""

SETTING = "setting"
"""key of a field's metadata: the name of the field in YAML, if the class needs another one for it"""
_BROKEN = object()
_OURS = ("elicit.", "methods.")
"""a fault in an import of these is a bug of the workbench and keeps its traceback"""
_TRUSTED: ContextVar[tuple[str, ...]] = ContextVar("_TRUSTED", default=())
REMOTE_CODE = "remote_code"
"""as a trusted package: model.trust_remote_code, which runs code that comes with a model"""


@contextmanager
def trusting(packages: Iterable[str]) -> Iterator[None]:
    """Within this context, configurations may name classes of these packages, too.

    They come from the user's command line. A run folder may come from a stranger, so its `allow_classes` is no
    permission.
    """
    token = _TRUSTED.set(tuple(dict.fromkeys((*_TRUSTED.get(), *packages))))
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def trusted() -> tuple[str, ...]:
    """The packages that the command line trusts."""
    return _TRUSTED.get()


def packages_in(words: Iterable[str]) -> tuple[str, ...]:
    """The packages of `allow_classes=[a,b]` among the words of a command line."""
    texts = [word.partition("=")[2] for word in words if word.lstrip("+").startswith("allow_classes=")]
    return tuple(name for text in texts for name in re.split(r"[\s,\[\]\"']+", text) if name)


def plugins() -> dict[str, EntryPoint]:
    """Registered plug-ins by entry-point name."""
    return dict(_registered(tuple(sys.path)))


@functools.cache
def _registered(path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Reads the metadata of every installed package (about 30 ms), so once per search path."""
    return {point.name: point for point in entry_points(group=PLUGIN_GROUP)}


def allowed_prefixes(more: Iterable[str] = ()) -> tuple[str, ...]:
    """Packages whose classes a configuration may name, each with its trailing dot."""
    packages = {"elicit", "methods", *(point.value.split(".")[0] for point in plugins().values())}
    return tuple(sorted(package.rstrip(".") + "." for package in {*packages, *trusted(), *more} if package.strip(".")))


def build(node: Any, path: str = "config", hint: Any = Any, allow: Iterable[str] = ()) -> Any:
    """The value that `node` describes. Raises ConfigError that lists every fault with its path."""
    builder = Builder(allow)
    value = builder.value(node, hint, path)
    builder.raise_faults()
    return value


class Builder:
    """Collects faults while it builds, so that a file is corrected once instead of five times."""

    def __init__(self, allow: Iterable[str] = (), prefixes: tuple[str, ...] | None = None, exact: bool = False) -> None:
        self.faults: list[str] = []
        self.exact = exact
        """leave an int in a float field an int: what was saved has to hash as it did"""
        self.prefixes = allowed_prefixes(allow) if prefixes is None else prefixes

    def raise_faults(self) -> None:
        if self.faults:
            head = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
            raise ConfigError(f"{head} in the configuration\n" + "\n".join(f"  {fault}" for fault in self.faults))

    def fault(self, text: str) -> Any:
        if text not in self.faults:
            self.faults.append(text)
        return _BROKEN

    def value(self, node: Any, hint: Any, path: str) -> Any:
        """Check `node` against the type `hint` and build what it describes."""
        if isinstance(node, Mapping) and "_class_" in node:
            cls = self.find_class(node["_class_"], f"{path}._class_")
            if cls is _BROKEN:
                return _BROKEN
            built = self.instance(cls, {key: value for key, value in node.items() if key != "_class_"}, path)
            plain = isinstance(hint, type) and dataclasses.is_dataclass(hint)
            if plain and built is not _BROKEN and not isinstance(built, hint):
                return self.fault(f"{path}._class_={node['_class_']!r}: expected {_type_name(hint)}")
            return built
        origin = typing.get_origin(hint)
        if origin in (typing.Union, types.UnionType):
            return self._union(node, typing.get_args(hint), path)
        if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(node, Mapping):
            return self.instance(hint, node, path)
        if origin is typing.Literal:
            known = typing.get_args(hint)
            return node if node in known else self.fault(f"{path}={node!r}: {near(str(node), map(str, known))}")
        if origin in (list, tuple, Sequence) or hint in (list, tuple):
            return self._sequence(node, hint, path)
        if origin in (dict, Mapping) or hint is dict:
            return self._mapping(node, hint, path)
        return self._scalar(node, hint, path)

    def find_class(self, name: Any, path: str) -> Any:
        """Import the dataclass `name`, from an allowed package only."""
        if not isinstance(name, str) or not name.startswith(self.prefixes):
            packages = ", ".join(prefix + "*" for prefix in self.prefixes)
            return self.fault(f"{path}={name!r}: classes of {packages} only (allow_classes=[PACKAGE] allows more)")
        module_name, _, class_name = current_name(name).rpartition(".")
        try:
            module = importlib.import_module(module_name)
        except Exception as fault:  # whatever the code of a plug-in raises when it is imported
            if module_name.startswith(_OURS) and not isinstance(fault, ModuleNotFoundError | ValueError):
                raise
            reason = f"{type(fault).__name__}: {fault}"
            return self.fault(
                f"{path}={name!r}: {module_name} can't be imported ({reason}); install it, or choose another"
            )
        cls = getattr(module, class_name, None)
        if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
            known = [n for n, v in vars(module).items() if isinstance(v, type) and dataclasses.is_dataclass(v)]
            return self.fault(f"{path}={name!r}: {module_name} has no such dataclass; {near(class_name, known)}")
        return cls

    def instance(self, cls: type, node: Mapping[str, Any], path: str) -> Any:
        """Build `cls` from `node`; its own ConfigErrors are faults like any other."""
        fields = {setting_of(field): field for field in dataclasses.fields(cls) if field.init}
        before, arguments = len(self.faults), {}
        for key, value in node.items():
            if key not in fields:
                self.fault(f"{path}.{key}: {cls.__name__} has no such setting; {near(str(key), fields)}")
                continue
            name = fields[key].name
            arguments[name] = self.value(value, hint_of(cls, name), f"{path}.{key}")
        for name, field in fields.items():
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if required and name not in node:
                self.fault(f"{path}.{name}: {cls.__name__} needs a value")
        if len(self.faults) > before:
            return _BROKEN
        try:
            return cls(**arguments)
        except ElicitError as fault:
            return self.fault(f"{path}: {fault}")
        except Exception as fault:  # a check that met a value of a kind it did not expect, e.g. in a field of any type
            kind = type(fault).__name__
            return self.fault(f"{path}: {cls.__name__} can't be made of {_short(arguments)} ({kind}: {fault})")

    def _union(self, node: Any, options: tuple[Any, ...], path: str) -> Any:
        if node is None and type(None) in options:
            return None
        rest = [option for option in options if option is not type(None)]
        attempts = []
        for option in rest:
            trial = Builder(prefixes=self.prefixes, exact=self.exact)
            value = trial.value(node, option, path)
            if not trial.faults:
                return value
            attempts.append(trial.faults)
        if len(rest) == 1:
            return [self.fault(text) for text in attempts[0]][-1]
        return self.fault(f"{path}={node!r}: expected {' or '.join(map(_type_name, options))}")

    def _sequence(self, node: Any, hint: Any, path: str) -> Any:
        if not isinstance(node, (list, tuple)):
            return self.fault(f"{path}={node!r}: expected a list, such as [{node}]")
        arguments = typing.get_args(hint)
        inner = list(arguments[:1] if arguments[1:] in ((), (...,)) else arguments) or [Any]
        if len(inner) > 1 and len(inner) != len(node):
            return self.fault(f"{path}={list(node)!r}: expected {len(inner)} entries")
        hints = inner if len(inner) > 1 else inner * len(node)
        values = [self.value(value, h, f"{path}[{i}]") for i, (value, h) in enumerate(zip(node, hints, strict=True))]
        return values if (typing.get_origin(hint) or hint) is list else tuple(values)

    def _mapping(self, node: Any, hint: Any, path: str) -> Any:
        if not isinstance(node, Mapping):
            return self.fault(f"{path}={node!r}: expected a mapping")
        inner = (typing.get_args(hint) or (Any, Any))[1]
        return {key: self.value(value, inner, f"{path}.{key}") for key, value in node.items()}

    def _scalar(self, node: Any, hint: Any, path: str) -> Any:
        if isinstance(node, float) and not math.isfinite(node):
            return self.fault(f"{path}={node}: expected a finite number")
        if hint is float and isinstance(node, int) and not isinstance(node, bool):
            return node if self.exact else float(node)
        if hint is int and isinstance(node, bool):
            return self.fault(f"{path}={node!r}: expected int")
        if hint in (bool, int, float, str):
            return node if isinstance(node, hint) else self.fault(f"{path}={node!r}: expected {_type_name(hint)}")
        if hint is Path and isinstance(node, str):
            return Path(node)
        if hint is Any or hint is object:
            return node
        if isinstance(node, Mapping):
            return self.fault(f"{path}: expected {_type_name(hint)}; name its class with _class_")
        protocol = getattr(hint, "_is_protocol", False)
        wrong = (
            isinstance(node, str | int | float | list)
            if protocol
            else isinstance(hint, type) and not isinstance(node, hint)
        )
        if wrong:
            return self.fault(f"{path}={node!r}: expected {_type_name(hint)}")
        return node


def setting_of(field: dataclasses.Field[Any]) -> str:
    """The name of a field in YAML and on the command line."""
    return str(field.metadata.get(SETTING, field.name))


def hint_of(cls: type, name: str) -> Any:
    """The type of a dataclass field; Any if its module is only imported for type checking."""
    for base in cls.__mro__:
        annotation = inspect.get_annotations(base).get(name)
        if annotation is None:
            continue
        if not isinstance(annotation, str):
            return annotation
        try:
            return eval(annotation, vars(sys.modules[base.__module__]), {})
        except NameError:
            return Any
    return Any


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."


def _type_name(hint: Any) -> str:
    return "null" if hint is type(None) else getattr(hint, "__name__", str(hint))
