"""Verdicts on answers as people and base models write them, by kind: right ones, and wrong ones that look right."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from elicit.tasks.grading import declaration, verify
from elicit.tasks.natural.gsm8k import Gsm8k
from elicit.tasks.natural.jsonl import Jsonl
from elicit.tasks.task import make_item

PATH = Path(__file__).parents[1] / "fixtures" / "answers.jsonl"
ROWS = [json.loads(line) for line in PATH.read_text(encoding="utf-8").splitlines()]
GROUPS = sorted({row["group"] for row in ROWS})
ONE_CLASS = ("number", "unit", "letters", "set", "option", "word", "explanation", "wording", "bare")


def judged(row: dict):
    return Jsonl(answers=row["kind"]).grade(make_item("t", "test", "", row["gold"]), row["output"], row["finished"])


def test_the_table_covers_every_kind_of_answer():
    assert len(ROWS) >= 150 and set(verify.KINDS) == {row["kind"] for row in ROWS}
    wanted = (
        "matrix letters number interval set list equation expression unit explanation bare rambling option word text"
    )
    counts = Counter(row["group"] for row in ROWS)
    assert all(counts[group] >= 5 for group in wanted.split()), counts
    assert sum(not row["strict"] for row in ROWS) > len(ROWS) / 3


@pytest.mark.parametrize("group", GROUPS)
def test_every_verdict_of_the_table_holds(group: str):
    for row in (row for row in ROWS if row["group"] == group):
        found = judged(row)
        assert (found.strict, found.lenient, found.first) == (row["strict"], row["lenient"], row["first"]), (row, found)


def test_right_answers_are_one_class_with_their_gold():
    for row in (row for row in ROWS if row["strict"] and row["group"] in ONE_CLASS):
        if row["gold"] != "10!":
            assert judged(row).answer_class == verify.answer_class(row["kind"], row["gold"]), row


def test_the_strict_answer_begins_with_the_span():
    for row in (row for row in ROWS if row["strict"]):
        start, end = Jsonl(answers=row["kind"]).answer_span(row["output"])
        assert judged(row).answer.startswith(row["output"][start:end].strip()), row


@pytest.mark.parametrize(
    ("kind", "output", "span"),
    [
        ("number", "The answer is 18 dollars per day at the farmers' market.", "18"),
        ("number", "So it is 18. The answer is 48 + 24 = 72 clips, which is right.", "72"),
        ("number", "The answer is that she sold 72 clips.", "72"),
        ("option", "The answer is (C), because (A) is wrong.", "(C)"),
        ("option", "**Answer: D**", "D"),
        ("word", "So the answer is not ( False ) = True.", "True"),
        ("math", "The answer is $x^2+1$, as shown above.", "$x^2+1$"),
        ("math", "Hence \\boxed{\\frac{1}{2}} of it.", "\\frac{1}{2}"),
    ],
)
def test_the_span_is_the_value_inside_of_the_declaration(kind: str, output: str, span: str):
    start, end = Jsonl(answers=kind).answer_span(output)
    assert output[start:end] == span


def test_the_first_reading_is_the_first_complete_declaration_whatever_follows_it():
    rambling = " The answer is 45." + " And so it goes on and on." * 20
    found = Jsonl(answers="number").grade(make_item("t", "test", "", "45"), rambling, False)
    assert (found.strict, found.lenient, found.first, found.first_answer) == (False, False, True, "45")
    found = Jsonl(answers="number").grade(
        make_item("t", "test", "", "46"), " The answer is 45. The answer is 46.", True
    )
    assert (found.strict, found.first, found.first_answer) == (True, False, "45")
    assert declaration.first("number", " The answer is 4", False) is None


def test_a_human_solution_and_its_declarations_are_read():
    steps = "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nNatalia sold 48+24 = <<48+24=72>>72 clips altogether.\n"
    for end in ("#### 72", "A: 72", "The answer is 72."):
        found = Gsm8k().grade(make_item("gsm8k", "test", "", "72"), steps + end, True)
        assert (found.strict, found.lenient, found.first) == (True, True, True)
        assert not Gsm8k().grade(make_item("gsm8k", "test", "", "24"), steps + end, True).strict
