"""The ledger: the only door to items, gold answers, rewards and foreign text.

Every use of data by a method is booked as a row, and the data class of its claim follows from the rows.
The split `test` is closed to `items` and to `grade`. The ledger holds the task; the method sees
`task_view`, which has prompts, stop rules and readers of answers, but no item and no gold.

    class   follows from
    Z       nothing but the prompt
    V       own activations or own text
    R       any verifier or label bit at stage train
    T       any foreign text
    L       a teacher or verifier at inference
    declared      made elsewhere, from data that only its author's statement describes
    unaccounted   something was opened without the ledger (`elicit.watch`), or made elsewhere without a statement

Dev scores of a search are bits of stage `select`: a separate column, not part of the class. Foreign text is compared
with the evaluation items when it is booked (whole questions, runs of 13 words); its row lists the items it contains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from elicit.errors import LedgerError
from elicit.files import content_hash, file_hash, read_text, write_text
from elicit.ledger.account import Account
from elicit.ledger.classes import DECLARED, data_class
from elicit.ledger.overlap import Overlap, OverlapIndex
from elicit.records import Item, LedgerRow
from elicit.tasks.formal.family import Violation
from elicit.tasks.grading.grader import Grader
from elicit.tasks.grading.pool import GradeRequest
from elicit.tasks.splits import filled
from elicit.tasks.task import Judgement, Task
from elicit.tasks.view import TaskView, view_of
from elicit.watch import Sealed, door

STAGES = ("prompt", "train", "select", "infer")
OPEN_SPLITS = ("train", "dev")


class ForeignRow(Protocol):
    """What a row of a foreign file states about its origin."""

    @property
    def author(self) -> str: ...

    @property
    def licence(self) -> str: ...


F = TypeVar("F", bound=ForeignRow)
G = TypeVar("G")


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


class Ledger:
    """One fit's account. Raises LedgerError on a closed split, an unknown item or a spent budget."""

    def __init__(
        self,
        task: Task,
        method: str,
        budget: Budget | None = None,
        grader: Grader | None = None,
        max_new_tokens: int | None = None,
    ) -> None:
        """`max_new_tokens`: the token limit of the evaluation, which fits sample under too; None: the task's own."""
        self.method = method
        self.max_new_tokens = max_new_tokens
        self.budget = budget or Budget()
        self.spent = Spent()
        self.accounted = True
        self._task = task
        self._grader = grader or Grader(task, workers=1)
        self._account = Account(method)
        self._items: Sealed[dict[str, Item]] = Sealed({}, task.name)
        self._index: OverlapIndex | None = None

    @property
    def task_view(self) -> TaskView:
        """What a method sees of the task, with the token limit of the evaluation."""
        return view_of(self._task, self.max_new_tokens)

    def items(self, split: str, stage: str = "train", limit: int | None = None, seed: int = 0) -> list[Item]:
        """Items of an open split, gold and facts taken out. `limit` takes a seeded random subset.

        Raises LedgerError for a closed split, DataError for an empty one.
        """
        if split not in OPEN_SPLITS:
            raise LedgerError(f"split {split!r} is closed to methods; open are {' and '.join(OPEN_SPLITS)}")
        _check_stage(stage)
        with door():
            full = self._task.items(split, limit, seed)
            if limit != 0:
                filled(full, split, self._task.name, "a fit of this method")
            self._items.open().update({item.id: item for item in full})
        self._book(stage, split, _licence(self._task), items=[item.id for item in full])
        return [Item(i.id, i.task, i.split, i.question, None, i.cluster) for i in full]

    def grade(self, item: Item, text: str, finished: bool = True, stage: str = "train") -> bool | None:
        """The strict grade of a completion, by the evaluator's own grader: one label bit. None: ungraded."""
        known = self._known(item)
        self._spend(labels=1)
        self._book(stage, known.split, _licence(self._task), label_bits=1, items=[item.id])
        return self.judge([GradeRequest(known, text, finished)])[0].strict

    def judge(self, jobs: Sequence[GradeRequest]) -> list[Judgement]:
        """Judgements by the evaluator's own grader, unbooked: for `grade` and for dev scores. A hang is ungraded."""
        with door():
            verdicts = self._grader.judge(jobs)
        return [v.judgement or Judgement(None, None, None, None, v.failure) for v in verdicts]

    def close(self) -> None:
        """End the grading processes, if any were started."""
        self._grader.__exit__(None, None, None)

    def valid(self, item: Item, text: str, stage: str = "train") -> bool:
        """Whether the trace has no violation: one label bit. Raises LookupError without a validator."""
        known = self._known(item)
        self._spend(labels=1)
        self._book(stage, known.split, _licence(self._task), label_bits=1, items=[item.id])
        return self._task.validate(known, text) is None

    def grades(
        self, items: Sequence[Item], texts: Sequence[str], finished: Sequence[bool], stage: str = "train",
        reading: Literal["strict", "lenient"] = "strict",
    ) -> list[bool | None]:  # fmt: skip
        """The grades of many completions at once, by one reading of their answers: one label bit each."""
        known = [self._known(item) for item in items]
        self._book_labels(known, stage)
        jobs = [GradeRequest(item, text, end) for item, text, end in zip(known, texts, finished, strict=True)]
        judged = self.judge(jobs)
        return [judgement.strict if reading == "strict" else judgement.lenient for judgement in judged]

    def violations(self, items: Sequence[Item], texts: Sequence[str], stage: str = "train") -> list[Violation | None]:
        """The first violation of each trace, None for a valid one.

        Books one label bit per trace, and the words of the violations as foreign text. Raises LookupError if the task
        has no validator.
        """
        known = [self._known(item) for item in items]
        found = [self._task.validate(item, text) for item, text in zip(known, texts, strict=True)]
        self._book_labels(known, stage, [violation.message for violation in found if violation])
        return found

    def solutions(self, items: Sequence[Item], stage: str = "train") -> list[str]:
        """The right completion of each item. Books one label bit per item, and the words as foreign text."""
        known = [self._known(item) for item in items]
        texts = [self._task.gold_completion(item) for item in known]
        self._book_labels(known, stage, texts)
        return texts

    def traces(self, items: Sequence[Item], stage: str = "train") -> list[str]:
        """As `solutions`, with the steps that people wrote if the task has them (`gold_trace`)."""
        known = [self._known(item) for item in items]
        with door():
            texts = [getattr(self._task, "gold_trace", self._task.gold_completion)(item) for item in known]
        self._book_labels(known, stage, texts)
        return texts

    def foreign_rows(
        self, path: Path, read: Callable[[int, str], F | None], limit: int | None = None, stage: str = "train"
    ) -> list[F]:
        """Rows of a text file that the base did not write, parsed by `read(line number, line)`; None skips a line.

        The lines of one `author` and `licence` are booked as one group, with the file's hash and their number of words.
        Blank lines are skipped. Raises LedgerError if the file does not exist.
        """
        with door():
            if not Path(path).is_file():
                raise LedgerError(f"{path}: no such file; give the path of a JSONL file")
            text = read_text(path)
        rows: list[F] = []
        words: dict[tuple[str, str], int] = {}
        lines: dict[tuple[str, str], list[str]] = {}
        for number, line in enumerate(text.split("\n"), 1):
            if limit is not None and len(rows) == limit:
                break
            row = read(number, line) if line.strip() else None
            if row is not None:
                rows.append(row)
                group = (row.author, row.licence)
                plain = line.replace("\\n", " ")
                words[group] = words.get(group, 0) + len(plain.split())
                lines.setdefault(group, []).append(plain)
        for (author, licence), count in words.items():
            self._spend(foreign_tokens=count)
            source = f"{Path(path).name}: {author}"
            found = lines[author, licence]
            self._book(stage, source, licence, foreign_tokens=count, content=content_hash(text), texts=found)
        return rows

    def foreign(self, text: str, author: str, licence: str, stage: str = "train", tokens: int | None = None) -> str:
        """Book text that the base did not write, and return it. `tokens` defaults to its number of words."""
        count = len(text.split()) if tokens is None else tokens
        self._spend(foreign_tokens=count)
        self._book(stage, author, licence, foreign_tokens=count, content=content_hash(text), texts=[text])
        return text

    def rollouts(self, count: int, tokens: int) -> None:
        """Book own completions sampled while fitting: rollouts and tokens of the budget, and own text (class V)."""
        self._spend(rollouts=count, tokens=tokens)
        self._book("train", "own samples", "-")

    def activations(self, positions: int, stage: str = "train") -> None:
        """Book own activations read at this many positions."""
        self._book(stage, "own activations", "-", own_activations=positions)

    def teacher(self, calls: int = 1, stage: str = "infer") -> None:
        """Book calls of a teacher or verifier; at stage infer the class becomes L."""
        self._book(stage, "teacher or verifier", "-", teacher_calls=calls)

    def selected(self, bits: int, items: Sequence[str]) -> None:
        """Book the label bits of one dev score (the context's `dev_score` calls this)."""
        self._spend(labels=bits)
        self._book("select", "dev", _licence(self._task), label_bits=bits, items=items)

    def given(self, files: Sequence[Path], statement: str, read: Callable[[], G]) -> G:
        """Read an intervention that was made elsewhere: `read` opens these files.

        The data that it was made from are unknown here, so the class is "declared" if the user states them, and
        "unaccounted" if not.
        """
        with door():
            content = content_hash([file_hash(path) for path in files])
            made = read()
        if statement.strip():
            self._book("train", f"{DECLARED}{statement.strip()}", "-", content=content)
        else:
            self.unaccounted(f"{files[0].name}, made elsewhere without a statement of its data")
        return made

    def resume(self, rows: Sequence[LedgerRow], spent: Spent) -> None:
        """Continue the saved account of an interrupted run of this fit; what was booked again since counts once."""
        self._spend(**{name: max(0, amount - getattr(self.spent, name)) for name, amount in asdict(spent).items()})
        for row in rows:
            self._account.restore(row)
        self.accounted = self.accounted and not any(row.source.startswith("unaccounted") for row in rows)

    def unaccounted(self, what: str) -> None:
        """Book a read that did not go through the ledger: the class is `unaccounted`, the headline is withheld."""
        self.accounted = False
        self._book("train", f"unaccounted: {what}", "unknown")

    @property
    def rows(self) -> list[LedgerRow]:
        return self._account.rows

    @property
    def data_class(self) -> str:
        return data_class(self.rows)

    @property
    def used(self) -> list[str]:
        """Ids of all items that the method has used; they can't be evaluated on."""
        return sorted({item for row in self.rows for item in row.items})

    def save(self, path: Path) -> None:
        """Write ledger.jsonl, one row per line."""
        import json

        write_text(path, "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in self.rows))

    def _book_labels(self, known: Sequence[Item], stage: str, texts: Sequence[str] = ()) -> None:
        """Book one label bit per item, and the words of `texts` as foreign text of the task."""
        words = sum(len(text.split()) for text in texts)
        self._spend(labels=len(known), foreign_tokens=words)
        for split in sorted({item.split for item in known}):
            used = [item.id for item in known if item.split == split]
            licence, told = _licence(self._task), texts if words else ()
            self._book(stage, split, licence, label_bits=len(used), foreign_tokens=words, items=used, texts=told)
            words = 0

    def _known(self, item: Item) -> Item:
        with door():
            items = self._items.open()
        if item.id not in items:
            raise LedgerError(
                f"item {item.id} did not come from this ledger: take items from ledger.items(split, stage)"
            )
        return items[item.id]

    def _spend(self, **amounts: int) -> None:
        for name, amount in amounts.items():
            used, limit = getattr(self.spent, name) + amount, getattr(self.budget, name)
            if limit is not None and used > limit:
                raise LedgerError(
                    f"budget.{name}={limit} is spent ({used} requested); raise budget.{name}, or ask for less"
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
        texts: Sequence[str] = (),
    ) -> None:
        """Add to the row of (stage, source, licence, content): uses of one kind are one row."""
        _check_stage(stage)
        # what foreign texts share with the items of closed splits goes to the row, not to the method
        overlap = Overlap([], [])
        if any(text.strip() for text in texts):
            if self._index is None:
                closed = [split for split in self._task.splits() if split not in OPEN_SPLITS]
                with door():
                    self._index = OverlapIndex(item for split in closed for item in self._task.items(split))
            overlap = self._index.of(texts)
        self._account.book(
            (stage, source, licence, content),
            label_bits=label_bits,
            foreign_tokens=foreign_tokens,
            own_activations=own_activations,
            teacher_calls=teacher_calls,
            items=items,
            overlap_exact=overlap.exact,
            overlap_run=overlap.run,
        )


def refuse_used(used: Sequence[str], evaluated: Sequence[str]) -> None:
    """Raises LedgerError if an item of the evaluation was used for training or selection."""
    both = sorted(set(used) & set(evaluated))
    if both:
        shown = ", ".join(both[:3]) + (", ..." if len(both) > 3 else "")
        raise LedgerError(
            f"{len(both)} items were used for fitting and can't be evaluated on ({shown}): evaluate on another split, "
            "or fit again on train and dev only"
        )


def _check_stage(stage: str) -> None:
    if stage not in STAGES:
        raise LedgerError(f"stage {stage!r}: one of {', '.join(STAGES)}")


def _licence(task: Task) -> str:
    return getattr(task, "licence", "-")
