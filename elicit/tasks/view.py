"""What a method or a strategy sees of a task: how to ask, where to stop, how to read an answer. No item and no gold.

    view_of(task)                                a fit (`ledger.task_view`), and a strategy while it runs
    view_of(task, verifier=GoldVerifier(task))   a strategy that declares `needs_verifier`: data class L

Asking a view for anything else of the task (items, grades) is a LedgerError. A view holds no task: its readers are
closures over a copy that has loaded nothing, so gold is reached through the ledger alone. It is a door, not a sandbox.
Knows no strategy, no model and no ledger.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NoReturn

from elicit.errors import LedgerError
from elicit.records import Item
from elicit.tasks.grading.grader import Grader
from elicit.tasks.grading.pool import GradeRequest
from elicit.tasks.task import Answer, PromptFormat, Reader, StopRules, Task


@dataclass(frozen=True)
class Judged:
    """A verifier's answer about one completion."""

    right: bool
    finding: str = ""
    """the first violation of the trace, if the task can name one"""


@dataclass(frozen=True)
class TaskView:
    """The `Reader` part of a task, and verdicts if a verifier was given. See `view_of`."""

    name: str
    prompts: dict[str, PromptFormat]
    keys: dict[str, PromptFormat]
    """prompt formats with a planted key; empty for most tasks"""
    stop: StopRules
    extract: Callable[[str, bool], Answer] = field(repr=False)
    """strict and lenient answers of (text, finished); the three readers are those of `Reader`"""
    answer_class: Callable[[str], str] = field(repr=False)
    answer_span: Callable[[str], tuple[int, int] | None] = field(repr=False)
    _verifier: GoldVerifier | None = field(default=None, repr=False)

    def verdict(self, item: str, text: str, finished: bool) -> Judged:
        """Whether a completion of the item of this id is right. Raises LedgerError without a verifier."""
        if self._verifier is None:
            raise _closed("verdict")
        return self._verifier.judge(item, text, finished)

    if not TYPE_CHECKING:  # a type checker reports unknown members by itself

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(name) if name.startswith("_") else _closed(name)


def _closed(name: str) -> LedgerError:
    return LedgerError(
        f"{name!r} of a task was requested: methods and strategies see its name, prompts, stop rules and readers of "
        "answers, and no gold; a strategy that needs a verifier declares needs_verifier = True and is of class L"
    )


def view_of(task: Reader, max_new_tokens: int | None = None, verifier: GoldVerifier | None = None) -> TaskView:
    """A view of a task or of another view; `max_new_tokens` replaces the task's own limit."""
    stop = task.stop if max_new_tokens is None else replace(task.stop, max_new_tokens=max_new_tokens)
    reader = task if isinstance(task, TaskView) else copy.deepcopy(task)  # as when it is pickled: without its items

    def extract(text: str, finished: bool) -> Answer:
        return reader.extract(text, finished)

    def answer_class(answer: str) -> str:
        return reader.answer_class(answer)

    def answer_span(text: str) -> tuple[int, int] | None:
        return reader.answer_span(text)

    return TaskView(task.name, task.prompts, task.keys, stop, extract, answer_class, answer_span, verifier)


class GoldVerifier:
    """A sound verifier of completions: the evaluator's own strict grade, and the first violation of a wrong trace.

    A completion that could not be graded is not right. Raises LedgerError if gold may not be read: for a task that is
    itself a view (inside a fit), and for items that came through a ledger. `close` ends the grading process, if any.
    """

    def __init__(self, task: Task) -> None:
        if isinstance(task, TaskView):
            raise _gold_is_closed()
        self._grader = Grader(task, workers=1)
        self._items: dict[str, Item] = {}
        self.calls = 0
        """verdicts given"""

    def admit(self, items: Sequence[Item]) -> None:
        """Judge completions of these items too."""
        if any(item.gold is None for item in items):
            raise _gold_is_closed()
        self._items.update({item.id: item for item in items})

    def judge(self, item: str, text: str, finished: bool) -> Judged:
        """The judgement of one completion of an admitted item."""
        self.calls += 1
        (verdict,) = self._grader.judge([GradeRequest(self._items[item], text, finished)])
        if verdict.judgement is not None and verdict.judgement.strict:
            return Judged(True)
        return Judged(False, verdict.violation.message if verdict.violation else "")

    def close(self) -> None:
        self._grader.__exit__(None, None, None)


def _gold_is_closed() -> LedgerError:
    return LedgerError(
        "a strategy with a verifier was sampled inside a fit, which has no gold: it can only be evaluated"
    )
