"""Generated small arithmetic: golds agree with Python's own arithmetic, splits are disjoint, validators see errors."""

import re
from fractions import Fraction

import pytest

from elicit.errors import ConfigError
from elicit.tasks.natural.small_math import FAMILIES, ONE_STEP, TWO_STEP, SmallMath, spoken
from elicit.tasks.selfcheck import check

SMALL = {"n_train": 60, "n_dev": 20, "n_test": 20}


def made(family: str, **more) -> SmallMath:
    return SmallMath(family=family, **SMALL, **more)


def every_item(task: SmallMath) -> list:
    return [item for split in task.splits() for item in task.items(split)]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_proves_itself_and_no_question_is_in_two_splits(family):
    task = made(family)
    assert check(task, 15) == 45
    questions = [item.question for item in every_item(task)]
    assert len(set(questions)) == len(questions) == 100
    assert not {question for question, _ in task.prompts["few_shot"].exemplars} & set(questions)


@pytest.mark.parametrize("operands", [2, 3, 5])
def test_golds_of_symbols_are_those_of_python(operands):
    for item in every_item(made("symbols", operands=operands)):
        expression = re.search(r"\d[\d +*-]*\d", item.question).group()
        assert item.gold == str(eval(expression))
        assert len(re.findall(r"\d+", expression)) == operands


def test_golds_of_words_are_those_of_their_numbers_read_back():
    numbers = {spoken(number): str(number) for number in range(1000)}
    assert len(numbers) == 1000
    for item in every_item(made("words", largest=999)):
        said = re.sub(r"^(What is|Calculate|Work out|Find the value of|How much is) |[?.]$", "", item.question)
        parts = re.split(r" (plus|minus|times) ", said)
        symbols = {"plus": "+", "minus": "-", "times": "*"}
        assert item.gold == str(eval(" ".join(symbols.get(part) or numbers[part] for part in parts)))


def test_the_larger_decimal_is_the_larger_fraction_and_not_the_longer_string():
    surprising = 0
    for item in every_item(made("compare")):
        first, second = (Fraction(number) for number in re.findall(r"\d+\.\d+", item.question))
        wanted = max(first, second) if "larger" in item.question else min(first, second)
        assert Fraction(item.gold) == wanted
        longer = max(re.findall(r"\d+\.\d+", item.question), key=len)
        surprising += ("larger" in item.question) == (longer != item.gold)
    assert 10 < surprising < 90


@pytest.mark.parametrize(("family", "stories"), [("one_step", ONE_STEP), ("two_step", TWO_STEP)])
def test_every_story_is_drawn_and_its_solution_is_right_and_uses_its_numbers(family, stories):
    task = SmallMath(family=family, n_train=600, n_dev=20, n_test=20)
    patterns = [re.compile(re.sub(r"\\\{\w+\\\}", r"[\\w]+", re.escape(story.text))) for story in stories]
    counts = [0] * len(stories)
    for item in task.items("train"):
        for step in item.facts["steps"]:
            left, right = step.rstrip(".").split(" = ")
            assert Fraction(eval(left)) == int(right)
        assert item.facts["steps"][-1].endswith(f" = {item.gold}.") and int(item.gold) > 0
        used = set(re.findall(r"\d+", " ".join(item.facts["steps"])))
        assert set(re.findall(r"\d+", item.question)) <= used
        counts = [n + bool(pattern.fullmatch(item.question)) for n, pattern in zip(counts, patterns, strict=True)]
    assert min(counts) > 600 / len(stories) / 3


def test_the_validator_passes_the_worked_solution_and_names_a_wrong_result():
    task = made("two_step")
    item = task.items("test")[0]
    assert task.validate(item, task.gold_trace(item)) is None
    step = item.facts["steps"][0]
    left, right = step.rstrip(".").split(" = ")
    wrong = task.gold_trace(item).replace(step, f"{left} = {int(right) + 1}.", 1)
    assert task.validate(item, wrong).kind == "wrong_result"


def test_another_generator_seed_gives_other_items_and_the_same_seed_the_same():
    ids = [{item.id for item in every_item(made("two_step", generator_seed=seed))} for seed in (0, 0, 1)]
    assert ids[0] == ids[1]
    assert len(ids[0] & ids[2]) < 10


def test_wrong_settings_are_named():
    with pytest.raises(ConfigError, match=r"two_stepp.*two_step"):
        SmallMath(family="two_stepp")
    with pytest.raises(ConfigError, match="operands=9"):
        SmallMath(operands=9)
    with pytest.raises(ConfigError, match="train items asked for"):
        SmallMath(family="symbols", largest=10, n_train=20_000).items("train")
