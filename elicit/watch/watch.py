"""The audit hook: while a method is built and fitted, every read that does not go through the ledger is reported.

Watched are opened files (of Python, of sqlite3, and of the compiled readers in `native_readers.py`), connections, and
items with gold that are made or handed out anywhere but inside the ledger's `door`: tasks and ledger announce these
with the audit event `elicit.gold` (`announce_gold`, `Sealed`). Allowed are the installed packages, Python source on the
path, the checkpoint, the run folder and devices. Python can't remove an audit hook, so one is installed at first use;
outside `watching` it does nothing.

Not watched: ctypes and compiled readers that `native_readers.py` does not list, files that another process reads, what
was in memory before the watch began (so the watch begins before the method is imported and built), and objects that are
dug out of a closure or with `gc`. It finds mistakes and shortcuts; it is no sandbox against an attacker.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from elicit.watch.native_readers import announced

GOLD_EVENT = "elicit.gold"
OPENED = ("open", "sqlite3.connect")
"""audit events whose first argument is a file"""
SOURCE = (".py", ".pyc", ".so", ".pyi")
T = TypeVar("T")


def announce_gold(task: str, what: str) -> None:
    """Raise the audit event of items with gold that leave a task or a ledger."""
    sys.audit(GOLD_EVENT, task, what)


class Sealed(Generic[T]):
    """A value with gold that is announced every time it is taken out, and that no attribute leads to."""

    __slots__ = ("open",)

    def __init__(self, value: T, task: str) -> None:
        def take() -> T:
            announce_gold(task, "kept items")
            return value

        self.open: Callable[[], T] = take


class Watch:
    """The allowed folders of one fit, and the function that unexplained reads are reported to."""

    def __init__(self, allowed: Sequence[Path], report: Callable[[str], None]) -> None:
        self.allowed = tuple(str(Path(path).resolve()) for path in allowed)
        self.report = report
        self.seen: set[str] = set()
        self.busy = False
        self.door_open = False

    def look(self, event: str, arguments: tuple[object, ...]) -> None:
        """Report an event that is not explained, the first time that it happens."""
        if self.busy:  # looking and reporting may open files themselves
            return
        self.busy = True
        try:
            fault = self._fault(event, arguments)
            if fault and fault not in self.seen:
                self.seen.add(fault)
                self.report(fault)
        finally:
            self.busy = False

    def _fault(self, event: str, arguments: tuple[object, ...]) -> str | None:
        if event == GOLD_EVENT:
            return None if self.door_open else f"items of {arguments[0]} taken outside the ledger"
        if event == "socket.connect":
            return f"connection to {arguments[1]}" if isinstance(arguments[1], tuple) else None
        if self.door_open or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return None
        if event == "sqlite3.connect" and os.fsdecode(arguments[0]) in ("", ":memory:"):
            return None
        path = os.path.realpath(os.fsdecode(arguments[0]))
        inside = any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in self.allowed)
        return None if inside or path.endswith(SOURCE) else f"file {path}"


class AuditHook:
    """The audit hook of this process: Python allows no removal, so there is one, and it owns the active watch."""

    def __init__(self) -> None:
        self.watch: Watch | None = None
        self.installed = False
        self.read_at_import: dict[str, list[str]] = {}
        """what each method's class read while it was imported and built; a module is imported only once per process"""

    def install(self) -> None:
        if not self.installed:
            sys.addaudithook(self._on_event)
            self.installed = True

    def _on_event(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.watch is not None and event in (*OPENED, "socket.connect", GOLD_EVENT):
            self.watch.look(event, arguments)


HOOK = AuditHook()


def installed_places() -> list[Path]:
    """The folders of Python, the installed packages, the workbench itself and the devices."""
    folders = [sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *site.getsitepackages()]
    system = ["/dev", "/proc", "/sys", "/etc", "/usr/lib", "/usr/share", "/lib"]
    return [*(Path(folder) for folder in (*folders, *system)), Path(__file__).resolve().parents[1]]


@contextmanager
def watching(allowed: Sequence[Path], report: Callable[[str], None]) -> Iterator[None]:
    """Inside, report every unexplained read once. `report` gets one line (e.g. `Ledger.unaccounted`)."""
    HOOK.install()
    before, HOOK.watch = HOOK.watch, Watch([*allowed, *installed_places()], report)
    try:
        with announced():
            yield
    finally:
        HOOK.watch = before


@contextmanager
def door() -> Iterator[None]:
    """What is read inside is read through the ledger (or by the evaluator on its behalf)."""
    watch = HOOK.watch
    before = watch.door_open if watch else False
    if watch:
        watch.door_open = True
    try:
        yield
    finally:
        if watch:
            watch.door_open = before
