"""Examples and rows for the tests of critique fine-tuning: chain problems with program critiques, no model."""

from __future__ import annotations

import random

from elicit.tasks.formal.task import FAMILIES, FormalTask
from elicit.tasks.review import correction
from methods.critique_ft.controls import Sources
from methods.critique_ft.records import Example


def chain_examples(problems: int = 12, each: int = 2, family: str = "chain") -> list[Example]:
    """`each` responses to each problem, right and wrong in turn, with the program's corrections."""
    task = FormalTask(family=family, n_train=problems)
    out = []
    for item in task.items("train"):
        for place in range(each):
            right = place % 2 == 0
            response = task.gold_completion(item) if right else task.corrupted_completion(item)
            critique = correction(task.gold_completion(item), right)
            out.append(Example(item.id, item.question, f"{response} Draw {place}.", critique, right))
    return out


def word_ids(text: str) -> tuple[int, ...]:
    """A token a word."""
    return tuple(hash(word) % 1000 for word in text.split())


SOURCES = Sources(tokenise=word_ids, traces=lambda right: [])


def steps_of(family: str, seed: int) -> tuple[object, list[str], object]:
    """(family, steps, facts) of one random problem."""
    rng = random.Random(seed)
    problem = FAMILIES[family].problem(rng, rng.randrange(2, 9))
    return FAMILIES[family], list(problem.steps), problem
