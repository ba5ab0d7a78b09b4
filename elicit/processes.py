"""Processes of the workbench: how it starts others, and how it and they end.

A process that it starts imports from a safe path: a file `sympy.py` in the working directory is not SymPy. It ends when
its parent is gone, so a killed command leaves nobody who writes next to the command that resumes it. SIGTERM and
SIGHUP, which schedulers and closed terminals send, act like Ctrl-C. Knows nothing of runs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

PARENT_GONE = 1
"""exit code of a process whose parent is gone"""


def command(module: str, *words: str) -> list[str]:
    """The command that runs a module in a new interpreter without the working directory on its path (-P)."""
    return [sys.executable, "-P", "-m", module, *words]


def environment(needs: Iterable[str] = ()) -> dict[str, str]:
    """The environment of such a process. `needs`: further modules that it has to import, e.g. that of a user's task."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(safe_path(needs))}


def safe_path(needs: Iterable[str] = ()) -> list[str]:
    """`sys.path` without the working directory, unless PYTHONPATH names it.

    The folders of this package and of `needs` come last if they are missing then: installed packages go first.
    """
    here = Path.cwd().resolve()
    given = [Path(entry).resolve() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    kept = [os.path.abspath(entry) for entry in sys.path if entry and (Path(entry).resolve() != here or here in given)]
    needed = [folder for name in (__name__, *needs) if (folder := _folder(name)) is not None]
    return list(dict.fromkeys([*kept, *needed]))


def keep_caches_private() -> None:
    """Let torch's compiler keep its files in the user's cache folder, unless TORCHINDUCTOR_CACHE_DIR is set.

    It makes that folder as soon as it is imported: by default under a name that others can guess, in /tmp.
    """
    with suppress(OSError, RuntimeError):  # a home that is not known, or that can't be written to
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "elicit" / "torchinductor"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def _folder(name: str) -> str | None:
    """The folder from which the outermost package of an imported module came; None if it came from no file."""
    outer = sys.modules.get(name.partition(".")[0])
    places = list(getattr(outer, "__path__", ())) or [getattr(outer, "__file__", None)]
    return os.path.dirname(os.path.abspath(places[0])) if places[0] else None


def end_with_parent(parent: int) -> None:
    """End this process as soon as process `parent` is gone.

    On Linux the kernel does it at once (a signal cannot be delayed by a long computation in C); elsewhere, and if
    the parent ended before this call, a thread looks twice a second.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(PARENT_GONE)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def memory_limit(size: int) -> Iterator[None]:
    """Let this process allocate `size` bytes more at most: beyond that, Python raises MemoryError (Linux only)."""
    if sys.platform != "linux":
        yield
        return
    import resource

    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = [limit for limit in (before, hard, held + size) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))


@contextmanager
def working_in(folder: str | None) -> Iterator[Callable[[Path], Path]]:
    """Work in `folder`, e.g. where a run was started, if it exists; yields what keeps a path of before valid.

    The folder that is left is no longer on the import path then (`safe_path`), and `folder` does not join it.
    """
    here = Path.cwd()
    if folder is None or not Path(folder).is_dir() or Path(folder).resolve() == here.resolve():
        yield lambda path: path
        return
    before, safe = list(sys.path), safe_path()
    os.chdir(folder)
    sys.path[:] = safe
    try:
        yield lambda path: here / path
    finally:
        os.chdir(here)
        sys.path[:] = before


@contextmanager
def signals_as_interrupts() -> Iterator[list[int]]:
    """SIGTERM and SIGHUP do what Ctrl-C does: the batch is finished and written. Yields the signals received so far.

    They are handed to whatever handler SIGINT has at that moment. A signal that is ignored (nohup) stays ignored.
    """
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):  # a shell starts background jobs with SIGINT ignored; SIGTERM has to end them
            raise KeyboardInterrupt
        handler(signal.SIGINT, frame)

    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP) if threading.current_thread() is threading.main_thread() else ():
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handle)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
