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

from collections.abc import Iterable, Sequence
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
        out = {key: self._first(job) for key, job in different.items()}
        pending = {key: job for key, job in different.items() if _pending(out[key])}
        # 2) the comparisons that they wait for, each different one once; 3) completions without comparisons as a whole
        asked = {key: self._questions(job) for key, job in pending.items()}
        questions = list(dict.fromkeys(question for each in asked.values() for question in each))
        answers = dict(zip(questions, self._answers(questions), strict=True))
        for key, job in pending.items():
            out[key] = self._completed(job, out[key], [(question, answers[question]) for question in asked[key]])
        return [out[key] for key in keys]

    def _first(self, job: GradeRequest) -> Verdict:
        return judge(self._quick, job) if self._quick.grade else Verdict(None, None, PENDING)  # type: ignore[arg-type]

    def _questions(self, job: GradeRequest) -> tuple[_Question, ...]:
        found = self._paired.pairs(*job) if self._paired else ()
        return tuple(_Question(pair, pair) for pair in found) or (_Question(_job_key(job), job),)

    def _answers(self, questions: Sequence[_Question]) -> list[Verdict]:
        """Verdicts on the questions in their order; final ones are cached."""
        new = [question for question in questions if question.key not in self._cache]
        answers = dict(zip((q.key for q in new), self._pool.judge([q.ask for q in new]), strict=True))
        self._cache |= {key: answer for key, answer in answers.items() if _lasting(answer)}
        return [answers.get(question.key) or self._cache[question.key] for question in questions]

    def _completed(self, job: GradeRequest, first: Verdict, found: Iterable[tuple[_Question, Verdict]]) -> Verdict:
        """The complete verdict; if the pool failed, the quick one with the reason."""
        graded = {}
        for question, answer in found:
            if not isinstance(question.ask, Pair):
                return answer if answer.judgement or first.judgement is None else _failed(first, answer)
            failure = Judgement(None, None, question.ask.answer, None, answer.failure)
            graded[question.ask] = answer.judgement or failure
        assert self._paired is not None  # only such tasks ask pairs
        return Verdict(self._paired.completed(*job, graded), first.violation)


class _Question:
    """What the pool is to decide, and its key in the cache. Equal if the keys are."""

    def __init__(self, key: Pair | str, ask: GradeRequest | Pair) -> None:
        self.key, self.ask = key, ask

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def _job_key(job: GradeRequest) -> str:
    return content_hash([job.item.id, job.item.gold, job.text, job.finished])


def _pending(verdict: Verdict) -> bool:
    return verdict.failure == PENDING or (verdict.judgement is not None and verdict.judgement.ungraded == PENDING)


def _lasting(answer: Verdict) -> bool:
    """Whether this is a verdict or a refusal because of size; after a hang, crash or error another try may succeed."""
    why = answer.judgement.ungraded if answer.judgement else answer.failure
    return why is None or why.removeprefix("lenient: ").startswith("guard")


def _failed(first: Verdict, answer: Verdict) -> Verdict:
    assert first.judgement is not None
    reason = answer.failure if first.judgement.strict is None else f"lenient: {answer.failure}"
    return Verdict(replace(first.judgement, ungraded=reason), first.violation)
