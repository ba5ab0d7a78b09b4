"""What is read without Math-Verify is what Math-Verify reads."""

from __future__ import annotations

import random
import re

import pytest

from elicit.tasks.grading import loose
from elicit.tasks.grading.equivalence import TooLarge, guard, parse_box, parse_symbolic

SAYINGS = (
    "The answer is {}", "the answer is: {}", "Answer: {}", "so {} + {} = {}", "({} - {})/2", "it costs ${}",
    "{} apples", "= {}", "{} percent", "final answer is {}. I hope it is right", "The final answer, he says, is {}",
    "**{}**", "\n{}\n", "#### {}", "{}/{}", "- {}", "{}^2", "{} × {} ÷ 3", "and so on", "€{}", "a {}.", "is {}!",
    "answer = {} = {}", "A{}B", "{}m2", "=**{}**", "Final Answer: The final answer is {}.", "[{}]", "${} and ${}",
)  # fmt: skip
NUMBERS = ("7", "-5", "0", "007", ".5", "1 234", "3,5", "1,2,3", "12,34", "1,200", "54321", "2.50")
AROUND = (
    "the final answer is ", "Final answer: ", "The answer is ", "$", "$$", "\\(", "\\)", "\\[", "\\]", " [", "] ",
    " and ", "\n", "x = ", " is 5 ", "$\\frac{1}{2}$", "\\frac{3}{4}", "percent", "12", " I hope it is right.", ".",
    "{", "}", "or $7$", " = 3",
)  # fmt: skip
BOXES = (
    "x+1", "\\frac{1}{2}", "5", "\\text{Mary}", "1,2", "[1,2)", "\\{1,2\\}", "x=5", "\\cos x", "5 apples", "foo &&",
    "5^\\circ", "", " 7 ", "{a}", "}", "\\sqrt{2", "\\infty", "foo 5 bar", "answer 5",
)  # fmt: skip


def allowed(text: str) -> bool:
    try:
        guard(text)
    except TooLarge:
        return False
    return True


@pytest.mark.parametrize("seed", range(4))
def test_a_number_among_words_is_the_one_that_math_verify_reads(seed: int) -> None:
    rng, seen = random.Random(seed), 0
    for _ in range(150):
        parts = [re.sub(r"\{\}", lambda _: rng.choice(NUMBERS), rng.choice(SAYINGS)) for _ in range(rng.randint(1, 6))]
        text = rng.choice([" ", "\n", ". ", ""]).join(parts)[-300:]
        written = loose.number(text)
        if written is not None and allowed(text):
            seen += 1
            found = parse_symbolic(text)
            assert written == (str(found[-1]) if found else ""), text
    assert seen > 60


@pytest.mark.parametrize("seed", range(4))
def test_a_box_is_read_alone_as_it_is_among_its_surroundings(seed: int) -> None:
    rng, seen = random.Random(seed), 0
    for _ in range(150):
        before, after = ("".join(rng.choices(AROUND, k=rng.randint(0, most))) for most in (6, 3))
        text = f"{before}\\boxed{{{rng.choice(BOXES)}}}{after}"[-300:]
        said = loose.box(text)
        if said is not None and allowed(text) and (alone := parse_box(said)):
            seen += 1
            assert parse_symbolic(text) == alone, text
    assert seen > 30


def test_what_a_formula_or_another_box_could_change_is_left_to_math_verify() -> None:
    assert loose.number("It is $x$ or $5$.") is None and loose.number("\\frac{1}{2}") is None
    for text in (
        "\\boxed{1} \\boxed{2}", "\\boxed{5", "\\boxed{} 5", "\\boxed{50} percent", "$\\boxed{5$}",
        "\\fbox{4} \\boxed{5}", "the final answer is $7$ \\boxed{5}", "[ \\boxed{{a} ] b}",
    ):  # fmt: skip
        assert loose.box(text) is None, text
