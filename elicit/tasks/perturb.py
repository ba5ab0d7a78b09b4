"""Twins of evaluation items: the same problem with other names, or with other numbers.

    renamed      other first names, consistently; the answer stays the same                        (word problems)
    renumbered   every number becomes another one with as many digits; the answer is unknown      (word problems)
                 another problem of the same family, size and wording, with its gold              (formal tasks)

If a checkpoint has read an item, the item is likelier under it than its twins; otherwise there should be no
difference. On formal tasks original and twins are draws of one distribution, so the comparison is exact. In word
problems the replacements are less natural than the author's text: a difference is a hint and no proof. `Perturbed` is
a task whose test items are twins with gold, so that a gain can be repeated on them. Knows no model.
"""

from __future__ import annotations

import calendar
import json
import random
import re
import string
from dataclasses import dataclass, replace
from typing import Any

from elicit.errors import ConfigError, checked, near
from elicit.files import seed_of
from elicit.records import Item
from elicit.tasks.formal.family import Violation
from elicit.tasks.formal.task import FORMAL
from elicit.tasks.splits import Lazy, share_of, subset
from elicit.tasks.steps import another
from elicit.tasks.task import Answer, Judgement, PromptFormat, StopRules, Task, make_item

KINDS = ("renamed", "renumbered")
HERS = (
    *("Anna", "Betty", "Carla", "Diana", "Ella", "Fiona", "Grace", "Hannah", "Irene", "Julia", "Karen", "Laura"),
    *("Maria", "Nina", "Olga", "Paula", "Rosa", "Sarah", "Tina", "Vera", "Wendy", "Julie", "Natalia", "Mary", "Emma"),
)
HIS = (
    *("Adam", "Boris", "Carl", "David", "Eric", "Frank", "George", "Henry", "Ivan", "Jack", "Kevin", "Leo", "Mark"),
    *("Noah", "Oscar", "Peter", "Robert", "Simon", "Tom", "Victor", "Walter", "James", "John", "Albert", "Ken", "Tim"),
)
_NO_NAMES = frozenset(
    (
        *(*calendar.month_name, *calendar.day_name, "English", "French", "Spanish", "German", "Chinese", "Japanese"),
        *("American", "Christmas", "Easter", "Halloween", "Thanksgiving", "Mrs", "Find", "What", "How", "The", "Let"),
        *("Suppose", "Each", "Every", "There"),
    )
)
_WORD = re.compile(r"[A-Z][a-z]{2,}\b")
_NUMBER = re.compile(r"(?<![\w.,])\d+(?![\w]|[.,]\d)")
_BEFORE_A_SENTENCE, _OPENS = (*".!?:",), (*"\"'(",)
_LISTED = frozenset((*HERS, *HIS))
_TRIES = 500
_LONG_NUMBER = 100


def names_in(question: str) -> list[str]:
    """First names of a question: listed names anywhere, other capitalised words unless they begin a sentence."""
    names: dict[str, None] = {}
    end = 0
    for hit in _WORD.finditer(question):
        between, end = question[end : hit.start()], hit.end()  # of each character once: linear in the question
        words = between.rstrip()
        begins = words.endswith(_BEFORE_A_SENTENCE) or between.endswith(_OPENS) or "\n" in between[len(words) :]
        if hit.group() not in _NO_NAMES and ((hit.start() and not begins) or hit.group() in _LISTED):
            names.setdefault(hit.group())
    return list(names)


def renamed(question: str, rng: random.Random) -> str | None:
    """The question with other first names, or None if it names nobody. Listed names keep their pronouns."""
    names = names_in(question)
    if not names:
        return None
    free = {pool: [name for name in pool if name not in names] for pool in (HERS, HIS)}
    for pool in free.values():
        rng.shuffle(pool)
    new = {name: free[HIS if name in HIS else HERS].pop() for name in names[:12]}
    return re.sub(rf"\b(?:{'|'.join(map(re.escape, new))})\b", lambda hit: new[hit.group()], question)


def renumbered(question: str, rng: random.Random) -> str | None:
    """The question with other whole numbers, equal numbers by equal ones and each changed; None if it has none."""
    numbers = list(dict.fromkeys(_NUMBER.findall(question)))
    if not numbers:
        return None
    new = {}
    for number in numbers:
        if len(number) > _LONG_NUMBER:  # digit by digit: Python converts at most 4,300 digits, in quadratic time
            new[number] = another(number[0], "123456789", rng) + "".join(rng.choices(string.digits, k=len(number) - 1))
            continue
        low, high = (2, 9) if len(number) == 1 else (10 ** (len(number) - 1), 10 ** len(number) - 1)
        new[number] = str(rng.choice([low, high] if high - low > 10**6 else range(low, high + 1)))
        while new[number] == number:
            new[number] = str(rng.randint(low, high))
    return _NUMBER.sub(lambda hit: new[hit.group()], question)


def twins(item: Item, kind: str, count: int, seed: int = 0) -> list[Item]:
    """Up to `count` different twins of an item, with gold if it is known; [] if the item has no such twin.

    A function of the item and the seed alone. Raises ConfigError for an unknown kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"kind={kind!r} is no kind of twin; {near(kind, KINDS)}")
    rng = random.Random(seed_of("elicit.tasks.perturb", item.id, kind, seed))
    different: dict[float, Item] = {}
    for _ in range(_TRIES):
        if len(different) == count:
            break
        twin = _drawn(item, rng) if "family" in item.facts else _reworded(item, kind, rng)
        if twin is None:
            return []
        if share_of(twin.question) != share_of(item.question):
            different.setdefault(share_of(twin.question), twin)
    return list(different.values())


def _drawn(item: Item, rng: random.Random) -> Item | None:
    """Another formal problem of the same family, size and skin."""
    facts = item.facts
    problem = FORMAL[facts["family"]].problem(rng, facts["size"], facts["skin"])
    new = {**problem.facts, **{key: facts[key] for key in ("family", "size", "skin")}}
    plain = json.loads(json.dumps(new))  # tuples become lists, as in saved items
    return make_item(item.task, item.split, problem.question, problem.answer, item.cluster, plain)


def _reworded(item: Item, kind: str, rng: random.Random) -> Item | None:
    question = (renamed if kind == "renamed" else renumbered)(item.question, rng)
    if question is None:
        return None
    # a renumbered problem has another answer, which is unknown
    twin = make_item(item.task, item.split, question, item.gold or "", item.cluster)
    return twin if kind == "renamed" else replace(twin, gold=None)


@dataclass(frozen=True)
class Perturbed(Lazy):
    """A task whose test items are twins of another task's; training and dev items are that task's own."""

    of: Any
    """the task"""
    kind: str = "renamed"
    """renamed | renumbered (formal tasks only: for other tasks the gold is unknown)"""
    seed: int = 0

    def __post_init__(self) -> None:
        checked(self, one_of={"kind": KINDS}, label="twin")

    @property
    def _task(self) -> Task:
        return self.of

    @property
    def name(self) -> str:
        return f"{self._task.name}-{self.kind}"

    @property
    def prompts(self) -> dict[str, PromptFormat]:
        return self._task.prompts

    @property
    def keys(self) -> dict[str, PromptFormat]:
        return self._task.keys

    @property
    def stop(self) -> StopRules:
        return self._task.stop

    @property
    def has_validator(self) -> bool:
        return self._task.has_validator

    def splits(self) -> tuple[str, ...]:
        return self._task.splits()

    def items(self, split: str, limit: int | None = None, seed: int = 0) -> list[Item]:
        """Twins of the test items that have one with gold; the task's own items of every other split.

        Raises ConfigError if no test item has a twin with gold.
        """
        if split != "test":
            return self._task.items(split, limit, seed)
        originals = {share_of(item.question) for other in ("train", "dev", "test") for item in self._task.items(other)}
        test_twins: list[Item] = []
        for item in self._task.items("test"):
            fresh = [twin for twin in twins(item, self.kind, 3, self.seed) if share_of(twin.question) not in originals]
            test_twins += [twin for twin in fresh[:1] if twin.gold is not None]
        if not test_twins:
            raise ConfigError(f"task {self._task.name}: no {self.kind} twin with a known answer; take another kind")
        return subset(test_twins, limit, seed)

    def grade(self, item: Item, text: str, finished: bool) -> Judgement:
        return self._task.grade(item, text, finished)

    @property
    def grade_quick(self) -> Any:
        return getattr(self._task, "grade_quick", self._task.grade)

    def extract(self, text: str, finished: bool) -> Answer:
        return self._task.extract(text, finished)

    def answer_class(self, answer: str) -> str:
        return self._task.answer_class(answer)

    def answer_span(self, text: str) -> tuple[int, int] | None:
        return self._task.answer_span(text)

    def gold_completion(self, item: Item) -> str:
        return self._task.gold_completion(item)

    def corrupted_completion(self, item: Item) -> str:
        return self._task.corrupted_completion(item)

    def validate(self, item: Item, text: str) -> Violation | None:
        return self._task.validate(item, text)
