"""A user's own file as a task: JSONL rows with a question and an answer, two lines of YAML.

    _class_: elicit.tasks.natural.jsonl.Jsonl
    path: my_problems.jsonl

    {"question": "What is 12 * 12?", "answer": "144"}
    {"question": "Factor $x^2 - 1$.", "answer": "(x-1)(x+1)", "cluster": "factoring", "split": "test"}

A row may carry `cluster` (what intervals resample together) and `split` (train, dev or test); without `split` the
hash of the question decides. Broken rows are refused with their line number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from elicit.errors import ConfigError, DataError, near, segment
from elicit.files import read_jsonl
from elicit.reading import eaten_backslash
from elicit.records import Item
from elicit.tasks.grading.verify import check_kind
from elicit.tasks.natural.task import NaturalTask, carve
from elicit.tasks.splits import without_repeats
from elicit.tasks.task import SPLITS, make_item

NO_NUMBERS = ("nan", "inf", "infinity")


@dataclass(frozen=True)
class Jsonl(NaturalTask):
    """Questions and answers from a JSONL file."""

    path: str = ""
    """the file; relative to the folder in which elicit is started"""
    label: str | None = None
    """the task's name; null takes the file's"""
    question: str = "question"
    """name of the question field"""
    answer: str = "answer"
    """name of the answer field"""
    answers: str = "math"
    """kind of answer: number | math | option | word | text"""
    dev_share: float = 0.2
    test_share: float = 0.4

    def __post_init__(self) -> None:
        check_kind(self.answers)
        if self.label is not None:
            segment(self.label, "label")
        if not (self.dev_share >= 0 and self.test_share >= 0 and self.dev_share + self.test_share <= 1):
            raise ConfigError(f"dev_share={self.dev_share}, test_share={self.test_share}: shares that sum to at most 1")

    @property
    def name(self) -> str:
        return self.label or Path(self.path).stem or "jsonl"

    @property
    def kind(self) -> str:
        return self.answers

    def load(self) -> dict[str, list[Item]]:
        if not self.path:
            raise ConfigError("task.path is empty; give the JSONL file with your questions and answers")
        given = without_repeats(_agreeing(self._rows(), self.path))
        shares = {"train": 1.0 - self.dev_share - self.test_share, "dev": self.dev_share, "test": self.test_share}
        carved = carve([item for item in given if not item.split], shares)
        return {split: carved[split] + [item for item in given if item.split == split] for split in SPLITS}

    def _rows(self) -> Iterator[Item]:
        for number, row in read_jsonl(Path(self.path).expanduser()):
            place = f"{self.path}, line {number}"
            for field in (self.question, self.answer):
                if field not in row:
                    raise DataError(f"{place}: no field {field!r}; {near(field, row)}")
            question, gold = row[self.question], row[self.answer]
            if not isinstance(question, str) or not question.strip():
                raise DataError(f"{place}: {self.question} is {question!r}, expected text")
            if isinstance(gold, bool) or not isinstance(gold, str | int | float) or not str(gold).strip():
                raise DataError(f"{place}: {self.answer} is {gold!r}, expected text or a number")
            for field, text in ((self.question, question), (self.answer, str(gold))):
                if clause := eaten_backslash(text):
                    raise DataError(f"{place}: {field} {clause}")
            split = row.get("split", "")
            if split not in ("", *SPLITS):
                raise DataError(f"{place}: split is {split!r}; {near(str(split), SPLITS)}")
            gold = str(gold).strip()
            if self.answers in ("number", "math") and gold.lower().lstrip("+-") in NO_NUMBERS:
                raise DataError(
                    f"{place}: {self.answer} is {gold}, which is no number that can be graded; remove the row"
                )
            cluster = row.get("cluster")
            if isinstance(cluster, bool) or not isinstance(cluster, str | int | None):
                raise DataError(f"{place}: cluster is {cluster!r}, expected text or a whole number")
            yield make_item(self.name, split, question, gold, None if cluster is None else str(cluster))


def _agreeing(items: Iterable[Item], path: str) -> Iterator[Item]:
    """The items. Raises DataError if one question has two answers: which of them counts is not ours to decide."""
    golds: dict[str, str | None] = {}
    for item in items:
        first = golds.setdefault(item.question, item.gold)
        if first != item.gold:
            raise DataError(
                f"{path}: the question {item.question[:80]!r} has two answers, {first!r} and {item.gold!r}; "
                "remove one of the rows"
            )
        yield item
