"""What tasks in words share: prompts, stop rules, extraction, grading by kind of answer, splits of a data set.

A task gives `name`, `kind` and `load()`; everything else is here. Loading is lazy and cached; the constructor
touches no file. What this module does not know: the paths of data sets.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from elicit.records import Item
from elicit.tasks.formal.family import Violation
from elicit.tasks.grading import extract, verify
from elicit.tasks.grading.answer import parse
from elicit.tasks.grading.verify import Pair
from elicit.tasks.prompts import Prompted, natural_prompts
from elicit.tasks.splits import Lazy, known_split, split_of, subset, without_repeats
from elicit.tasks.task import SPLITS, Answer, Judgement, PromptFormat, StopRules
from elicit.watch import Sealed

_OTHER_WORD = {"yes": "No", "no": "Yes", "true": "False", "false": "True", "valid": "invalid", "invalid": "valid"}


@dataclass(frozen=True)
class NaturalTask(Prompted, Lazy):
    """A task whose questions and answers are natural language."""

    max_new_tokens: int = 400

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def kind(self) -> str:
        """The kind of answer, one of `verify.KINDS`."""

    @abstractmethod
    def load(self) -> dict[str, list[Item]]:
        """The items of every split, disjoint by question."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures has to know about the source of the items."""
        return ()

    @property
    def fixed_prompts(self) -> dict[str, PromptFormat]:
        return natural_prompts(self.kind)

    @property
    def keys(self) -> dict[str, PromptFormat]:
        """None: nothing was planted."""
        return {}

    @property
    def stop(self) -> StopRules:
        return StopRules(extract.STOP_STRINGS, self.max_new_tokens)

    def splits(self) -> tuple[str, ...]:
        return SPLITS

    def items(self, split: str, limit: int | None = None, seed: int = 0) -> list[Item]:
        known_split(split, self.splits(), self.name)
        return subset(self._loaded.open()[split], limit, seed)

    @cached_property
    def _loaded(self) -> Sealed[dict[str, list[Item]]]:
        return Sealed(self.load(), self.name)

    def extract(self, text: str, finished: bool) -> Answer:
        found = verify.read(self.kind, "", text, finished)
        return Answer(found.strict, found.lenient)

    def grade(self, item: Item, text: str, finished: bool) -> Judgement:
        return verify.full(self.kind, item.gold or "", item.question, text, finished)

    def grade_quick(self, item: Item, text: str, finished: bool) -> Judgement:
        """What needs no SymPy; `ungraded="pending"` if comparisons are left for a pool."""
        return verify.quick(self.kind, item.gold or "", item.question, text, finished)

    def pairs(self, item: Item, text: str, finished: bool) -> tuple[Pair, ...]:
        """The comparisons that a pending judgement waits for."""
        return verify.pairs(self.kind, item.gold or "", item.question, text, finished)

    def grade_pair(self, pair: Pair) -> Judgement:
        """The verdict on one comparison. May be slow or hang."""
        return verify.grade_pair(pair)

    def completed(self, item: Item, text: str, finished: bool, found: Mapping[Pair, Judgement]) -> Judgement:
        """A pending judgement with the verdicts on its comparisons."""
        return verify.completed(self.kind, item.gold or "", item.question, text, finished, found)

    def answer_class(self, answer: str) -> str:
        return verify.answer_class(self.kind, answer)

    def answer_span(self, text: str) -> tuple[int, int] | None:
        """The declared number, option or formula; without a declaration, the last one of the completion's own part."""
        return verify.answer_span(self.kind, text)

    def gold_completion(self, item: Item) -> str:
        return self._stating(item.gold or "")

    def corrupted_completion(self, item: Item) -> str:
        return self._stating(self._wrong(item.gold or ""))

    def _stating(self, answer: str) -> str:
        return f" So it is \\boxed{{{answer}}}." if self.kind == "math" else f" The answer is {answer}."

    def _wrong(self, gold: str) -> str:
        if self.kind == "option":
            return "(B)" if self.answer_class(gold) == "A" else "(A)"
        if self.kind in ("word", "text"):
            return _OTHER_WORD.get(self.answer_class(gold), f"{gold} wrong")
        value = parse(gold, self.kind == "number").value
        return "987654321" if value is None else str(Fraction(value) + 1)

    @property
    def has_validator(self) -> bool:
        return False

    def validate(self, item: Item, text: str) -> Violation | None:
        raise LookupError(f"task {self.name} has no validator of traces")


def carve(items: Iterable[Item], shares: dict[str, float]) -> dict[str, list[Item]]:
    """Split items by the hash of their question; repeated questions are dropped."""
    out: dict[str, list[Item]] = {name: [] for name in shares}
    for item in without_repeats(items):
        split = split_of(item.question, shares)
        out[split].append(replace(item, split=split))
    return out


def with_test(train: Iterable[Item], test: Iterable[Item], dev_share: float) -> dict[str, list[Item]]:
    """Splits of a set that has its own test items: train questions that are in the test set are dropped."""
    held = [replace(item, split="test") for item in without_repeats(test)]
    rest = carve(without_repeats(train, held), {"train": 1.0 - dev_share, "dev": dev_share})
    return {**rest, "test": held}
