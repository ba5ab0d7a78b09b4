"""The errors of the workbench, who raises them and who handles them.

The code that detects a fault raises it, with the wrong value, the place and the fix in the message. The
stage or run folder that was being written records it (`error.json`). A sweep continues with its other
jobs. `cli.main` prints an `ElicitError` as one line without a traceback and returns its `exit_code`.
Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import dataclasses
import difflib
import errno
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any


class ElicitError(Exception):
    """A fault that the user can fix; the message says how."""

    exit_code = 1


class ConfigError(ElicitError):
    """A setting that can't be used. All faults of a configuration are reported at once."""

    exit_code = 2


class DataError(ElicitError):
    """A file or a row that can't be read, with its line."""


class CheckpointError(ElicitError):
    """A base model that can't be loaded or does not fit an intervention."""


class MissingKey(DataError, KeyError):
    """A key that an object of a JSON file lacks."""

    __str__ = Exception.__str__  # KeyError prints the repr of its message


class LedgerError(ElicitError):
    """Data was asked for that the ledger does not give: a closed split, a spent budget, used items."""


class StageError(ElicitError):
    """A stage's folder does not fit its inputs; the message names what changed and the command to redo it."""


class MethodError(ElicitError):
    """A method could not find an intervention."""


_SYSTEM = {
    errno.ENOSPC: "the disk is full; free some space and resume, finished shards are kept",
    errno.EDQUOT: "your disk quota is used up; free some space and resume, finished shards are kept",
    errno.EROFS: "the file system is read-only; choose a folder that you can write to (root=FOLDER, or out=FOLDER)",
    errno.EACCES: "permission denied; change its permissions, or choose another folder (root=FOLDER)",
    errno.EPERM: "not permitted; choose another folder (root=FOLDER)",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EFBIG: "larger than the limit on file sizes; raise it (ulimit -f) and resume",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n) and resume",
    errno.ENOTDIR: "a part of this path is a file; choose another folder (root=FOLDER)",
    errno.EEXIST: "a file has the name of a folder that is needed; choose another folder (root=FOLDER)",
    errno.EISDIR: "this is a folder; give a file",
    errno.ENOENT: "no such file or folder, and it can't be made",
    errno.ELOOP: "its symbolic links form a circle; give the real path",
    errno.ENOMEM: "out of memory; sample or train in smaller batches",
}
"""faults of the machine, not of the program, and what to do about them"""


def system_fault(fault: OSError, path: object = None) -> DataError | None:
    """The DataError for a fault of the machine (disk, permissions, limits); None for any other OSError."""
    remedy = _SYSTEM.get(fault.errno or 0)
    place = path or fault.filename or "the output"
    return DataError(f"{os.fsdecode(place) if isinstance(place, bytes) else place}: {remedy}") if remedy else None


SEGMENT_BYTES = 120
"""of a name that becomes a folder: the file systems' limit is 255, and stages add to it"""


def segment(name: str, label: str) -> str:
    """`name` if it is safe as one part of a path. Raises ConfigError otherwise.

    Names come from command lines and from run folders of other people: no separator, no hidden or relative name,
    no control character, at most `SEGMENT_BYTES` bytes.
    """
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"{label}={name!r}: empty; it becomes the name of a folder, such as {label}=demo")
    if len(encoded := name.encode("utf-8", "surrogatepass")) > SEGMENT_BYTES:
        raise ConfigError(
            f"{label}={name[:24]!r}...: {len(encoded)} bytes, at most {SEGMENT_BYTES}: choose a shorter one"
        )
    if name[0] in ".~-" or name != name.strip() or any(c in "/\\" or not c.isprintable() for c in name):
        raise ConfigError(
            f"{label}={name!r}: it becomes the name of one folder: no / or \\, no control characters, no blanks around "
            "it, and no dot, ~ or hyphen at its start; choose a name such as demo-1"
        )
    return name


def near(name: str, known: Iterable[str]) -> str:
    """A clause for error messages: near matches if there are any, else the (shortened) list.

    >>> near("chian", ["chain", "walk"])
    'did you mean chain?'
    """
    known = sorted(known)
    matches = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if matches:
        return f"did you mean {' or '.join(matches)}?"
    if not known:
        return "known: none"
    shown = ", ".join(known[:12]) + (f", ... ({len(known)} in all)" if len(known) > 12 else "")
    return f"known: {shown}"


def checked(
    settings: Any,
    *,
    at_least: Mapping[str, float] | None = None,
    above: Mapping[str, float] | None = None,
    one_of: Mapping[str, Collection[str]] | None = None,
    label: str = "",
) -> None:
    """Check fields of a settings dataclass, as the last line of its `__post_init__`.

        checked(self, at_least={"items": 1, "curve": 0}, above={"rate": 0}, one_of={"keep": ("last", "best")})

    A field of type `... | None` may be None. Raises ConfigError that names every fault; `label` comes first in it.
    """
    optional = {field.name for field in dataclasses.fields(settings) if "None" in str(field.type)}
    faults = []
    for name, least in (at_least or {}).items():
        value = getattr(settings, name)
        if not (value is None and name in optional) and not value >= least:
            faults.append(f"{name}={value}: {'null, or ' if name in optional else ''}{least} or more")
    for name, least in (above or {}).items():
        value = getattr(settings, name)
        if not (value is None and name in optional) and not value > least:
            faults.append(f"{name}={value}: must be above {least}{' or null' if name in optional else ''}")
    for name, known in (one_of or {}).items():
        value = getattr(settings, name)
        if not (value is None and name in optional) and value not in known:
            faults.append(f"{name}={value!r}: {near(str(value), known)}")
    if faults:
        raise ConfigError((f"{label}: " if label else "") + "; ".join(faults))
