"""The one grader: completions -> verdicts, for the evaluator and for training rewards.

    1  exact   what a task decides without slow libraries (`grade_quick`), in this process
    2  pairs   the comparisons of a gold and an answer that only SymPy can decide (`verify.Pair`): once for all
               completions of all items that declare the same, cached as long as the grader lives
    3  whole   the completion itself, for a task without pairs

2 and 3 go to a pool of processes that can be killed (`pool.py`), which starts with the first question that needs it.
A grade that hangs, crashes or trips a guard is *ungraded* with its reason. Only verdicts and refusals by a guard are
cached; after a timeout the next call tries again. A grader serves one task and one version of its code, so neither is
part of the key. What this module does not know: files, splits, who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from elicit.files import content_hash
from elicit.records import Item
from elicit.tasks.grading.pool import GradeRequest, GradingPool, PairTask, Verdict, judge
from elicit.tasks.grading.verify import PENDING, Pair
from elicit.tasks.task import Judgement, Task


@runtime_checkable
class QuickTask(Protocol):
    """A task that decides most completions without slow libraries; `ungraded="pending"` asks for the pool."""

    def grade_quick(self, item: Item, text: str, finished: bool) -> Judgement: ...


class _Quick:
    """The quick grader of a task with the interface of `pool.judge`."""

    def __init__(self, task: Task) -> None:
        self.grade = task.grade_quick if isinstance(task, QuickTask) else None
        self.validate, self.has_validator = task.validate, task.has_validator


class Grader:
    """Judge completions: exactly, from the cache, or in the pool. A context manager that ends the pool."""

    def __init__(self, task: Task, workers: int = 2, timeout_s: float = 5.0) -> None:
        self._quick = _Quick(task)
        self._paired = task if isinstance(task, PairTask) else None
        self._pool = GradingPool(task, workers, timeout_s)
        self._cache: dict[Pair | str, Verdict] = {}

    @property
    def has_validator(self) -> bool:
        return self._quick.has_validator

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *fault: Any) -> None:
        self._pool.__exit__(*fault)

    def judge(self, jobs: Sequence[GradeRequest]) -> list[Verdict]:
        """Verdicts in the order of `jobs`; equal completions of one item are judged once."""
        # 1) exactly, each different completion once
        keys = [(job.item.id, job.item.gold, job.text, job.finished) for job in jobs]
        different = dict(zip(keys, jobs, strict=True))
        out = {key: self._quickly(job) for key, job in different.items()}
        pending = {key: job for key, job in different.items() if out[key].pending}
        # 2) what the pool has to decide: comparisons of a gold and an answer, or a completion without any as a whole
        questions: dict[Pair | str, Pair | GradeRequest] = {}
        asked: dict[tuple[str, str | None, str, bool], list[Pair | str]] = {}
        for key, job in pending.items():
            pairs = self._paired.pairs(*job) if self._paired else ()
            of_job: dict[Pair | str, Pair | GradeRequest] = {pair: pair for pair in pairs} or {content_hash(key): job}
            questions |= of_job
            asked[key] = list(of_job)
        # 3) each different question once; a verdict or a refusal because of size is final, after a hang, a crash or an
        #    error another try may succeed
        new = {name: question for name, question in questions.items() if name not in self._cache}
        answers = dict(zip(new, self._pool.judge(list(new.values())), strict=True))
        for question, answer in answers.items():
            why = answer.judgement.ungraded if answer.judgement else answer.failure
            if why is None or why.removeprefix("lenient: ").startswith("guard"):
                self._cache[question] = answer
        # 4) complete the pending verdicts
        for key, job in pending.items():
            verdicts = {question: answers.get(question) or self._cache[question] for question in asked[key]}
            out[key] = self._completed(job, out[key], verdicts)
        return [out[key] for key in keys]

    def _quickly(self, job: GradeRequest) -> Verdict:
        return judge(self._quick, job) if self._quick.grade else Verdict(None, None, PENDING)  # type: ignore[arg-type]

    def _completed(self, job: GradeRequest, first: Verdict, verdicts: Mapping[Pair | str, Verdict]) -> Verdict:
        """The complete verdict; if the pool failed, the quick one with the reason."""
        graded = {}
        for question, answer in verdicts.items():
            if isinstance(question, Pair):
                failure = Judgement(None, None, question.answer, None, answer.failure)
                graded[question] = answer.judgement or failure
            elif answer.judgement or first.judgement is None:
                return answer
            else:
                reason = answer.failure if first.judgement.strict is None else f"lenient: {answer.failure}"
                return Verdict(replace(first.judgement, ungraded=reason), first.violation)
        assert self._paired is not None  # only such tasks ask pairs
        return Verdict(self._paired.completed(*job, graded), first.violation)
