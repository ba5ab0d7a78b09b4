"""The ledger: the only door to items, gold answers, rewards and foreign text.

A method asks here and every use becomes a row; the data class of its claim follows from the rows.
`test` never opens: not to `items`, not to `grade`. The ledger knows the task; the method sees
`task_view`, which has prompts, stop rules and readers of answers, but no item and no gold.

    class   follows from
    Z       nothing but the prompt
    V       own activations or own text
    R       any verifier or label bit at stage train
    T       any foreign text
    L       a teacher or verifier at inference
    unaccounted   something was opened behind the ledger's back (`watch.py`)

Dev tries of a search are bits of stage `select`: their own column, not part of the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from elicit.errors import LedgerError
from elicit.files import content_hash, read_jsonl, write_text
from elicit.records import Item, LedgerRow
from elicit.tasks.grader import Grader
from elicit.tasks.pool import Job
from elicit.tasks.task import Answer, Judgement, PromptFormat, StopRules, Task
from elicit.watch import door

STAGES = ("prompt", "train", "select", "infer")
OPEN_SPLITS = ("train", "dev")


@dataclass(frozen=True)
class Budget:
    """What one fit may use; None is unlimited (and printed as such)."""

    labels: int | None = None
    """verifier calls and gold answers read, stages train and select together"""
    rollouts: int | None = None
    """own completions sampled while fitting"""
    tokens: int | None = None
    """own tokens sampled while fitting"""
    foreign_tokens: int | None = None
    """text tokens that the base did not write"""


@dataclass
class Spent:
    """What has been used so far, in the units of `Budget`."""

    labels: int = 0
    rollouts: int = 0
    tokens: int = 0
    foreign_tokens: int = 0


@dataclass(frozen=True)
class TaskView:
    """What a method may see of a task: how to ask, where to stop, how to read an answer; nothing to be right about."""

    name: str
    prompts: dict[str, PromptFormat]
    keys: dict[str, PromptFormat]
    """prompt formats with a planted key, where the task has them"""
    stop: StopRules
    _task: Task = field(repr=False)

    def extract(self, text: str, finished: bool) -> Answer:
        return self._task.extract(text, finished)

    def answer_class(self, answer: str) -> str:
        return self._task.answer_class(answer)

    def answer_span(self, text: str) -> tuple[int, int] | None:
        return self._task.answer_span(text)


class Ledger:
    """One fit's account. Raises LedgerError on a closed split, an unknown item or a spent budget."""

    def __init__(self, task: Task, method: str, budget: Budget | None = None, grader: Grader | None = None) -> None:
        self.method = method
        self.budget = budget or Budget()
        self.spent = Spent()
        self.accounted = True
        self._task = task
        self._grader = grader or Grader(task, workers=1)
        self._rows: dict[tuple[str, str, str, str], LedgerRow] = {}
        self._items: dict[str, Item] = {}

    @property
    def task_view(self) -> TaskView:
        task = self._task
        return TaskView(task.name, task.prompts, getattr(task, "keys", {}), task.stop, task)

    def items(self, split: str, stage: str = "train", limit: int | None = None, seed: int = 0) -> list[Item]:
        """Items of an open split, gold and facts taken out. `limit` takes a seeded random subset."""
        if split not in OPEN_SPLITS:
            raise LedgerError(f"split {split!r} is closed to methods; open are {' and '.join(OPEN_SPLITS)}")
        _check_stage(stage)
        with door():
            full = self._task.items(split, limit, seed)
        self._items.update({item.id: item for item in full})
        self._book(stage, split, _licence(self._task), items=[item.id for item in full])
        return [Item(i.id, i.task, i.split, i.question, None, i.cluster) for i in full]

    def grade(self, item: Item, text: str, finished: bool = True, stage: str = "train") -> bool | None:
        """The strict grade of a completion, by the evaluator's own grader: one label bit. None: ungraded."""
        known = self._known(item)
        self._spend(labels=1)
        self._book(stage, known.split, _licence(self._task), label_bits=1, items=[item.id])
        return self.judge([Job(known, text, finished)])[0].strict

    def judge(self, jobs: Sequence[Job]) -> list[Judgement]:
        """Judgements by the evaluator's own grader, unbooked: for `grade` and for dev scores. A hang is ungraded."""
        with door():
            verdicts = self._grader.judge(jobs)
        return [v.judgement or Judgement(None, None, None, None, v.failure) for v in verdicts]

    def close(self) -> None:
        """End the grading processes, where any were started."""
        self._grader.__exit__(None, None, None)

    def valid(self, item: Item, text: str, stage: str = "train") -> bool:
        """Whether the trace has no violation: one label bit. Raises LookupError without a validator."""
        known = self._known(item)
        self._spend(labels=1)
        self._book(stage, known.split, _licence(self._task), label_bits=1, items=[item.id])
        return self._task.validate(known, text) is None

    def foreign(self, text: str, author: str, licence: str, stage: str = "train", tokens: int | None = None) -> str:
        """Book text that the base did not write and hand it through. Tokens default to its words."""
        count = len(text.split()) if tokens is None else tokens
        self._spend(foreign_tokens=count)
        self._book(stage, author, licence, foreign_tokens=count, content=content_hash(text))
        return text

    def rollouts(self, count: int, tokens: int) -> None:
        """Book own completions sampled while fitting; they cost, and they are own text."""
        self._spend(rollouts=count, tokens=tokens)
        self._book("train", "own samples", "-")

    def activations(self, positions: int, stage: str = "train") -> None:
        """Book own activations read at so many positions."""
        self._book(stage, "own activations", "-", own_activations=positions)

    def teacher(self, calls: int = 1, stage: str = "infer") -> None:
        """Book calls of a teacher or verifier; at stage infer they make class L."""
        self._book(stage, "teacher or verifier", "-", teacher_calls=calls)

    def selected(self, bits: int, items: Sequence[str]) -> None:
        """Book the label bits of one dev score (the context's `dev_score` calls this)."""
        self._spend(labels=bits)
        self._book("select", "dev", _licence(self._task), label_bits=bits, items=items)

    def unaccounted(self, what: str) -> None:
        """Something was read past the ledger: the class becomes `unaccounted`, the headline is withheld."""
        self.accounted = False
        self._book("train", f"unaccounted: {what}", "unknown")

    @property
    def rows(self) -> list[LedgerRow]:
        return list(self._rows.values())

    @property
    def data_class(self) -> str:
        return data_class(self.rows)

    @property
    def used(self) -> list[str]:
        """Ids of all items that were seen, which can't be evaluated on."""
        return sorted({item for row in self.rows for item in row.items})

    def save(self, path: Path) -> None:
        """Write ledger.jsonl, a row a line."""
        import json

        write_text(path, "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in self.rows))

    def _known(self, item: Item) -> Item:
        if item.id not in self._items:
            raise LedgerError(
                f"item {item.id} did not come from this ledger: take items from ledger.items(split, stage)"
            )
        return self._items[item.id]

    def _spend(self, **amounts: int) -> None:
        for name, amount in amounts.items():
            used, limit = getattr(self.spent, name) + amount, getattr(self.budget, name)
            if limit is not None and used > limit:
                raise LedgerError(
                    f"budget.{name}={limit} is spent ({used} asked for); raise budget.{name}, or ask for less"
                )
            setattr(self.spent, name, used)

    def _book(
        self,
        stage: str,
        source: str,
        licence: str,
        *,
        label_bits: int = 0,
        foreign_tokens: int = 0,
        own_activations: int = 0,
        teacher_calls: int = 0,
        items: Sequence[str] = (),
        content: str = "",
    ) -> None:
        """Add to the row of (stage, source, licence, content): uses of one kind are one row."""
        _check_stage(stage)
        key = (stage, source, licence, content)
        old = self._rows.get(key)
        used = sorted({*(old.items if old else ()), *items})
        self._rows[key] = LedgerRow(
            method=self.method,
            stage=stage,
            source=source,
            content_hash=content or content_hash(used),
            licence=licence,
            problems=len(used),
            label_bits=label_bits + (old.label_bits if old else 0),
            foreign_tokens=foreign_tokens + (old.foreign_tokens if old else 0),
            own_activations=own_activations + (old.own_activations if old else 0),
            teacher_calls=teacher_calls + (old.teacher_calls if old else 0),
            items=used,
        )


def data_class(rows: Sequence[LedgerRow]) -> str:
    """The class that rows amount to; the first that applies of unaccounted, L, T, R, V, Z."""
    if any(row.source.startswith("unaccounted") for row in rows):
        return "unaccounted"
    if any(row.stage == "infer" and (row.teacher_calls or row.label_bits) for row in rows):
        return "L"
    if any(row.foreign_tokens for row in rows):
        return "T"
    if any(row.stage == "train" and row.label_bits for row in rows):
        return "R"
    if any(row.own_activations or row.source == "own samples" for row in rows):
        return "V"
    return "Z"


def summary(rows: Sequence[LedgerRow]) -> dict[str, int]:
    """Totals of a ledger as the scorecard shows them."""
    return {
        "label_bits": sum(row.label_bits for row in rows if row.stage != "select"),
        "select_bits": sum(row.label_bits for row in rows if row.stage == "select"),
        "foreign_tokens": sum(row.foreign_tokens for row in rows),
        "own_activations": sum(row.own_activations for row in rows),
    }


def prompt_rows(method: str, prompt: PromptFormat) -> list[LedgerRow]:
    """The rows that a prompt format costs by itself: few-shot exemplars are text by people."""
    if not prompt.exemplars:
        return []
    texts = [part for exemplar in prompt.exemplars for part in exemplar]
    tokens = sum(len(text.split()) for text in texts)
    return [LedgerRow(method, "prompt", f"exemplars of {prompt.name}", content_hash(texts), "-", 0, 0, tokens, 0, 0)]


def load_rows(path: Path) -> list[LedgerRow]:
    """The rows of a ledger.jsonl."""
    return [LedgerRow(**row) for _, row in read_jsonl(path)]


def refuse_used(used: Sequence[str], evaluated: Sequence[str]) -> None:
    """Raises LedgerError where an item that was used for training or selection is to be evaluated on."""
    both = sorted(set(used) & set(evaluated))
    if both:
        shown = ", ".join(both[:3]) + (", ..." if len(both) > 3 else "")
        raise LedgerError(
            f"{len(both)} items were used for fitting and can't be evaluated on ({shown}): evaluate on another split, "
            "or fit anew on train and dev only"
        )


def _check_stage(stage: str) -> None:
    if stage not in STAGES:
        raise LedgerError(f"stage {stage!r}: a use of data is one of {', '.join(STAGES)}")


def _licence(task: Task) -> str:
    return getattr(task, "licence", "-")
