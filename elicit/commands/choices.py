"""`elicit list` and `elicit show`: what can be chosen, and the fields of a choice.

`list` reads YAML only. `show` imports the class and prints its field docstrings: there is no second description.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
from pathlib import Path
from typing import Any

from elicit.config import GROUPS
from elicit.config.build import Builder, setting_of
from elicit.config.compose import choices, compose
from elicit.console import Console
from elicit.errors import ConfigError, near
from elicit.lazy import defer

LISTS = {
    "methods": "method",
    "models": "model",
    "tasks": "task",
    "strategies": "method/strategy",
    "experiments": "experiment",
    "evals": "eval",
    "engines": "engine",
    "trackers": "tracker",
    "sweeps": "sweep",
}


def list_choices(words: list[str]) -> int:
    """`elicit list methods`: one line per choice; `elicit list`: what can be listed."""
    if not words:
        for word, group in LISTS.items():
            names = sorted(choices(group))
            shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            Console().say(f"elicit list {word:12} {len(names):3}  {shown}")
        Console().say("your own: elicit new method|task|strategy NAME")
        return 0
    word = words[0]
    if len(words) != 1 or word not in LISTS:
        raise ConfigError(f"elicit list {' '.join(words)}: one list expected; {near(word, LISTS)}")
    for name, path in sorted(choices(LISTS[word]).items()):
        Console().say(f"{name:22} {headline(path)}")
    return 0


def headline(path: Path) -> str:
    """The first sentence of a YAML file's head comment; without one, its first setting."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "@package" not in line]
    head = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    settings = [line for line in lines if ": " in line and not line.startswith("_class_")]
    text = " ".join(line.lstrip("# ").strip() for line in head)
    return re.split(r"(?<=[\w)])\. (?=[A-Z0-9])", text)[0] if text else next(iter([*settings, *lines]), "")


def show_choice(words: list[str]) -> int:
    """`elicit show method=X`: every field with its meaning, default and YAML value."""
    chosen = [word for word in words if word.split("=")[0] in GROUPS]
    if not chosen or any("=" not in word for word in words):
        raise ConfigError(f"elicit show {' '.join(words)}: expected GROUP=NAME; groups: {', '.join(GROUPS)}")
    group = chosen[-1].split("=")[0]
    if group == "method/strategy" and not any(word.startswith("method=") for word in words):
        words = ["method=decoding", *words]  # a strategy is a field of this method
    node: Any = compose(words)
    for part in group.split("/"):
        node = node.get(part) or {}
    if "_class_" not in node:
        import yaml

        Console().say(yaml.safe_dump(node, sort_keys=False, allow_unicode=True).rstrip())
        return 0
    _show(chosen[-1], node, "")
    return 0


def _show(title: str, node: dict[str, Any], indent: str) -> None:
    defer("torch")  # the fields of a class are read, not what it does
    builder, say = Builder(), Console().say
    cls = builder.find_class(node["_class_"], "_class_")
    builder.raise_faults()
    say(f"{indent}{title}: {node['_class_']}")
    say(textwrap.indent(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0], indent + "  "))
    documented = field_docs(cls)
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        name = setting_of(field)
        default, given = _default(field), node.get(name)
        value = f"{given!r} (default {default})" if name in node and repr(given) != default else default
        if isinstance(given, dict) and "_class_" in given:
            _show(name, given, indent + "  ")
            continue
        say(f"{indent}  {name}: {getattr(field.type, '__name__', field.type)} = {value}")
        if documented.get(field.name):
            say(textwrap.indent(textwrap.fill(documented[field.name], 100), indent + "      "))


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    return repr(field.default_factory()) if field.default_factory is not dataclasses.MISSING else "(needed)"


def field_docs(cls: type) -> dict[str, str]:
    """The string below each field, base classes included."""
    out: dict[str, str] = {}
    for base in reversed([base for base in cls.__mro__ if dataclasses.is_dataclass(base)]):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for field, below in itertools.pairwise(statements):
            documented = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and documented:
                assert isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
                out[field.target.id] = inspect.cleandoc(str(below.value.value)).replace("\n", " ")
    return out
