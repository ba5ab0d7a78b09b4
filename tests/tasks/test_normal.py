"""Where two expressions have normal forms, these decide as Math-Verify does."""

from __future__ import annotations

import random

import pytest

from elicit.tasks.grading import normal, verify
from elicit.tasks.grading.equivalence import TooLarge, compare, symbolic_equal

NUMBERS = ("1", "2", "3", "4", "8", "12", "0", "45")
EQUAL = (
    ("2x+3", "3 + 2x"), (r"\frac{x+1}{2}", r"\frac{1}{2}x+\frac{1}{2}"), ("(x+1)^2", "x^2+2x+1"),
    (r"\sqrt{8}", r"2\sqrt{2}"), (r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}"), (r"\frac{\pi}{4}", r"\pi/4"),
    (r"\left(\frac{1}{2}, \sqrt{3}\right)", r"(\dfrac{2}{4},\sqrt{3})"), ("2(x+1)", "2x+2"), (r"2 \cdot 3x", "6x"),
)  # fmt: skip
NO_FORM = (
    "3c", "2x+5t", "2X", "0.5x", r"2\frac{1}{2}", "x^12", "1/2x", "2 3", "x2", "n(x+1)", "x=5", "(1,1)", "(x,1)",
    "3-3", r"\sqrt[3]{2}", "2^{1/2}", r"\{1,2\}", "[1,2)", r"\frac{1}{x}", r"\frac{1}{0}", "x^{99}", "9^{9^{9}}",
    "1234567", r"\sqrt{-2}", "(" * 9 + "x" + ")" * 9, r"\frac{1}{2}3", "50%", r"\pix", "",
)  # fmt: skip


def expression(rng: random.Random, depth: int = 2) -> str:
    terms = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        inner = expression(rng, depth - 1) if depth else rng.choice(NUMBERS)
        terms.append(rng.choice((
            rng.choice(NUMBERS), "x", "3y", r"\pi", rf"2\sqrt{{{rng.choice(NUMBERS)}}}", rf"\frac{{{inner}}}{{4}}",
            rf"\dfrac{{1}}{{{rng.choice(NUMBERS)}}}", f"2({inner})", "x^2", rf"5 \cdot {rng.choice('xy')}^{{3}}",
        )))  # fmt: skip
    return rng.choice(("", "", "-")) + rng.choice((" + ", "-", "+")).join(terms)


def rewritten(text: str, rng: random.Random) -> str:
    """Often equal, often nearly so."""
    parts = text.split("+")
    rng.shuffle(parts)
    return rng.choice((
        f"({text})", rf"\frac{{2({text})}}{{2}}", f"{text}+1-1", f"-({text})", "+".join(parts), f"{text}+1",
        text.replace("2", "3", 1), text.replace(" ", ""), text.replace("x", "y", 1),
    ))  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_forms_decide_as_math_verify_does(seed: int) -> None:
    rng, seen = random.Random(seed), []
    while len(seen) < 25:
        gold = expression(rng)
        gold = f"({gold}, {expression(rng, 1)})" if rng.random() < 0.2 else gold
        answer = rewritten(gold, rng) if rng.random() < 0.7 and "," not in gold else expression(rng)
        same = normal.decide(gold, answer)
        if same is None or len(gold + answer) > 60 or compare(gold, answer) is not None:
            continue
        try:
            assert symbolic_equal(gold, answer) is same, (gold, answer)
            assert verify.lenient_equal(gold, rf"By step 7 it is \boxed{{{answer}}}.") is same, (gold, answer)
        except TooLarge:
            continue
        seen.append(same)
    assert any(seen) and not all(seen)


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal_expressions_have_one_form(gold: str, answer: str) -> None:
    assert normal.decide(gold, answer) is True and symbolic_equal(gold, answer)


@pytest.mark.parametrize("text", NO_FORM)
def test_what_can_be_read_in_two_ways_has_no_form(text: str) -> None:
    assert normal.form(text) is None


def test_a_letter_by_itself_is_compared_as_written() -> None:
    assert normal.decide("x", r"\frac{2x}{2}") is None and normal.decide("x", "y+1") is False
