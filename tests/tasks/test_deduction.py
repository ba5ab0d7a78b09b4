"""Laws of the deductions: the answer is what follows, distractors decide nothing, the first invalid step is named."""

from __future__ import annotations

import random
import re

import pytest

from elicit.errors import ConfigError
from elicit.tasks.formal.deduction import FAMILY, PROPERTIES, read_claim
from elicit.tasks.formal.family import KINDS, first_violation, render_trace
from elicit.tasks.formal.task import FormalTask
from elicit.tasks.selfcheck import check

FACTS = {
    "name": "Sam", "kind": "wumpus", "ask": [True, "red"], "place": 0,
    "rules": [["wumpus", True, "tumpus"], ["tumpus", False, "red"], ["impus", True, "lorpus"], ["lorpus", True, "red"]],
}  # fmt: skip
FIRST = "Sam is a wumpus, every wumpus is a tumpus, so Sam is a tumpus."
SECOND = "Sam is a tumpus, every tumpus is not red, so Sam is not red."


def problems(count: int = 60):
    rng = random.Random("deduction")
    return [FAMILY.problem(rng, rng.randint(1, 8), rng.choice(FAMILY.skins)) for _ in range(count)]


def entailed(question: str) -> str:
    """The answer read from the question, by forward chaining until no fact is new."""
    *told, ask = [part.strip() for part in re.split(r"(?<=\.)\s", question)]
    claims = [claim for claim in map(read_claim, [sentence.rstrip(".") for sentence in told]) if claim]
    assert len(claims) == len(told)
    known = {(c.what, c.positive) for c in claims if not c.rule}
    while True:
        more = {(c.what, c.positive) for c in claims if c.rule and (c.subject, True) in known} - known
        if not more:
            break
        known |= more
    asked = read_claim(re.sub(r"^(true or false:|is it true or false that)", "", ask.casefold()).strip(" ?"))
    assert asked is not None
    return "true" if (asked.what, asked.positive) in known else "false"


def fault(steps: list[str], answer: str = "false"):
    found = first_violation(FAMILY, FACTS, render_trace(steps, answer))
    return (found.step, found.kind) if found else None


def test_the_answer_is_what_follows_from_the_question() -> None:
    for problem in problems():
        assert problem.answer == entailed(problem.question)
        assert len(problem.steps) == problem.size
        assert first_violation(FAMILY, problem.facts, render_trace(problem.steps, problem.answer)) is None


def test_half_of_the_answers_are_true_and_the_property_is_stated_both_ways() -> None:
    found = problems(400)
    assert 0.42 < sum(problem.answer == "true" for problem in found) / len(found) < 0.58
    for problem in found:
        what = problem.facts["ask"][1]
        signs = {sign for _, sign, told in problem.facts["rules"] if told == what}
        assert what in PROPERTIES and signs == {True, False}


def test_a_proof_may_be_written_in_the_wording_of_the_paper() -> None:
    steps = [
        "Sam is a wumpus.",
        "All wumpuses are tumpuses.",
        "Sam is a tumpus.",
        "Each tumpus is not red.",
        "Sam is not red.",
    ]
    assert fault(steps) is None
    assert fault(["Sam is a wumpus and every wumpus is a tumpus, therefore Sam is a tumpus.", SECOND]) is None


def test_a_valid_step_that_is_not_needed_is_no_fault() -> None:
    assert fault(["Every impus is a lorpus.", FIRST, "Every lorpus is red.", FIRST, SECOND]) is None


@pytest.mark.parametrize(
    ("steps", "place", "kind"),
    [
        (["Sam is a wumpus, every wumpus is an impus, so Sam is an impus.", SECOND], 0, "wrong_premise"),
        ([SECOND, FIRST], 0, "broken_link"),
        ([FIRST, "Sam is a lorpus, every lorpus is red, so Sam is red."], 1, "broken_link"),
        ([FIRST, "Sam is a tumpus, every tumpus is not red, so Sam is red."], 1, "wrong_result"),
        ([FIRST, "So Sam is a lorpus."], 1, "unsupported"),
        (["So Sam is not red."], 0, "unsupported"),
        ([FIRST, "Well, let me think."], 1, "unreadable"),
        ([FIRST, FIRST], 2, "missing_step"),
    ],
)
def test_the_first_invalid_step_is_named(steps: list[str], place: int, kind: str) -> None:
    assert fault([FIRST, SECOND]) is None
    assert fault(steps) == (place, kind) and kind in KINDS


def test_a_conclusion_against_the_proof_is_named() -> None:
    assert fault([FIRST, SECOND], "true") == (2, "wrong_conclusion")
    assert fault([FIRST, SECOND], "False") is None


def test_a_left_out_step_is_called_left_out() -> None:
    found = first_violation(FAMILY, FACTS, render_trace(["So Sam is not red."], "false"))
    assert found is not None and "steps are left out" in found.message


def test_both_skins_state_the_same_rules() -> None:
    plain, reworded = (FAMILY.problem(random.Random(3), 4, skin) for skin in FAMILY.skins)
    assert plain.facts == reworded.facts and plain.question != reworded.question
    assert entailed(plain.question) == entailed(reworded.question)


def test_the_task_proves_itself_on_all_its_splits() -> None:
    task = FormalTask("deduction", max_size=5, long_sizes=(6, 8), n_train=60, n_dev=30, n_test=30)
    assert check(task, 10) == 60
    assert {item.facts["skin"] for item in task.items("test_format")} == {"reworded"}
    assert {item.facts["family"] for item in task.items("test_task")} == {"walk"}


def test_more_steps_than_there_are_words_for_is_an_error() -> None:
    with pytest.raises(ConfigError, match="size 99"):
        FAMILY.problem(random.Random(0), 99)
