"""A pytest plugin for `make mutation`: no test is answered from a cache.

mutmut runs all tests once and then forks for every mutant, so a cached function would answer from the run of the
unchanged code, and a mutant that it calls would survive without having run. Every `functools.cache` of the package
is emptied before each test, which also lets mutmut see every test that reaches a function.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

PACKAGES = ("elicit.", "methods.")


def caches(modules: dict[str, ModuleType]) -> list[Any]:
    """The cached functions and methods of the package's modules, each once."""
    found: dict[int, Any] = {}
    for name, module in list(modules.items()):
        if name.startswith(PACKAGES) and type(module) is ModuleType:  # a deferred package is no module yet
            for value in list(vars(module).values()):
                members = vars(value).values() if isinstance(value, type) else ()
                found |= {id(one): one for one in (value, *members) if hasattr(one, "cache_clear")}
    return list(found.values())


class FreshCaches:
    """Empties them before each test; looks for new ones only if modules were loaded meanwhile."""

    def __init__(self) -> None:
        self.loaded, self.found = 0, list[Any]()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        if len(sys.modules) != self.loaded:
            self.loaded, self.found = len(sys.modules), caches(sys.modules)
        for one in self.found:
            one.cache_clear()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(FreshCaches())
