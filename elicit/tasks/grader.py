"""The one grader: completions -> verdicts, for the evaluator and for training rewards alike.

What a task decides exactly (`grade_quick`) is judged in this process; the rest goes to a pool of processes that can
be killed (`pool.py`), which starts with the first completion that needs it. A grade that hangs, crashes or trips a
guard is *ungraded* with its reason. What this module does not know: files, splits, who asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from elicit.files import content_hash
from elicit.records import Item
from elicit.tasks.pool import GradingPool, Job, Verdict, judge
from elicit.tasks.task import Judgement, Task
from elicit.tasks.verify import PENDING


@runtime_checkable
class QuickTask(Protocol):
    """A task that decides most completions without slow libraries; `ungraded="pending"` asks for the pool."""

    def grade_quick(self, item: Item, text: str, finished: bool) -> Judgement: ...


class _Quick:
    """The quick grader of a task behind the interface of `pool.judge`."""

    def __init__(self, task: Task) -> None:
        self.grade = task.grade_quick if isinstance(task, QuickTask) else None
        self.validate, self.has_validator = task.validate, task.has_validator


class Grader:
    """Judge completions: from the cache, exactly, or in the pool. A context manager, for the pool's sake."""

    def __init__(self, task: Task, workers: int = 2, timeout_s: float = 5.0) -> None:
        self._quick = _Quick(task)
        self._pool = GradingPool(task, workers, timeout_s)
        self._cache: dict[str, Verdict] = {}

    @property
    def has_validator(self) -> bool:
        return self._quick.has_validator

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *fault: Any) -> None:
        self._pool.__exit__(*fault)

    def judge(self, jobs: Sequence[Job]) -> list[Verdict]:
        """Verdicts in the order of `jobs`; equal completions of one item are judged once."""
        keys = [content_hash([job.item.id, job.item.gold, job.text, job.finished]) for job in jobs]
        new = {key: job for key, job in zip(keys, jobs, strict=True) if key not in self._cache}
        slow: dict[str, tuple[Job, Verdict]] = {}
        for key, job in new.items():
            verdict = judge(self._quick, job) if self._quick.grade else Verdict(None, None, PENDING)  # type: ignore[arg-type]
            if verdict.failure == PENDING or (verdict.judgement and verdict.judgement.ungraded == PENDING):
                slow[key] = job, verdict
            else:
                self._cache[key] = verdict
        answers = self._pool.judge([job for job, _ in slow.values()])
        for (key, (_, first)), answer in zip(slow.items(), answers, strict=True):
            self._cache[key] = _completed(first, answer)
        return [self._cache[key] for key in keys]


def _completed(first: Verdict, answer: Verdict) -> Verdict:
    """The pool's verdict, or where it failed what was known before with the reason."""
    if answer.judgement is not None or first.judgement is None:
        return answer
    reason = answer.failure if first.judgement.strict is None else f"lenient: {answer.failure}"
    return Verdict(replace(first.judgement, ungraded=reason), first.violation)
