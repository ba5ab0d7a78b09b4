"""Twins of evaluation items: the same problem with other names, or with other numbers.

    renamed      people get other first names, everywhere alike; the answer stays      (words)
    renumbered   every number becomes another one with as many digits; the answer is unknown   (words)
                 another problem of the same family, size and wording, with its gold            (formal tasks)

A checkpoint that has read an item finds it likelier than its twins; one that has not should not care. On formal
tasks original and twins are draws of one distribution, so the comparison is exact. In words the replacements are
less natural than what an author wrote: a difference then is a hint and no proof. `Perturbed` is a task whose test
items are twins with gold, so that a gain can be repeated on them. Knows no model.
"""

from __future__ import annotations

import calendar
import random
import re
from dataclasses import dataclass, replace
from typing import Any

from elicit.errors import ConfigError, near
from elicit.files import seed_of
from elicit.records import Item
from elicit.tasks.formal.family import Violation
from elicit.tasks.formal.task import FORMAL
from elicit.tasks.splits import Lazy, share_of, subset
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
_TRIES = 500


def names_in(question: str) -> list[str]:
    """First names of a question: known ones anywhere, other capitalised words where they do not begin a sentence."""
    found: dict[str, None] = {}
    for hit in _WORD.finditer(question):
        inside = not re.search(r"(?:^|[.!?:\n]\s*|[\"'(])$", question[: hit.start()])
        if hit.group() not in _NO_NAMES and (inside or hit.group() in HERS + HIS):
            found.setdefault(hit.group())
    return list(found)


def renamed(question: str, rng: random.Random) -> str | None:
    """The question with other first names, or None where it names nobody. Known names keep their pronouns."""
    names = names_in(question)
    if not names:
        return None
    free = {pool: [name for name in pool if name not in names] for pool in (HERS, HIS)}
    for pool in free.values():
        rng.shuffle(pool)
    new = {name: free[HIS if name in HIS else HERS].pop() for name in names[:12]}
    return re.sub(rf"\b(?:{'|'.join(map(re.escape, new))})\b", lambda hit: new[hit.group()], question)


def renumbered(question: str, rng: random.Random) -> str | None:
    """The question with other whole numbers, equal ones alike and none of them kept; None where it has none."""
    numbers = list(dict.fromkeys(_NUMBER.findall(question)))
    if not numbers:
        return None
    new = {}
    for number in numbers:
        low, high = (2, 9) if len(number) == 1 else (10 ** (len(number) - 1), 10 ** len(number) - 1)
        new[number] = str(rng.choice([low, high] if high - low > 10**6 else range(low, high + 1)))
        while new[number] == number:
            new[number] = str(rng.randint(low, high))
    return _NUMBER.sub(lambda hit: new[hit.group()], question)


def twins(item: Item, kind: str, count: int, seed: int = 0) -> list[Item]:
    """Up to `count` different twins of an item, gold where it is known; [] where the item can't be changed so.

    A function of the item and the seed alone. Raises ConfigError for an unknown kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"kind={kind!r} is no kind of twin; {near(kind, KINDS)}")
    rng = random.Random(seed_of("elicit.tasks.perturb", item.id, kind, seed))
    found: dict[float, Item] = {}
    for _ in range(_TRIES):
        if len(found) == count:
            break
        twin = _drawn(item, rng) if "family" in item.facts else _reworded(item, kind, rng)
        if twin is None:
            return []
        if share_of(twin.question) != share_of(item.question):
            found.setdefault(share_of(twin.question), twin)
    return list(found.values())


def _drawn(item: Item, rng: random.Random) -> Item | None:
    """Another formal problem of the same family, size and skin."""
    facts = item.facts
    problem = FORMAL[facts["family"]].problem(rng, facts["size"], facts["skin"])
    told = {**problem.facts, **{key: facts[key] for key in ("family", "size", "skin")}}
    return make_item(item.task, item.split, problem.question, problem.answer, item.cluster, _plain(told))


def _reworded(item: Item, kind: str, rng: random.Random) -> Item | None:
    question = (renamed if kind == "renamed" else renumbered)(item.question, rng)
    if question is None:
        return None
    # renumbered: the answer is another one, and nobody knows it
    twin = make_item(item.task, item.split, question, item.gold or "", item.cluster)
    return twin if kind == "renamed" else replace(twin, gold=None)


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    import json

    return json.loads(json.dumps(facts))


@dataclass(frozen=True)
class Perturbed(Lazy):
    """A task whose test items are twins of another task's; training and dev items are that task's own."""

    of: Any
    """the task"""
    kind: str = "renamed"
    """renamed | renumbered (formal tasks only: elsewhere the gold is unknown)"""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"kind={self.kind!r} is no kind of twin; {near(self.kind, KINDS)}")

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
        return getattr(self._task, "keys", {})

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

        Raises ConfigError where no test item has a twin with gold.
        """
        if split != "test":
            return self._task.items(split, limit, seed)
        known = {share_of(item.question) for own in ("train", "dev", "test") for item in self._task.items(own)}
        found = []
        for item in self._task.items("test"):
            fresh = [twin for twin in twins(item, self.kind, 3, self.seed) if share_of(twin.question) not in known]
            found += [twin for twin in fresh[:1] if twin.gold is not None]
        if not found:
            raise ConfigError(f"task {self._task.name}: no {self.kind} twin with a known answer; take another kind")
        return subset(found, limit, seed)

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
