"""Laws of the words after a command: names, settings with defaults, overrides; one wording for all faults."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

from elicit.commands.arguments import ALL, MANY, Command
from elicit.commands.words import WORDS
from elicit.errors import ConfigError

MEASURE = Command("measure GROUP: name one comparison", {"root": "runs", "n": "4", "share": "0.5", "save": "false"})


@pytest.mark.parametrize("word", WORDS)
def test_every_command_of_the_table_is_a_function_of_its_words(word: str) -> None:
    module, _, function = WORDS[word].partition(":")
    command = getattr(importlib.import_module(f"elicit.commands.{module}"), function)
    assert len(inspect.signature(command).parameters) == 1


def test_what_is_not_given_has_its_default() -> None:
    given = MEASURE.read(["g", "n=8"])
    assert (given.names, given["n"], given.integer("n"), given.path("root")) == (("g",), "8", 8, Path("runs"))
    assert given.explicit == {"n"} and given.number("share") == 0.5 and not given.flag("save")
    assert all(MEASURE.read(["g", f"save={text}"]).flag("save") for text in ("true", "True", "1", "yes"))


def test_every_unknown_setting_is_named_with_its_near_match() -> None:
    with pytest.raises(ConfigError, match=r"rot: no such setting here; did you mean root\?; shre: .* share"):
        MEASURE.read(["g", "rot=x", "shre=1"])


@pytest.mark.parametrize("words", [[], ["a", "b"], ["n=3"]])
def test_names_that_do_not_fit_print_the_usage(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="elicit measure GROUP: name one comparison"):
        MEASURE.read(words)


def test_a_command_without_names_names_the_stray_one() -> None:
    with pytest.raises(ConfigError, match="elicit check stray: it takes no names"):
        Command("check: it takes no names", names=0).read(["stray"])


def test_many_names_keep_their_order() -> None:
    assert Command("compare", names=MANY).read(["b", "a", "b"]).names == ("b", "a", "b")


def test_overrides_are_handed_on_in_their_order_and_unread() -> None:
    grade = Command("grade FILE", {"output": "text"}, overrides=("task",))
    given = grade.read(["f", "task=math", "output=json", "task.path=a=b"])
    assert given.overrides == ("task=math", "task.path=a=b") and given["output"] == "json"
    with pytest.raises(ConfigError, match="model: no such setting"):
        grade.read(["f", "model=x"])
    assert Command("c", names=0, overrides=(ALL,)).read(["model=x", "eval.n=3"]).overrides == ("model=x", "eval.n=3")


@pytest.mark.parametrize("text", ["many", "1.5", ""])
def test_a_number_that_is_none_is_a_fault_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=f"n={text}: whole numbers, such as n=4"):
        MEASURE.read(["g", f"n={text}"]).integer("n")


def test_lists_of_numbers_are_read_with_and_without_brackets() -> None:
    assert all(MEASURE.read(["g", f"n={text}"]).integers("n") == (1, 2) for text in ("1,2", "[1,2]", "(1,2)"))
    with pytest.raises(ConfigError, match="whole numbers, such as n=1,2,3"):
        MEASURE.read(["g", "n=1,x"]).integers("n")
