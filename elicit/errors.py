"""The errors of the workbench, who raises them and who handles them.

The code that detects a fault raises it, with the wrong value, the place and the fix in the message. The
stage or run folder that was being written records it (`error.json`). A sweep continues with its other
jobs. `cli.main` prints an `ElicitError` as one line without a traceback and returns its `exit_code`.
Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import dataclasses
import difflib
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


class LedgerError(ElicitError):
    """Data was asked for that the ledger does not give: a closed split, a spent budget, used items."""


class StageError(ElicitError):
    """A stage's folder does not fit its inputs; the message names what changed and the command to redo it."""


class MethodError(ElicitError):
    """A method could not find an intervention."""


def near(name: str, known: Iterable[str]) -> str:
    """A clause for error messages: near matches if there are any, else the (shortened) list.

    >>> near("chian", ["chain", "walk"])
    'did you mean chain?'
    """
    known = sorted(known)
    matches = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if matches:
        return f"did you mean {' or '.join(matches)}?"
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
            faults.append(f"{name}={value}: {'null, or ' if name in optional else ''}above {least}")
    for name, known in (one_of or {}).items():
        value = getattr(settings, name)
        if not (value is None and name in optional) and value not in known:
            faults.append(f"{name}={value!r}: {near(str(value), known)}")
    if faults:
        raise ConfigError((f"{label}: " if label else "") + "; ".join(faults))
