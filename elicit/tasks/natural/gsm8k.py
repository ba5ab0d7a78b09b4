"""GSM8K (arXiv 2110.14168): grade-school word problems with a numeric answer after "#### ".

    Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did
    Natalia sell altogether in April and May?   ->   72

    train, dev   carved from train.jsonl by the hash of the question
    test         test.jsonl next to it, or the hub's test split; without either, carved from train.jsonl too, and
                 `notes` reports that

The validator checks written arithmetic only (`arithmetic`). Data: `path`, else $ELICIT_DATA/gsm8k or
../shared/data/gsm8k, else the hub.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from elicit.errors import DataError
from elicit.files import read_jsonl
from elicit.records import Item
from elicit.tasks.formal.family import Violation
from elicit.tasks.grading import extract
from elicit.tasks.natural.arithmetic import first_error
from elicit.tasks.natural.hub import hub_rows
from elicit.tasks.natural.task import NaturalTask, carve, with_test
from elicit.tasks.splits import data_file
from elicit.tasks.task import make_item


@dataclass(frozen=True)
class Gsm8k(NaturalTask):
    """Grade-school arithmetic in words."""

    path: str | None = None
    """train.jsonl; null looks below $ELICIT_DATA and ../shared/data, then on the hub"""
    test_path: str | None = None
    """test.jsonl; null takes the one next to `path`"""
    hub: str = "openai/gsm8k"
    revision: str | None = None
    dev_share: float = 0.1
    carved_test_share: float = 0.15
    """share of train.jsonl that is the test set if there is no other"""

    @property
    def name(self) -> str:
        return "gsm8k"

    @property
    def kind(self) -> str:
        return "number"

    @property
    def notes(self) -> tuple[str, ...]:
        carved = self._train is not None and self._test is None
        return (f"gsm8k: no test file next to {self._train}; the test split is carved from it",) if carved else ()

    @cached_property
    def _train(self) -> Path | None:
        return data_file(self.path, "gsm8k", "train.jsonl")

    @cached_property
    def _test(self) -> Path | None:
        if self.test_path:
            return data_file(self.test_path)
        next_to = self._train.with_name("test.jsonl") if self._train else None
        return next_to if next_to and next_to.exists() else None

    def load(self) -> dict[str, list[Item]]:
        if self._train is None:
            of_split: dict[str, list[Item]] = {}
            for split in ("train", "test"):
                rows = enumerate(hub_rows(self.hub, "main", split, self.revision), 1)
                of_split[split] = list(self._items(rows, f"{self.hub} ({split})"))
            return with_test(of_split["train"], of_split["test"], self.dev_share)
        train = list(self._items(read_jsonl(self._train), str(self._train)))
        if self._test:
            return with_test(train, self._items(read_jsonl(self._test), str(self._test)), self.dev_share)
        rest = 1.0 - self.dev_share - self.carved_test_share
        return carve(train, {"train": rest, "dev": self.dev_share, "test": self.carved_test_share})

    def _items(self, rows: Iterable[tuple[int, dict[str, Any]]], source: str) -> Iterable[Item]:
        for number, row in rows:
            question, answer = row.get("question"), row.get("answer")
            if not isinstance(question, str) or not isinstance(answer, str) or "####" not in answer:
                raise DataError(f"{source}, line {number}: expected a question and an answer that ends in '#### N'")
            gold = answer.rpartition("####")[2].strip().replace(",", "")
            yield make_item("gsm8k", "train", question, gold)

    def gold_trace(self, item: Item) -> str:
        """The solution that people wrote, without calculator marks, and the answer. Raises KeyError off train.jsonl."""
        steps = re.sub(r"<<.*?>>", "", self._worked[item.question]).strip()
        return f" {steps}\n{self.gold_completion(item).strip()}"

    @cached_property
    def _worked(self) -> dict[str, str]:
        """Question -> solution without its last line, of the rows that train and dev are carved from."""
        rows = read_jsonl(self._train) if self._train else enumerate(hub_rows(self.hub, "main", "train", self.revision))
        return {row["question"]: row["answer"].rpartition("####")[0] for _, row in rows}

    @property
    def has_validator(self) -> bool:
        return True

    def validate(self, item: Item, text: str) -> Violation | None:
        return first_error(extract.own_part(text)[0])
