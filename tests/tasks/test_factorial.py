"""The factorial of prompts: every cell differs from its neighbours in its factor alone."""

from __future__ import annotations

import re

import pytest

from elicit.errors import ConfigError
from elicit.tasks.factorial import LEVELS, FactorialSmallMath, FactorialTask, demonstrations
from elicit.tasks.formal.task import FormalTask
from elicit.tasks.natural.small_math import SmallMath

TASK = FactorialTask(n_train=10, n_dev=5, n_test=5)
CELLS = {name: prompt for name, prompt in TASK.prompts.items() if name.startswith("form_")}
ITEM = TASK.items("test")[0]


def swapped(name: str, factor: int) -> str:
    parts = name.split("_")
    parts[factor + 1] = next(level for level in LEVELS[factor] if level != parts[factor + 1])
    return "_".join(parts)


def words(name: str) -> list[str]:
    return re.findall(r"\S+", CELLS[name].render(ITEM.question))


def test_there_is_one_cell_per_combination_next_to_the_prompts_of_the_family() -> None:
    plain = FormalTask(n_train=10, n_dev=5, n_test=5)
    assert len(CELLS) == 16 and {*TASK.prompts} == {*plain.prompts, *CELLS} and TASK.name == plain.name
    assert TASK.items("test") == plain.items("test")


def test_every_cell_asks_the_question_and_ends_at_its_answer() -> None:
    for name, prompt in CELLS.items():
        text = prompt.render(ITEM.question)
        assert text.count(ITEM.question) == 1 and text.endswith("Answer:" if "_qa_" in name else "A:")
        assert (text.index(ITEM.question) < text.index("Working.")) == ("_after_" in name)


def test_position_and_validity_change_no_other_part() -> None:
    for name in CELLS:
        assert sorted(words(name)) == sorted(words(swapped(name, 2)))
        right, other = words(name), words(swapped(name, 3))
        assert len(right) == len(other) and right != other
        shorter = {"Question:": "Q:", "Answer:": "A:"}
        assert {*map(lambda word: shorter.get(word, word), words(name))} == {
            *map(lambda word: shorter.get(word, word), words(swapped(name, 0)))
        }


def test_wrong_demonstrations_have_no_right_step_and_end_at_their_own_last_one() -> None:
    for family in ("chain", "walk"):
        for (question, right), (asked, wrong) in zip(
            demonstrations(family, True), demonstrations(family, False), strict=True
        ):
            assert question == asked
            old, new = (re.findall(r"[^.]+\.", text)[1:-1] for text in (right, wrong))
            assert len(old) == len(new) and all(a != b for a, b in zip(old, new, strict=True))
            assert wrong.rstrip(".").split()[-1] == new[-1].rstrip(".").split()[-1]


def test_demonstrations_of_small_arithmetic_are_right_or_wrong_in_every_equation() -> None:
    task = FactorialSmallMath(family="two_step", other_family="one_step", n_train=10, n_dev=5, n_test=5)
    for family, steps in (("two_step", 2), ("one_step", 1)):
        for (question, right), (asked, wrong) in zip(
            task.demonstrations(family, True), task.demonstrations(family, False), strict=True
        ):
            assert question == asked
            for text, holds in ((right, True), (wrong, False)):
                equations = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)\.", text)
                assert len(equations) == steps
                for left, sign, other, value in equations:
                    a, b, c = int(left), int(other), int(value)
                    assert ({"+": a + b, "-": a - b, "*": a * b, "/": a / b}[sign] == c) is holds
                assert text.endswith(f" The answer is {equations[-1][3]}.")


def test_cells_of_small_arithmetic_come_next_to_its_own_prompts_and_change_no_item() -> None:
    sizes = {"n_train": 10, "n_dev": 5, "n_test": 40}
    task, plain = FactorialSmallMath(other_family="one_step", **sizes), SmallMath(**sizes)
    cells = [name for name in task.prompts if name.startswith("form_")]
    assert len(cells) == 16 and [name for name in task.prompts if name not in cells] == list(plain.prompts)
    assert task.items("test") == plain.items("test")
    shown = {question for family in ("two_step", "one_step") for question, _ in task.demonstrations(family, True)}
    assert not shown & {item.question for split in ("dev", "test") for item in task.items(split)}


def test_another_domain_has_to_be_another_family() -> None:
    for family in ("two_step", "chain"):
        with pytest.raises(ConfigError, match="other_family"):
            FactorialSmallMath(family="two_step", other_family=family)
