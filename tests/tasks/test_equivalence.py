"""Equality of answers: exact, without tolerance, a relation by classes; monsters are refused before they run."""

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elicit.tasks.grading.equivalence import TooLarge, canonical, compare, guard, rational, read, symbolic_equal

fractions = st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**6)


@given(fractions)
def test_every_way_of_writing_a_fraction_is_read_exactly(value):
    n, d = value.numerator, value.denominator
    for text in (f"{n}/{d}", rf"\frac{{{n}}}{{{d}}}", rf"$\dfrac{{{n}}}{{{d}}}$", f"x = {n}/{d}"):
        assert rational(text) == value


@given(st.integers(-(10**12), 10**12), st.integers(0, 6))
def test_decimals_and_separators_are_read_exactly(whole, places):
    value = Fraction(whole, 10**places)
    sign, digits = ("-" if whole < 0 else ""), str(abs(whole)).rjust(places + 1, "0")
    head, tail = digits[: len(digits) - places], digits[len(digits) - places :]
    text = f"{sign}{int(head):,}" + (f".{tail}" if places else "")
    assert rational(text) == rational(text + " apples") == rational("$" + text) == rational(text + "%") == value


@given(fractions, fractions)
def test_numbers_are_equal_exactly_when_their_values_are(a, b):
    assert compare(str(a), str(b)) is (a == b)
    assert (canonical(str(a)) == canonical(str(b))) is (a == b)


@settings(max_examples=300)
@given(st.text(alphabet="0123456789.,/-+^{}()%$ \\abxfrac=*!", max_size=24))
def test_any_text_equals_itself_and_never_crashes_the_reader(text):
    assert compare(text, text) is True
    assert isinstance(canonical(text), str)


def test_one_thousand_is_one_class():
    assert len({canonical(text) for text in ("1,000", "1000", "1000.0", "$1,000.00", "1{,}000", "1e3")}) == 1


def test_neighbouring_tiny_numbers_differ_where_math_verify_sees_none():
    from math_verify import parse, verify

    assert verify(parse("$1/2^{98}$"), parse("$1/2^{99}$"))  # what the exact comparison is there for
    assert compare("1/2^98", "1/2^99") is False
    assert not symbolic_equal(r"\frac{\sqrt{2}}{2^{98}}", r"\frac{\sqrt{2}}{2^{99}}")


@pytest.mark.parametrize("text", ["9^{9^{9}}", "9^9^9^9", "10^{10^{10}}", "2^{99999999}", "1e99999", "2**3**4**5"])
def test_towers_of_exponents_are_refused_at_once(text):
    began = time.monotonic()
    with pytest.raises(TooLarge):
        guard(text)
        read(text)
    assert time.monotonic() - began < 1


def test_a_gold_that_cannot_be_read_is_no_verdict():
    with pytest.raises(ValueError, match="can't be parsed"):
        symbolic_equal("", "5")
