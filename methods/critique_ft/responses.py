"""Noisy responses to critique: own samples, right traces with one error put in by a program, or a file's.

self      the base's own completions at temperature 1                                      own text
corrupt   right traces (the task's, or own ones graded right), half of them with one step
          changed and another problem's answer stated: the first error is known            gold: foreign text
file      JSONL {question, response}, matched to train items by the question                foreign text
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from elicit.errors import ConfigError, DataError, MethodError
from elicit.sampling.contrast import by_verdict
from elicit.sampling.own import own_completions
from elicit.tasks.formal.family import CONCLUSION, split_trace
from elicit.tasks.review import inject_error, inject_wrong_result
from methods.critique_ft.files import Broken, fields_of, skip_or_raise
from methods.critique_ft.records import Responder, Response

if TYPE_CHECKING:
    from elicit.ledger import Ledger, TaskView
    from elicit.method import Context
    from elicit.policy.policy import Policy
    from elicit.records import Item


@dataclass(frozen=True)
class SelfResponses(Responder):
    """The base's own completions."""

    samples: int = 8
    """completions per item, at temperature 1"""

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ConfigError(f"samples={self.samples}: at least 1")

    def responses(self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item]) -> list[Response]:
        """`samples` of each item, item by item; empty completions are left out."""
        draw = int(context.rng.integers(2**31))
        drawn = own_completions(policy, ledger, items, self.samples, draw, "critique_ft")
        return [Response(each.item, each.text, each.finished) for each in drawn if each.text.strip()]


@dataclass(frozen=True)
class CorruptResponses(Responder):
    """Right traces, a share of them with one error."""

    source: Literal["gold", "own"] = "gold"
    """origin of the right traces: the task's (foreign text), or own samples that are graded right"""
    samples: int = 4
    """responses per item; for `own`: completions that are graded to find right ones"""
    share: float = 0.5
    """of the responses that get an error"""

    def __post_init__(self) -> None:
        if self.samples < 1 or not 0 <= self.share <= 1:
            raise ConfigError(f"samples={self.samples}, share={self.share}: at least 1, and a share of 0 to 1")

    def responses(self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item]) -> list[Response]:
        """Raises MethodError if no right trace has a step that can be changed."""
        right = self._right(policy, ledger, context, items)
        rng = random.Random(int(context.rng.integers(2**31)))
        answers = [answer for _, text in right if (answer := _stated(ledger.task_view, text)) is not None]
        out = []
        for item, text in right:
            wrong = corrupted(ledger.task_view, text, answers, rng)
            if wrong is not None:
                out.append(Response(item, wrong if rng.random() < self.share else text))
        if not out:
            raise MethodError(
                f"response=corrupt: none of {len(right)} right traces of {ledger.task_view.name} has a step to change "
                "and an answer to replace: use response.source=own, or response=self or file"
            )
        return out

    def _right(self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item]) -> list[tuple[Item, str]]:
        if self.source == "gold":
            texts = ledger.solutions(items)
            return [(item, text) for item, text in zip(items, texts, strict=True) for _ in range(self.samples)]
        own = SelfResponses(self.samples).responses(policy, ledger, context, items)
        sides, _ = by_verdict(own, ledger)
        return [(response.item, response.text) for response, side in zip(own, sides, strict=True) if side]


def corrupted(task: TaskView, text: str, answers: Sequence[str], rng: random.Random) -> str | None:
    """The trace with one step changed and another answer stated; None if it has no such step or answer."""
    own = _stated(task, text)
    others = [a for a in dict.fromkeys(answers) if own is not None and task.answer_class(a) != task.answer_class(own)]
    if not others:
        return None
    steps, conclusion = split_trace(text)
    if CONCLUSION in text and conclusion is not None and steps:
        changed, _ = inject_error(rng, steps)
        return f"{' '.join(changed)} {CONCLUSION} {rng.choice(others)}."
    injected = inject_wrong_result(rng, text)
    span = task.answer_span(injected[0]) if injected else None
    if injected is None or span is None:
        return None
    return injected[0][: span[0]] + rng.choice(others) + injected[0][span[1] :]


def _stated(task: TaskView, text: str) -> str | None:
    span = task.answer_span(text)
    return text[span[0] : span[1]] if span else None


@dataclass(frozen=True)
class FileRow:
    """One response of a file."""

    question: str
    response: str
    author: str
    licence: str


@dataclass(frozen=True)
class FileResponses(Responder):
    """Responses that were made elsewhere."""

    path: Path = Path()
    """JSONL of {question, response, author, licence}"""
    limit: int | None = None
    """rows to read"""
    broken: Broken = "refuse"
    """what happens to a row that can't be used: `refuse` it with its line, or `skip` and count it"""

    def responses(self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item]) -> list[Response]:
        """Rows whose question is one of `items`. Raises DataError with the line of the first other one."""
        known = {" ".join(item.question.split()): item for item in items}
        skipped: list[str] = []

        def read(number: int, line: str) -> FileRow | None:
            try:
                question, response, author, licence = fields_of(
                    self.path, number, line, ("question", "response", "author", "licence")
                )
                if " ".join(question.split()) not in known:
                    raise DataError(f"{self.path}, line {number}: its question is none of the {len(items)} train items")
            except DataError as fault:
                skip_or_raise(fault, self.broken, skipped)
                return None
            return FileRow(question, response, author, licence)

        rows = ledger.foreign_rows(self.path, read, self.limit)
        context.log({"critique_ft/responses_skipped": len(skipped)})
        for line in skipped[:3]:
            context.say(f"critique_ft: skipped {line}")
        if not rows:
            raise MethodError(f"{self.path}: no usable response ({len(skipped)} rows skipped)")
        return [Response(known[" ".join(row.question.split())], row.response) for row in rows]
