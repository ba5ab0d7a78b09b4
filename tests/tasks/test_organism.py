"""The formal tasks: disjoint seeded splits, shift axes, prompts without the planted keys, one grader."""

import json

import pytest

from elicit.errors import ConfigError
from elicit.tasks.formal.family import OPENERS
from elicit.tasks.formal.task import FAMILIES, FormalTask
from elicit.tasks.selfcheck import check

SMALL = {"n_train": 60, "n_dev": 30, "n_test": 30}
REGISTERS = ("Source:", "seminar", "workbook", "forum", "quiz", "blog", "letters", "Password")


@pytest.fixture(params=sorted(FAMILIES))
def task(request):
    return FormalTask(request.param, **SMALL)


def test_a_formal_task_proves_itself(task):
    assert check(task, 10) == 60


def test_splits_share_no_question_at_full_size(task):
    full = FormalTask(task.family)
    questions = {split: {item.question for item in full.items(split)} for split in ("train", "dev", "test")}
    assert {split: len(found) for split, found in questions.items()} == {"train": 2000, "dev": 500, "test": 500}
    assert not questions["train"] & questions["dev"] | questions["train"] & questions["test"]
    assert not questions["dev"] & questions["test"]


def test_another_seed_gives_other_items_and_still_disjoint_splits():
    one, other = FormalTask("walk", **SMALL), FormalTask("walk", generator_seed=1, **SMALL)
    assert {i.id for i in one.items("test")} != {i.id for i in other.items("test")}
    assert not {i.id for i in one.items("train")} & {i.id for i in other.items("test")}


def test_the_shift_axes_shift_one_thing_each(task):
    assert {item.facts["size"] for item in task.items("test")} <= set(range(2, 9))
    assert {item.facts["size"] for item in task.items("test_length")} <= set(range(9, 13))
    assert {item.facts["family"] for item in task.items("test_task")}.isdisjoint({task.family})
    skins = FAMILIES[task.family].skins
    assert {item.facts["skin"] for item in task.items("test_format")} == {skins[1]}
    assert {item.facts["skin"] for item in task.items("test_length")} == {skins[0]}


def test_a_limit_is_a_seeded_nested_subset_in_order(task):
    everything = [item.id for item in task.items("train")]
    ten, twenty = ([item.id for item in task.items("train", n)] for n in (10, 20))
    assert set(ten) < set(twenty) and ten == [item for item in everything if item in set(ten)]
    assert ten != [item.id for item in task.items("train", 10, seed=1)]


def test_items_do_not_depend_on_what_was_generated_before():
    one, other = FormalTask("add", **SMALL), FormalTask("add", **SMALL)
    other.items("test_length")
    assert one.items("test") == other.items("test")


def test_facts_survive_json_and_still_validate(task):
    item = task.items("test")[0]
    again = json.loads(json.dumps(item.facts))
    assert again == item.facts
    assert task.validate(item, task.gold_completion(item)) is None
    assert task.validate(item, f" The answer is {item.gold}.").kind == "no_trace"
    forced = task.gold_completion(item).removeprefix(f" {OPENERS[0]}")
    assert task.validate(item, forced) is None


def test_no_prompt_of_the_fixed_set_holds_a_planted_key(task):
    assert len(task.prompts) >= 6 and next(iter(task.prompts)) == "bare"
    for prompt in task.prompts.values():
        text = prompt.render("X?")
        assert not [word for word in (*OPENERS, *REGISTERS) if word in text], prompt.name
    assert task.keys["forced"].render("X?") == "Question: X?\nAnswer: Working."
    assert task.keys["register"].render("X?") == "Source: seminar\nQuestion: X?\nAnswer:"
    assert not set(task.keys) & set(task.prompts)


def test_few_shot_exemplars_are_direct_and_of_the_training_split(task):
    shots = task.prompts["few_shot"].exemplars
    held = {item.question for split in ("dev", "test") for item in FormalTask(task.family).items(split)}
    assert len(shots) == 3 and not held & {question for question, _ in shots}
    assert all(answer.startswith("The answer is") for _, answer in shots)


def test_digits_with_blanks_are_one_answer():
    task = FormalTask("add")
    assert task.answer_class("1 4 3") == task.answer_class("143") == task.answer_class("14 3") == "143"
    assert task.answer_class("Up") == task.answer_class("up") == "up"


def test_the_answer_span_is_the_stated_answer(task):
    item = task.items("test")[0]
    text = task.gold_completion(item)
    start, end = task.answer_span(text)
    assert text[start:end] == item.gold
    assert task.answer_span(" nothing stated") is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"family": "chian"}, "did you mean chain"),
        ({"cluster_by": "x"}, "cluster_by"),
        ({"max_size": 10}, "sizes 2-10"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        FormalTask(**settings)


def test_an_unknown_split_names_the_known_ones(task):
    with pytest.raises(ConfigError, match="did you mean test"):
        task.items("tset")


def test_a_space_too_small_for_the_wanted_items_is_an_error():
    with pytest.raises(ConfigError, match=r"only \d+ different ones"):
        FormalTask("chain", min_size=2, max_size=2, n_dev=3000).items("dev")
