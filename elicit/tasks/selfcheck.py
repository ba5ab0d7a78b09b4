"""Checks a task without a model: it accepts its gold, rejects its corruption, and its splits are disjoint.

Tests run `check` on every task; the author of a plug-in runs it on theirs. What this module does not know: models,
pools.
"""

from __future__ import annotations

import dataclasses
import json

from elicit.errors import DataError
from elicit.records import Item
from elicit.tasks.task import Task

_NEXT = "\n\nQuestion: What is 1 + 1?\nAnswer: The answer is 2."


def check(task: Task, n: int = 50) -> int:
    """Check `n` items of every split; returns the number checked. Raises DataError with the item and its faults."""
    seen: dict[str, str] = {}
    checked = 0
    names = list(task.prompts)
    if len(names) < 6 or names[0] != "bare":
        raise DataError(f"{task.name}: prompts are {names}; rung B1 needs at least six, `bare` first")
    if any("{question}" not in prompt.template for prompt in task.prompts.values()):
        raise DataError(f"{task.name}: a prompt does not hold {{question}}")
    for split in task.splits():
        for item in task.items(split):
            if seen.setdefault(item.id, split) != split:
                raise DataError(f"{task.name}: item {item.id} is in {seen[item.id]} and in {split}")
        for item in task.items(split, limit=n):
            _item(task, item, split)
            checked += 1
    return checked


def _item(task: Task, item: Item, split: str) -> None:
    gold, corrupted = task.gold_completion(item), task.corrupted_completion(item)
    has_trace = task.has_validator and "family" in item.facts  # only these items come with a valid trace
    facts = {
        "its gold is not accepted": task.grade(item, gold, True).strict is True,
        "its corruption is not rejected": task.grade(item, corrupted, True).strict is False,
        "an unfinished output is strictly right": task.grade(item, gold, False).strict is False,
        "its gold is lost before a next question": task.grade(item, gold + _NEXT, True).strict is True,
        "an empty output is not wrong": task.grade(item, "", True).strict is False,
        "its split is another one": item.split == split,
        "its facts are no plain JSON": json.loads(json.dumps(item.facts)) == item.facts,
        "a row of it is not whole": item.gold is not None and dataclasses.replace(item) == item,
        "the validator finds fault with its gold": not has_trace or task.validate(item, gold) is None,
    }
    broken = [fault for fault, holds in facts.items() if not holds]
    if broken:
        raise DataError(f"{task.name}, {split} item {item.id} ({item.question[:60]!r}): {'; '.join(broken)}")
