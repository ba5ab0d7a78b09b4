"""The audit hook: while a method is built and fitted, nothing is read past the ledger unnoticed.

Watched are opened files, connections, and items with gold made anywhere but behind the ledger's
`door` (tasks announce them with an audit event of their own, see `tasks.task.make_item`). Allowed are
the installed packages, Python source on the path, the checkpoint, the run folder and devices.
Python can't remove an audit hook, so one is installed at first use; outside `watching` it does
nothing. What this module does not see: reads by other processes, and what was in memory before the
watch began; so the watch begins before the method is imported and built.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

GOLD_EVENT = "elicit.gold"
SOURCE = (".py", ".pyc", ".so", ".pyi")

_current: _Watch | None = None
_installed = False


class _Watch:
    """The allowed places of one fit, and where to report."""

    def __init__(self, allowed: Sequence[Path], report: Callable[[str], None]) -> None:
        self.allowed = tuple(str(Path(path).resolve()) for path in allowed)
        self.report = report
        self.seen: set[str] = set()
        self.busy = False
        self.door_open = False

    def look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.busy:
            return
        self.busy = True
        try:
            what = self._fault(event, arguments)
            if what and what not in self.seen:
                self.seen.add(what)
                self.report(what)
        finally:
            self.busy = False

    def _fault(self, event: str, arguments: tuple[Any, ...]) -> str | None:
        if event == GOLD_EVENT:
            return None if self.door_open else f"items of {arguments[0]} made outside the ledger"
        if event == "socket.connect":
            return f"connection to {arguments[1]}" if isinstance(arguments[1], tuple) else None
        if self.door_open or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return None
        return _file_fault(os.path.realpath(os.fsdecode(arguments[0])), self.allowed)


def _file_fault(path: str, allowed: tuple[str, ...]) -> str | None:
    inside = any(path == place or path.startswith(place.rstrip("/") + "/") for place in allowed)
    return None if inside or path.endswith(SOURCE) else f"file {path}"


def installed_places() -> list[Path]:
    """Where Python, the installed packages, the workbench itself and the devices are."""
    places = [sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *site.getsitepackages()]
    system = ["/dev", "/proc", "/sys", "/etc", "/usr/lib", "/usr/share", "/lib"]
    return [*(Path(place) for place in (*places, *system)), Path(__file__).resolve().parent]


@contextmanager
def watching(allowed: Sequence[Path], report: Callable[[str], None]) -> Iterator[None]:
    """Report every unexplained read, once each, while inside. `report` gets one line (`Ledger.unaccounted`)."""
    global _current, _installed
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    before, _current = _current, _Watch([*allowed, *installed_places()], report)
    try:
        yield
    finally:
        _current = before


@contextmanager
def door() -> Iterator[None]:
    """What is read inside is read through the ledger (or by the evaluator on its behalf)."""
    watch = _current
    before = watch.door_open if watch else False
    if watch:
        watch.door_open = True
    try:
        yield
    finally:
        if watch:
            watch.door_open = before


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _current is not None and event in ("open", "socket.connect", GOLD_EVENT):
        _current.look(event, arguments)
