"""A package that a process loads when it is first used.

    defer("torch")      from now on `import torch` only binds the module; the first attribute that is read executes it

The classes of methods import torch because their fits use it; a plan, `elicit show` and an error about a setting read
their fields only. The standard library's LazyLoader does not help: the second `import torch` reads `__spec__`, and that
would load it. Knows no package. transformers can't be deferred: it replaces itself in `sys.modules`.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Waiting(ModuleType):
    """A module that was found but not executed yet."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("__spec__", "__class__"):  # read by the import statement and by isinstance
            return object.__getattribute__(self, name)
        # the class first: its own code reads attributes of the module while it is executed
        object.__setattr__(self, "__class__", ModuleType)
        spec: Any = object.__getattribute__(self, "__spec__")
        try:
            spec.loader.exec_module(self)
        except BaseException:
            sys.modules.pop(spec.name, None)
            raise
        return getattr(self, name)


def defer(name: str) -> None:
    """Let `import name` wait for the first use of the package. Does nothing if it is loaded or not installed."""
    if name in sys.modules or (spec := importlib.util.find_spec(name)) is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    object.__setattr__(module, "__class__", Waiting)
    sys.modules[name] = module


def waiting(module: object) -> bool:
    """Whether a module was deferred and has not been used yet. Reading nearly any attribute of it would load it."""
    return type(module) is Waiting


def no_grad(function: Callable[P, T]) -> Callable[P, T]:
    """`torch.no_grad()` as a decorator that loads torch at the first call, not at the definition."""

    @functools.wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        import torch

        with torch.no_grad():
            return function(*arguments, **named)

    return call
