"""If two expressions have normal forms, these decide as SymPy does."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from elicit.tasks.grading import normal, symbolic
from elicit.tasks.grading.notation import clean
from elicit.tasks.grading.number import TooLarge
from tests.reference.grading import equal

NUMBERS = ("1", "2", "3", "4", "8", "12", "0", "45")
EQUAL = (
    ("2x+3", "3 + 2x"), (r"\frac{x+1}{2}", r"\frac{1}{2}x+\frac{1}{2}"), ("(x+1)^2", "x^2+2x+1"),
    (r"\sqrt{8}", r"2\sqrt{2}"), (r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}"), (r"\frac{\pi}{4}", r"\pi/4"),
    ("2(x+1)", "2x+2"), (r"2 \cdot 3x", "6x"), ("0.5x", r"\frac{1}{2}x"), ("p-q", "-q+p"), ("ab", "ba"),
    (r"\sqrt{2}\sqrt{6}", r"2\sqrt{3}"), (r"\sqrt{12}\sqrt{18}", r"6\sqrt{6}"),
    (r"\frac{1}{x}", r"\frac{2}{2x}"), ("x_1+x_2", "x_{2}+x_1"), ("3-3", "0"), (r"\dfrac12mv^2", r"\frac{mv^2}{2}"),
)  # fmt: skip
DIFFERENT = (("3R^2", "3r^2"), ("x_1", "x_2"), ("ab", "a+b"), (r"\theta", r"\phi"), ("p-q", "q-p"), ("e", "i"))
NO_FORM = (
    r"2\frac{1}{2}", "x^12", "1/2x", "2 3", "x2", "n(x+1)", "x=5", "(1,1)", r"\sqrt[3]{2}", "2^{1/2}", r"\{1,2\}",
    "[1,2)",
    r"\frac{1}{x+1}", r"\frac{1}{0}", "x^{99}", "9^{9^{9}}", "12345678901234", r"\sqrt{-2}", "(" * 9 + "x" + ")" * 9,
    r"\frac{1}{2}3", "50%", r"\pix", "", "i^2", "2f(x)", r"999999999999 \cdot 999999999999",
    r"\frac{1}{999999999999 \cdot 2}", r"3 \cdot f(x)", "xf(y)", "(a+b+c+d+f+g+h)(j+k+l+m+n+o)",
    r"\cos x",
)  # fmt: skip


def expression(rng: random.Random, depth: int = 2) -> str:
    terms = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        inner = expression(rng, depth - 1) if depth else rng.choice(NUMBERS)
        terms.append(rng.choice((
            rng.choice(NUMBERS), "x", "3y", r"\pi", rf"2\sqrt{{{rng.choice(NUMBERS)}}}", rf"\frac{{{inner}}}{{4}}",
            rf"\dfrac{{1}}{{{rng.choice(NUMBERS)}}}", f"2({inner})", "x^2", rf"5 \cdot {rng.choice('xy')}^{{3}}",
            "ab", "B",
        )))  # fmt: skip
    return rng.choice(("", "", "-")) + rng.choice((" + ", "-", "+")).join(terms)


def rewritten(text: str, rng: random.Random) -> str:
    """Often equal, often nearly so."""
    parts = text.split("+")
    rng.shuffle(parts)
    return rng.choice((
        f"({text})", rf"\frac{{2({text})}}{{2}}", f"{text}+1-1", f"-({text})", "+".join(parts), f"{text}+1",
        text.replace("2", "3", 1), text.replace(" ", ""), text.replace("x", "y", 1), text.replace("B", "b", 1),
    ))  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_forms_decide_as_sympy_does(seed: int) -> None:
    rng, seen = random.Random(seed), []
    while len(seen) < 30:
        gold = expression(rng)
        answer = rewritten(gold, rng) if rng.random() < 0.7 else expression(rng)
        forms = normal.form(clean(gold)), normal.form(clean(answer))
        if None in forms or len(gold + answer) > 60 or "+0" in gold:
            continue
        assert equal(gold, answer) is (forms[0] == forms[1]), (gold, answer)
        seen.append(forms[0] == forms[1])
    assert any(seen) and not all(seen)


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal_expressions_have_one_form(gold: str, answer: str) -> None:
    assert normal.form(clean(gold)) == normal.form(clean(answer)) is not None


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_different_expressions_have_different_forms(gold: str, answer: str) -> None:
    assert None is not normal.form(clean(gold)) != normal.form(clean(answer)) is not None


@pytest.mark.parametrize("text", NO_FORM)
def test_what_can_be_read_in_two_ways_has_no_form(text: str) -> None:
    assert normal.form(clean(text)) is None


def test_sympy_is_asked_about_what_has_no_form_and_no_tolerance_is_left() -> None:
    assert symbolic.equal(r"\frac{1}{x+1}", r"\frac{2}{2x+2}") and not symbolic.equal(r"\cos x", r"\sin x")
    assert not symbolic.equal(r"\frac{\sqrt{2}}{2^{98}}", r"\frac{\sqrt{2}}{2^{99}}")
    assert symbolic.proportional(r"\frac{1}{x+1}-y", r"\frac{2}{x+1}-2y")
    assert not symbolic.proportional(r"\frac{1}{x+1}-y", r"\frac{1}{x+1}+y")
    with pytest.raises(ValueError, match="can't be parsed"):
        symbolic.equal("", "5")


REFUSED = [
    ("1" * 1001, "an answer of 1001 characters"), ("1" * 100, "a number of 100 digits"),
    ("2^{99999}", "an exponent of five"),
    ("2^(-12345)", "an exponent of five"), ("x^10,000", "an exponent of five"), ("1e9999", "an exponent of five"),
    ("1E-9999", "an exponent of five"),
    ("1000!", "a factorial"), ("(x)!", "a factorial"), ("3!!", "a factorial"),
    ("{" * 13 + "x" + "}" * 13, "nesting deeper than 12"),
    ("([{" * 4 + "(x" + ")" + "}])" * 4, "nesting deeper than 12"), ("2^3^4", "a tower"), ("2**3**4", "a tower"),
    ("2^{3^{4}}", "a tower"),
    ("x^{y^{z^{w^v}}}", "a tower"), ("x^y^z^w^v", "a tower"), ("x^{y + z^{u + v^{w^t}}}", "a tower"),
]  # fmt: skip
LET_THROUGH = (
    "1" * 99, "2^{9999}", "x^{1000}", "999!", "x^2 + y^2 + z^2 + w^2", "x^{2} y^{2}", "{" * 12 + "x" + "}" * 12,
    "x^{y^z}", "1e999",
    "x^2 y^2=z^2-w^2", "(x)(y)" * 20, "{x}" * 30, "x^a,y^b,z^c,w^d", "x^{a} x^{b} x^{c} x^{d}",
)  # fmt: skip


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_could_keep_sympy_busy_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(TooLarge, match=why):
        symbolic.guard(text)


@pytest.mark.parametrize("text", LET_THROUGH)
def test_ordinary_expressions_are_not_refused(text: str) -> None:
    symbolic.guard(text)


@pytest.mark.parametrize(
    ("gold", "answer", "equal", "multiple"),
    [
        (r"\frac{1}{x+1}", r"\frac{2}{x+1}", False, True), (r"\cos x", r"-\cos x", False, True),
        (r"\cos x", "0", False, False),
        (r"\cos x", "((", False, False), (r"\cos x", r"x\cos x", False, False),
        (r"0.1\cos 1", r"\frac{\cos 1}{10}", True, None),
        (r"\cos 1", r"1.0000001\cos 1", False, None), (r"\cos x", r"1.5\cos x", False, None),
        (r"\{\cos x\}", r"\{\cos(x)\}", True, False),
        (r"\sqrt{2}+\cos 1", r"\cos 1 + \sqrt{2}", True, True), (r"50\%\cos x", r"50\cos x", True, True),
    ],
)  # fmt: skip
def test_sympy_decides_equality_and_multiples_also_outside_of_the_main_thread(
    gold: str, answer: str, equal: bool, multiple: bool | None
) -> None:
    with ThreadPoolExecutor(1) as threads:
        for run in (lambda f: f(gold, answer), lambda f: threads.submit(f, gold, answer).result()):
            assert run(symbolic.equal) is equal
            assert multiple is None or run(symbolic.proportional) is multiple
    with pytest.raises(ValueError, match="the gold '' can't be parsed"):
        symbolic.proportional("", gold)
