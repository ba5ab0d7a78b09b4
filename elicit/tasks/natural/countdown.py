"""Countdown: reach a target with given numbers and + - * /, each number used once; checked exactly.

    Use each of the numbers 3, 5, 7 once and + - * / to make 26.        ->   7 * 3 + 5
    Use each of the numbers 17, 20, 19 once and + - * / to make 22.     ->   19 + 20 - 17

Any right expression counts, not only the one the problem was made from. Splits by content hash; no trace validator.
What this module does not know: files, models.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

from elicit.errors import ConfigError
from elicit.files import seed_of
from elicit.records import Item
from elicit.tasks.grading import declaration, extract
from elicit.tasks.natural.arithmetic import SIGNS, evaluate
from elicit.tasks.natural.task import NaturalTask
from elicit.tasks.prompts import natural_prompts
from elicit.tasks.splits import distinct_items
from elicit.tasks.task import SPLITS, Answer, Judgement, PromptFormat, make_item

_EXPRESSION = re.compile(r"[\d(][\d\s()+*/-]*[\d)]")
_SHARES = {"train": 0.7, "dev": 0.15, "test": 0.15}
_ASK = "Use each of the numbers {} once and + - * / to make {}."
_EXEMPLARS = (
    (_ASK.format("2, 9, 4", 22), "2 * 9 = 18 and 18 + 4 = 22. The answer is 2 * 9 + 4."),
    (_ASK.format("8, 3, 5", 55), "8 + 3 = 11 and 11 * 5 = 55. The answer is (8 + 3) * 5."),
    (_ASK.format("6, 7, 10", 3), "6 + 7 = 13 and 13 - 10 = 3. The answer is 6 + 7 - 10."),
    (_ASK.format("12, 4, 9", 27), "12 / 4 = 3 and 3 * 9 = 27. The answer is 12 / 4 * 9."),
)


@dataclass(frozen=True)
class Countdown(NaturalTask):
    """Generated Countdown problems, all solvable."""

    max_new_tokens: int = 256
    count: int = 3
    """how many numbers"""
    largest: int = 25
    largest_target: int = 100
    n_train: int = 2_000
    n_dev: int = 500
    n_test: int = 500
    generator_seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.count <= 6 or self.largest < 4 or self.largest_target < 10:
            raise ConfigError(
                f"count={self.count}, largest={self.largest}, largest_target={self.largest_target}: "
                "need 2-6 numbers up to at least 4 and targets up to at least 10"
            )

    @property
    def name(self) -> str:
        return f"countdown{self.count}"

    @property
    def kind(self) -> str:
        return "text"

    @property
    def fixed_prompts(self) -> dict[str, PromptFormat]:
        shots = PromptFormat("few_shot", exemplars=_EXEMPLARS)
        return natural_prompts("text") | {"few_shot": shots}

    def load(self) -> dict[str, list[Item]]:
        return {
            split: self._generate(split, wanted)
            for split, wanted in zip(SPLITS, (self.n_train, self.n_dev, self.n_test), strict=True)
        }

    def _generate(self, split: str, wanted: int) -> list[Item]:
        rng = random.Random(seed_of("elicit.tasks.countdown", self.count, split, self.generator_seed))
        return distinct_items(self.name, split, wanted, _SHARES, lambda: self._draw(rng, split))

    def _draw(self, rng: random.Random, split: str) -> Item | None:
        numbers = [rng.randint(1, self.largest) for _ in range(self.count)]
        order = rng.sample(numbers, len(numbers))
        expression = str(order[0])
        for number in order[1:]:
            expression = f"({expression}) {rng.choice('+-*/')} {number}"
        target = evaluate(expression)
        if target is None or target.denominator != 1 or not 1 <= target <= self.largest_target:
            return None
        question = _ASK.format(", ".join(map(str, numbers)), target)
        facts = {"numbers": numbers, "target": int(target)}
        return make_item(self.name, split, question, expression, None, facts)

    def extract(self, text: str, finished: bool) -> Answer:
        declared = declaration.last("text", text, finished)
        strict = declared.answer if declared else None
        loose = [part.strip() for part in _EXPRESSION.findall(extract.tail(text)) if re.search(r"[-+*/]", part)]
        return Answer(strict, strict or (loose[-1] if loose else None))

    def grade(self, item: Item, text: str, finished: bool) -> Judgement:
        answer = self.extract(text, finished)
        given = None if answer.strict is None else self.answer_class(answer.strict)
        right = answer.strict is not None and self._solves(item, answer.strict)
        lenient = right or (answer.lenient is not None and self._solves(item, answer.lenient))
        first = declaration.first("text", text, finished)
        solved = first is not None and self._solves(item, first.answer)
        return Judgement(right, lenient, answer.strict, given, None, solved, first.answer if first else None)

    grade_quick = grade

    def _solves(self, item: Item, answer: str) -> bool:
        plain = self.answer_class(answer)
        used = Counter(int(number) for number in re.findall(r"\d+", plain))
        return used == Counter(item.facts["numbers"]) and evaluate(plain) == Fraction(item.facts["target"])

    def answer_class(self, answer: str) -> str:
        """The expression without blanks and without "= target" after it."""
        plain = answer.replace("\\times", "*").replace("\\div", "/").replace("$", "").translate(SIGNS)
        return re.sub(r"\s+", "", plain).partition("=")[0].rstrip(".")

    def corrupted_completion(self, item: Item) -> str:
        return f" The answer is {item.gold} + 1."
