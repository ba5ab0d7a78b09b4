"""The result of a study as a file: every endpoint by policy, the state of every condition, the verdict.

    <root>/studies/SCALE/NAME.json

The wording of a study (claim, published figures, caveats) stays in its preset and may be corrected without a new run;
the rule, as it was applied, is in the file. Knows no report.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from elicit.files import read_record, write_json
from elicit.results import Estimate
from elicit.studies.rule import Decision, State

SCHEMA = 1


@dataclass(frozen=True)
class Measured:
    """An endpoint of one policy."""

    policy: str
    """with its training seed, if the seeds were measured separately"""
    value: Estimate


@dataclass(frozen=True)
class AppliedCondition:
    """A condition as it was applied."""

    endpoint: str
    above: float | None
    below: float | None
    state: State
    precondition: bool = False


@dataclass(frozen=True)
class StudyResult:
    """What came out."""

    study: str
    scale: str
    verdict: Decision
    fingerprint: str
    """of the jobs, the endpoints and the rule: the study is not run again as long as they stay"""
    values: dict[str, list[Measured]]
    """by endpoint"""
    tested: list[AppliedCondition]
    group: str
    """of the comparison"""
    base: str
    task: str
    n_items: int
    n: int
    """samples per item"""
    seeds: list[int]
    created: float
    """epoch seconds"""
    seconds: float
    """of the last call, without what was on disk before"""
    schema: int = SCHEMA

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))

    @staticmethod
    def read(path: Path) -> StudyResult:
        """Raises DataError if the file is not of this form."""
        return read_record(StudyResult, path)
