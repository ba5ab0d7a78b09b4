"""reasoning-gym (arXiv 2505.24760) as a task: one generated family, a hit is score 1.0 only.

    State the final answer to the following arithmetic problem: 487 - 192 + 858 + 260 + 671 + 927 =   ->   3011
    Consider these statements: 1. Some elephants are birds 2. No birds are horses Does it logically follow that: Some
    elephants are not horses? (Answer Yes or No)   ->   Yes

Its scorers give partial credit to junk, and some give full marks to it, so only families on a whitelist are
taken: those whose scorer gives 1.0 to the one right answer and to nothing else (a test checks it).
Splits by content hash of generated entries. Needs the package `reasoning-gym`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from elicit.errors import ConfigError, checked
from elicit.files import seed_of
from elicit.records import Item
from elicit.tasks.grading import declaration, extract, verify
from elicit.tasks.natural.task import NaturalTask
from elicit.tasks.splits import split_of
from elicit.tasks.task import SPLITS, Answer, Judgement, make_item

FAMILIES = {
    "basic_arithmetic": "number",
    "chain_sum": "number",
    "count_bits": "number",
    "count_primes": "number",
    "gcd": "number",
    "largest_island": "number",
    "lcm": "number",
    "leg_counting": "number",
    "letter_counting": "number",
    "number_sequence": "number",
    "products": "number",
    "simple_equations": "number",
    "base_conversion": "text",
    "caesar_cipher": "text",
    "spell_backward": "text",
    "syllogism": "word",
}
"""whitelisted family -> kind of answer"""

_SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}


@dataclass(frozen=True)
class ReasoningGym(NaturalTask):
    """One whitelisted family of reasoning-gym."""

    max_new_tokens: int = 320
    family: str = "chain_sum"
    settings: dict[str, Any] = field(default_factory=dict)
    """settings of the family's generator, such as max_terms"""
    n_train: int = 1_000
    n_dev: int = 300
    n_test: int = 300
    generator_seed: int = 0

    def __post_init__(self) -> None:
        checked(self, one_of={"family": FAMILIES})

    @property
    def name(self) -> str:
        return f"reasoning_gym/{self.family}"

    @property
    def kind(self) -> str:
        return FAMILIES[self.family]

    @cached_property
    def _dataset(self) -> Any:
        try:
            import reasoning_gym
        except ImportError:
            raise ConfigError("task=reasoning_gym needs its package: pip install reasoning-gym") from None
        size = 20 * (self.n_train + self.n_dev + self.n_test)
        seed = seed_of("elicit.tasks.reasoning_gym", self.family, self.generator_seed) % 2**31
        try:
            return reasoning_gym.create_dataset(self.family, seed=seed, size=size, **self.settings)
        except (TypeError, AssertionError) as fault:
            raise ConfigError(f"settings={self.settings} do not fit reasoning-gym's {self.family}: {fault}") from None

    def load(self) -> dict[str, list[Item]]:
        wanted = dict(zip(SPLITS, (self.n_train, self.n_dev, self.n_test), strict=True))
        found: dict[str, dict[str, Item]] = {split: {} for split in SPLITS}
        for index in range(len(self._dataset)):
            if all(len(found[split]) >= wanted[split] for split in SPLITS):
                break
            entry = self._dataset[index]
            split = split_of(entry["question"], _SHARES)
            if len(found[split]) < wanted[split]:
                facts = {"metadata": json.loads(json.dumps(entry.get("metadata", {}), default=str))}
                item = make_item(self.name, split, entry["question"], str(entry["answer"]), None, facts)
                found[split].setdefault(" ".join(item.question.casefold().split()), item)
        short = {split: len(items) for split, items in found.items() if len(items) < wanted[split]}
        if short:
            raise ConfigError(f"{self.name} has too few different problems: {short} of {wanted}; lower the numbers")
        return {split: list(items.values()) for split, items in found.items()}

    def extract(self, text: str, finished: bool) -> Answer:
        part = extract.own_part(text)[0]
        span = self.answer_span(part)
        declared = declaration.last(self.kind, text, finished)
        return Answer(declared.answer if declared else None, part[span[0] : span[1]] if span else None)

    def grade(self, item: Item, text: str, finished: bool) -> Judgement:
        answer = self.extract(text, finished)
        strict = answer.strict is not None and self._hit(item, answer.strict)
        lenient = strict or (answer.lenient is not None and self._hit(item, answer.lenient))
        first = declaration.first(self.kind, text, finished)
        return Judgement(
            *(strict, lenient, answer.strict, answer.strict and self.answer_class(answer.strict)),
            first=first is not None and self._hit(item, first.answer),
            first_answer=first.answer if first else None,
        )

    grade_quick = grade

    def _hit(self, item: Item, answer: str) -> bool:
        """Score 1.0 of the family's scorer on the answer, or on the gold if the answer is of its class."""
        same = verify.answer_class(self.kind, answer) == verify.answer_class(self.kind, item.gold or "")
        entry = {"question": item.question, "answer": item.gold, "metadata": item.facts.get("metadata", {})}
        return bool(same and self._dataset.score_answer(item.gold, entry) == 1.0)
