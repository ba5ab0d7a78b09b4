"""The one grader: completions -> verdicts, for the evaluator and for training rewards alike.

    1  exact    what a task decides without slow libraries (`grade_quick`), in this process
    2  said     what stands in a completion's box, without its working: one verification for all completions of all
                items with this gold that say the same (`verify.Said`), kept as long as the grader lives
    3  whole    the completion itself, where its verdict may depend on more than its box

2 and 3 go to a pool of processes that can be killed (`pool.py`), which starts with the first question that needs it.
A grade that hangs, crashes or trips a guard is *ungraded* with its reason; only verdicts and guards' refusals are
kept, what ran out of time is asked again by the next call. A grader is of one task and of one version of its code, so
neither stands in the key. What this module does not know: files, splits, who asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from elicit.files import content_hash
from elicit.records import Item
from elicit.tasks.grading.pool import GradingPool, Job, SaidTask, Verdict, judge
from elicit.tasks.grading.verify import PENDING, UNREAD, Said
from elicit.tasks.task import Judgement, Task


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
    """Judge completions: exactly, from the cache, or in the pool. A context manager, for the pool's sake."""

    def __init__(self, task: Task, workers: int = 2, timeout_s: float = 5.0) -> None:
        self._quick = _Quick(task)
        self._said = task.said if isinstance(task, SaidTask) else None
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
        keys = [(job.item.id, job.item.gold, job.text, job.finished) for job in jobs]
        different = dict(zip(keys, jobs, strict=True))
        out = {key: self._first(job) for key, job in different.items()}
        pending = {key: job for key, job in different.items() if _pending(out[key])}
        asked = {key: self._question(job, out[key]) for key, job in pending.items()}
        answers = dict(zip(asked, self._answers(asked.values()), strict=True))
        unread = {key: pending[key] for key, answer in answers.items() if _is(answer, UNREAD)}
        if unread:
            answers |= zip(unread, self._answers(unread.values()), strict=True)
        for key, answer in answers.items():
            out[key] = _completed(out[key], answer, isinstance(asked[key], Said) and key not in unread)
        return [out[key] for key in keys]

    def _first(self, job: Job) -> Verdict:
        return judge(self._quick, job) if self._quick.grade else Verdict(None, None, PENDING)  # type: ignore[arg-type]

    def _question(self, job: Job, first: Verdict) -> Job | Said:
        said = self._said(job.item, job.text, first.judgement) if self._said and first.judgement else None
        return said or job

    def _answers(self, questions: Iterable[Job | Said]) -> list[Verdict]:
        """Verdicts on the questions in their order, each different one asked once; those that will last are kept."""
        keyed = [(_key(question), question) for question in questions]
        new = {key: question for key, question in keyed if key not in self._cache}
        answers = dict(zip(new, self._pool.judge(list(new.values())), strict=True))
        self._cache |= {key: answer for key, answer in answers.items() if _lasting(answer)}
        return [self._cache[key] if key in self._cache else answers[key] for key, _ in keyed]


def _key(question: Job | Said) -> str:
    if isinstance(question, Said):
        return content_hash(["said", *question])
    return content_hash([question.item.id, question.item.gold, question.text, question.finished])


def _is(verdict: Verdict, why: str) -> bool:
    return verdict.judgement is not None and verdict.judgement.ungraded == why


def _pending(verdict: Verdict) -> bool:
    return verdict.failure == PENDING or _is(verdict, PENDING)


def _lasting(answer: Verdict) -> bool:
    """A verdict or a refusal by size; not what hung, crashed or raised, which another try may grade."""
    why = answer.judgement.ungraded if answer.judgement else answer.failure
    return why is None or why == UNREAD or why.removeprefix("lenient: ").startswith("guard")


def _completed(first: Verdict, answer: Verdict, said: bool) -> Verdict:
    """The pool's verdict, or where it failed what was known before with the reason."""
    known, found = first.judgement, answer.judgement
    if found is not None and said and known is not None:
        found = replace(known, strict=found.strict, lenient=found.lenient, ungraded=found.ungraded)
        return Verdict(found, first.violation)
    if found is not None or known is None:
        return answer
    reason = answer.failure if known.strict is None else f"lenient: {answer.failure}"
    return Verdict(replace(known, ungraded=reason), first.violation)
