"""A table of malformed inputs, made by kind: kind of file x defect, and overrides. `judged` says what became of one.

    clear      an ElicitError of a few lines that names the file or the value, and a remedy
    unclear    an ElicitError that lacks one of them
    traceback  any other exception
    accepted   no exception
    hang       longer than `LIMIT_S` seconds of the processor

No model is loaded and nothing is sampled: each case is the reading of one file or the planning of one command.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from elicit.errors import ElicitError

LIMIT_S = 20
"""seconds of the processor, so that a busy machine changes nothing; every case takes milliseconds, or never ends"""
REMEDY = re.compile(
    r"expected|did you mean|known: |install |null, or |at most|or more|between|write |remove|delete|save |"
    r"choose|give |flatten|fit again|"
    r"make it again|edited\?|needs a value|such as|classes of|name its class|leave it|see elicit|compare`|"
    r"use (?:another|auto)|"
    r"no such (?:file|setting|group)|one of|sum to at most|key=value|quote|start |can't hold|must be|try |"
    r"elicit resume|merge it|name (?:one|the)|leave ",
    re.I,
)


class Case(NamedTuple):
    """One malformed input."""

    family: str
    name: str
    try_it: Callable[[Path], Any]
    """reads the input that it wrote into an empty folder"""
    names: str
    """what a clear error has to name: the file, or the value"""


def judged(case: Case, folder: Path) -> tuple[str, str]:
    """(what became of the case, the message)."""

    def late(number: int, frame: Any) -> None:
        raise TimeoutError("hang")

    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        case.try_it(folder)
    except ElicitError as fault:
        text = str(fault)
        good = case.names in text and REMEDY.search(text) and "Traceback" not in text and len(text) < 1500
        return ("clear" if good else "unclear"), text
    except TimeoutError:
        return "hang", ""
    except (Exception, RecursionError) as fault:
        return "traceback", f"{type(fault).__name__}: {str(fault)[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "accepted", ""
