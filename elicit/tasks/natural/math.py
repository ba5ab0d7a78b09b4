r"""MATH (arXiv 2103.03874): competition problems with a boxed answer, often symbolic.

    What is the smallest positive perfect cube that can be written as the sum of three consecutive integers?   ->   27
    Define $p = \sum_{k = 1}^\infty \frac{1}{k^2}$ and $q = \sum_{k = 1}^\infty \frac{1}{k^3}.$ Find a way to write
    \[\sum_{j = 1}^\infty \sum_{k = 1}^\infty \frac{1}{(j + k)^3}\] in terms of $p$ and $q.$   ->   p - q

    train, dev   the 7,500 training problems of the hub set, dev carved by hash
    test         MATH-500, or `test_path`; with one local file and no test file all three are carved from it

A local file is JSONL with `problem` and either `answer` or a `solution` whose last box is the gold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from elicit.errors import DataError
from elicit.files import read_jsonl
from elicit.records import Item
from elicit.tasks.grading import declaration
from elicit.tasks.natural.hub import hub_rows
from elicit.tasks.natural.task import NaturalTask, carve, with_test
from elicit.tasks.splits import data_file
from elicit.tasks.task import make_item

SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)


@dataclass(frozen=True)
class Math(NaturalTask):
    """Competition mathematics."""

    max_new_tokens: int = 1024
    path: str | None = None
    """JSONL of training problems; null looks for math/train.jsonl below $ELICIT_DATA, then on the hub"""
    test_path: str | None = None
    train_hub: str = "EleutherAI/hendrycks_math"
    test_hub: str = "HuggingFaceH4/MATH-500"
    revision: str | None = None
    """of the test set on the hub"""
    dev_share: float = 0.1
    carved_test_share: float = 0.15

    @property
    def name(self) -> str:
        return "math"

    @property
    def kind(self) -> str:
        return "math"

    @property
    def notes(self) -> tuple[str, ...]:
        carved = data_file(self.path, "math", "train.jsonl") and not self.test_path
        return ("math: no test file is given; the test split is carved from the training file",) if carved else ()

    def load(self) -> dict[str, list[Item]]:
        local = data_file(self.path, "math", "train.jsonl")
        test_path = data_file(self.test_path) if self.test_path else None
        if local is None:
            train = [row for subject in SUBJECTS for row in hub_rows(self.train_hub, subject, "train")]
            test = hub_rows(self.test_hub, None, "test", self.revision)
            held = self._items(enumerate(test, 1), self.test_hub)
            return with_test(self._items(enumerate(train, 1), self.train_hub), held, self.dev_share)
        items = self._items(read_jsonl(local), str(local))
        if test_path:
            return with_test(items, self._items(read_jsonl(test_path), str(test_path)), self.dev_share)
        rest = 1.0 - self.dev_share - self.carved_test_share
        return carve(items, {"train": rest, "dev": self.dev_share, "test": self.carved_test_share})

    def _items(self, rows: Iterable[tuple[int, dict[str, Any]]], source: str) -> Iterable[Item]:
        for number, row in rows:
            boxed = declaration.stated("math", str(row.get("solution", "")))
            gold = row.get("answer") or (boxed.answer if boxed else None)
            if not isinstance(row.get("problem"), str) or not gold:
                raise DataError(f"{source}, line {number}: expected `problem` and `answer` or a `solution` with a box")
            yield make_item("math", "train", row["problem"], str(gold))
