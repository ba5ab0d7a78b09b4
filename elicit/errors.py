"""The errors of the workbench, and who does what with them.

Who raises: the code that found the fault, with the wrong value, the place and the mend in the
message. Who records: the stage or run folder that was being written (`error.json`). Who goes on:
a sweep, with its other jobs. Who prints: `cli.main`, one line and no traceback for an
`ElicitError`, whose `exit_code` is the process's. Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ElicitError(Exception):
    """A fault that the user can mend; the message says how."""

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
