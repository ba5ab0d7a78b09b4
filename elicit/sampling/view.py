"""What a strategy sees of a task while it runs: how to ask, where to stop, how to read an answer. Not gold.

A strategy that declares `needs_verifier` is handed a `VerifierView`, which also judges completions of the items
that are being sampled and counts each call; that is data class L, and the ledger says so (`methods/decoding`).
Any other strategy gets a `View`, where asking for items, grades or verdicts is a LedgerError. A door, not a sandbox.
Does not know: strategies, models, ledgers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from elicit.errors import LedgerError
from elicit.policy.decoding import Judged
from elicit.records import Item
from elicit.tasks.grading.grader import Grader
from elicit.tasks.grading.pool import Job
from elicit.tasks.task import Reader, Task

OPEN = ("name", "prompts", "stop", "extract", "answer_class", "answer_span")
"""the members of `tasks.task.Reader`"""


class View:
    """The `Reader` part of a task; `max_new_tokens` replaces the task's own limit."""

    def __init__(self, task: Reader, max_new_tokens: int | None = None) -> None:
        self._task = task
        self.stop = task.stop if max_new_tokens is None else replace(task.stop, max_new_tokens=max_new_tokens)

    def close(self) -> None:
        """Nothing to end."""

    def __getattr__(self, name: str) -> Any:
        if name in OPEN:
            return getattr(self._task, name)
        if name.startswith("_"):
            raise AttributeError(name)
        raise LedgerError(
            f"a strategy asked for {name!r} of its task: it sees {', '.join(OPEN)} and no gold; one that needs a "
            "verifier declares needs_verifier = True and is of class L"
        )


class VerifierView(View):
    """The same, and a sound verifier of completions of `items`: the evaluator's own strict grade, and the trace's first
    violation. What could not be graded is not accepted.

    Raises LedgerError where gold is closed: items that came through a ledger, a task that can't grade. `close` ends the
    grading process, where one was needed.
    """

    def __init__(self, task: Task, items: Sequence[Item], max_new_tokens: int | None = None) -> None:
        super().__init__(task, max_new_tokens)
        if not hasattr(task, "grade") or any(item.gold is None for item in items):
            raise LedgerError(
                "a strategy with a verifier was sampled where gold is closed (inside a fit): it can only be evaluated"
            )
        self._items = {item.id: item for item in items}
        self._grader = Grader(task, workers=1)
        self.calls = 0
        """verdicts given"""

    def verdict(self, item: str, text: str, finished: bool) -> Judged:
        """The strict grade of a completion, with the first violation of its trace where it is wrong."""
        self.calls += 1
        (found,) = self._grader.judge([Job(self._items[item], text, finished)])
        if found.judgement is not None and found.judgement.strict:
            return Judged(True)
        return Judged(False, found.violation.message if found.violation else "")

    def close(self) -> None:
        self._grader.__exit__(None, None, None)
