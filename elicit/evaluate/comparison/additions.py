"""Runs that were added to a comparison after its plan was frozen: additions.json, the log of what was frozen when.

    <root>/comparisons/GROUP/additions.json    {"runs": [{"run", "names", "group", "plan", ...}]}

A run that joins later was chosen by somebody who may have seen both results, and the family of tests grows by it. So a
comparison with additions is never "frozen before", and a warning gives the dates. Knows no metric and no run folder.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from elicit.evaluate.comparison.prereg import FILE as PLAN
from elicit.files import locked, read_json, read_record, write_json

FILE = "additions.json"


@dataclass(frozen=True)
class Addition:
    """One run, with the placebos that came with it. Times are epoch seconds."""

    run: str
    """name of its folder"""
    names: tuple[str, ...]
    """of the policies that it added"""
    runs: tuple[str, ...]
    """names of the run folders of these policies, its own among them"""
    added_at: float
    group: str
    """the comparison that it was measured in"""
    plan: str | None
    """hash of that comparison's frozen plan; None: it has none"""
    frozen_at: float | None
    first_sample: float | None
    """when its first test sample was begun; None: not known"""

    @property
    def sentence(self) -> str:
        """For the warnings of the comparison."""
        order = "without a frozen plan"
        if self.frozen_at is not None and self.first_sample is not None:
            before = "before" if self.frozen_at < self.first_sample else "after"
            order = f"whose plan was frozen {_day(self.frozen_at)}, {before} its first test sample"
        return (
            f"{', '.join(self.names)}: added {_day(self.added_at)} from the comparison {self.group}, {order}; the plan "
            "of this comparison does not name it, so the family of tests is exploratory"
        )


@dataclass(frozen=True)
class _Log:
    runs: tuple[Addition, ...] = ()


def additions(folder: Path) -> Sequence[Addition]:
    """Those of a comparison, the oldest first. Raises DataError for a log that can't be read."""
    file = Path(folder) / FILE
    return read_record(_Log, file).runs if file.exists() else ()


def append(folder: Path, addition: Addition) -> None:
    """Add to the log, once per run."""
    with locked(Path(folder)):
        before = additions(folder)
        if addition.run not in {one.run for one in before}:
            write_json(Path(folder) / FILE, _Log((*before, addition)))


def frozen_plan(folder: Path) -> tuple[str | None, float | None]:
    """Hash and time of the frozen plan of a comparison; (None, None) without one."""
    file = Path(folder) / PLAN
    if not file.exists():
        return None, None
    plan = read_json(file)
    return str(plan["hash"]), float(plan["frozen_at"])


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
