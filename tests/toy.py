"""A task for tests: sums of two digits. Small, exact, and without any file."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from elicit.records import Item
from elicit.tasks.formal.family import Violation
from elicit.tasks.task import Answer, Judgement, PromptFormat, StopRules, make_item

_ANSWER = re.compile(r"The answer is (\d+)\.")


@dataclass(frozen=True)
class ToyTask:
    name: str = "toy"
    prompts: dict[str, PromptFormat] = field(default_factory=lambda: {"bare": PromptFormat("bare")})
    keys: dict[str, PromptFormat] = field(default_factory=dict)
    stop: StopRules = StopRules(max_new_tokens=16)

    def splits(self) -> tuple[str, ...]:
        return ("train", "dev", "test")

    def items(self, split: str, limit: int | None = None, seed: int = 0) -> list[Item]:
        at = self.splits().index(split)
        pairs = [(a, b) for a in range(10) for b in range(10) if (a + b) % 3 == at]
        out = [make_item(self.name, split, f"{a} + {b}", str(a + b), facts={"a": a, "b": b}) for a, b in pairs]
        return out if limit is None else random.Random(seed).sample(out, limit)

    def extract(self, text: str, finished: bool) -> Answer:
        found = _ANSWER.findall(text)
        return Answer(found[-1] if found and finished else None, found[-1] if found else None)

    def grade(self, item: Item, text: str, finished: bool) -> Judgement:
        answer = self.extract(text, finished)
        return Judgement(answer.strict == item.gold, answer.lenient == item.gold, answer.strict, answer.strict)

    def answer_class(self, answer: str) -> str:
        return str(int(answer))

    def answer_span(self, text: str) -> tuple[int, int] | None:
        found = list(_ANSWER.finditer(text))
        return found[-1].span(1) if found else None

    def gold_completion(self, item: Item) -> str:
        return f" The answer is {item.gold}."

    def corrupted_completion(self, item: Item) -> str:
        return f" The answer is {int(item.gold or 0) + 1}."

    def validate(self, item: Item, text: str) -> Violation | None:
        raise LookupError("toy has no validator")

    @property
    def has_validator(self) -> bool:
        return False
