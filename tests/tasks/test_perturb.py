"""Laws of twins: one thing changes, consistently; gold only if it is known; test items only."""

from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elicit.errors import ConfigError
from elicit.tasks.formal.task import FormalTask
from elicit.tasks.natural.gsm8k import Gsm8k
from elicit.tasks.perturb import Perturbed, names_in, renamed, renumbered, twins
from elicit.tasks.selfcheck import check
from elicit.tasks.task import make_item

TEXT = "Julie has 12 apples and John has 3. In May Julie's sister Yasna gave John 12 more, for $1,250.50 in 2.5 hours."


def test_people_are_renamed_consistently_and_nothing_else_changes() -> None:
    assert names_in(TEXT) == ["Julie", "John", "Yasna"]
    new = renamed(TEXT, random.Random(0))
    assert new is not None and not re.search("Julie|John|Yasna", new) and "May" in new and "12 apples" in new
    back = names_in(new)
    assert len(back) == 3 and new.replace(back[0], "Julie").replace(back[1], "John").replace(back[2], "Yasna") == TEXT
    assert renamed("Every bag holds 3 rolls. How many are in 4 bags?", random.Random(0)) is None


def test_numbers_are_renumbered_consistently_with_as_many_digits() -> None:
    new = renumbered(TEXT, random.Random(0))
    assert new is not None
    twelve, three, again = re.search(r"has (\d+) apples and John has (\d+).*gave John (\d+) more", new).groups()  # type: ignore[union-attr]
    assert twelve == again != "12" and three != "3" and (len(twelve), len(three)) == (2, 1)
    assert "$1,250.50" in new and "2.5 hours" in new
    assert renumbered("How many?", random.Random(0)) is None


def test_twins_are_a_function_of_the_item_and_differ_from_it() -> None:
    item = make_item("t", "test", TEXT, "27", "c")
    for kind in ("renamed", "renumbered"):
        found = twins(item, kind, 4)
        assert [t.question for t in found] == [t.question for t in twins(item, kind, 4)]
        assert len({t.question for t in found} | {TEXT}) == 5 and all(t.cluster == "c" for t in found)
        assert [t.question for t in twins(item, kind, 4, seed=1)] != [t.question for t in found]
    assert all(t.gold == "27" for t in twins(item, "renamed", 2))
    assert all(t.gold is None for t in twins(item, "renumbered", 2))
    assert twins(make_item("t", "test", "How many?", "1"), "renamed", 2) == []
    with pytest.raises(ConfigError, match="did you mean renamed"):
        twins(item, "rename", 1)


def test_a_formal_twin_is_another_draw_with_its_own_gold() -> None:
    task = FormalTask("chain", n_train=20, n_dev=10, n_test=10)
    for item in task.items("test"):
        for twin in twins(item, "renumbered", 2):
            assert twin.question != item.question
            assert [twin.facts[k] for k in ("family", "size", "skin")] == [
                item.facts[k] for k in ("family", "size", "skin")
            ]
            assert json.loads(json.dumps(twin.facts)) == twin.facts
            assert task.grade(twin, task.gold_completion(twin), True).strict is True


def test_the_perturbed_task_proves_itself_and_shares_no_test_item() -> None:
    task = FormalTask("walk", n_train=40, n_dev=20, n_test=20)
    twin = Perturbed(task, "renumbered")
    assert check(twin, 10) > 0 and twin.name == "walk-renumbered"
    assert twin.items("train") == task.items("train")
    own = {item.question for split in ("train", "dev", "test") for item in task.items(split)}
    assert not own & {item.question for item in twin.items("test")}
    assert [i.id for i in twin.items("test", 5)] == [i.id for i in twin.items("test", 5)]


def test_without_a_known_answer_there_is_nothing_to_evaluate_on() -> None:
    class Two(Gsm8k):
        def load(self):
            made = [make_item("gsm8k", split, f"{TEXT} {split}", "27") for split in ("train", "dev", "test")]
            return {item.split: [item] for item in made}

    assert len(Perturbed(Two(), "renamed").items("test")) == 1
    with pytest.raises(ConfigError, match="known answer"):
        Perturbed(Two(), "renumbered").items("test")
    with pytest.raises(ConfigError, match=r"twin: kind=.paraphrased.: known: "):
        Perturbed(Two(), "paraphrased")


LONG = 1_000_000
"""characters: a pattern of quadratic cost takes 10^12 steps, so that it ends in no test"""


@pytest.mark.parametrize("piece", ["\n", " ", "7", "7,", ". ", "Anna ", "\nAnna", "A", "Ab7 ", "a", '"Yasna" '])
def test_twins_of_a_million_characters_are_made_in_linear_time(piece: str) -> None:
    text = f"b{piece * (LONG // len(piece))}b and Yasna has 12."
    assert "Yasna" in names_in(text) or piece == "A"
    new = renamed(text, random.Random(0))
    assert new is not None and new != text
    assert len(renumbered(text, random.Random(0)) or "") == len(text)


def test_a_number_of_any_length_becomes_another_of_that_length() -> None:
    for digits in (1, 2, 6, 7, 99, 100, 101, 5_000, 100_000):
        for number in ("9" * digits, "1" + "0" * (digits - 1)):
            new = renumbered(f"Is {number} prime?", random.Random(0))
            found = re.fullmatch(r"Is ([1-9]\d*) prime\?", new or "")
            assert found and len(found[1]) == digits and found[1] != number


@given(st.lists(st.sampled_from([*" \n.:!\"'(,", "Yasna", "Anna", "The", "b", "\x1f", "É"]), max_size=12).map("".join))
def test_names_are_those_of_the_grammar(text: str) -> None:
    """The grammar as one pattern per word, which is quadratic: a sentence begins with no name, unless it is listed."""
    begins = re.compile(r"(?:^|[.!?:\n]\s*|[\"'(])$")
    words = [(hit.group(), begins.search(text[: hit.start()])) for hit in re.finditer(r"[A-Z][a-z]{2,}\b", text)]
    expected = [word for word, first in words if word != "The" and (word == "Anna" or not first)]
    assert names_in(text) == list(dict.fromkeys(expected))
