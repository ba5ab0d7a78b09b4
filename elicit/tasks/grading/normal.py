"""Exact normal forms of short closed expressions, so that most symbolic answers need no computer algebra.

    2x+3   3\\sqrt{5}   \\frac{\\pi}{4}   x^2-1   2(x+1)   \\frac{1}{2}mv^2   \\frac{3}{x_1}

    sum     = ["-"] term { ("+" | "-") term }
    term    = factor { ["\\cdot" | "\\times" | "*"] factor } [ "/" (integer | letter) ]
    factor  = number ["^" integer] | letter ["^" integer] | "(" sum ")" ["^" integer] | "\\frac" "{" sum "}" "{" sum "}"
            | "\\sqrt" "{" sum "}"
    letter  = "a" ... "Z" | greek, with or without a subscript

The form is a sum of  rational * sqrt(n) * pi^k * x^a y^b ... . Square roots of square-free integers, powers of pi and
monomials are linearly independent over the rationals, so equal forms are equal expressions and different forms are
different ones. Letters of either case are different; a power of i (its square is a number), a division by a sum, an
empty product of digits (2 3), a mixed number and a letter before a bracket (which may be a function) have no form.
What this module does not know: completions, other kinds of answers.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from math import gcd

MAX_CHARS = 120
MAX_TERMS = 40
MAX_EXPONENT = 12
MAX_INTEGER = 10**12
"""of numerators and denominators"""
MAX_RADICAND = 10**6
MAX_DEPTH = 6

Monomial = tuple[int, tuple[tuple[str, int], ...]]
"""square-free radicand, (letter or pi, exponent) in order"""
Sum = dict[Monomial, Fraction]
Form = frozenset[tuple[Monomial, Fraction]]

_ONE: Monomial = (1, ())
_GREEK = r"\\(?:pi|infty|emptyset|ldots|alpha|beta|gamma|delta|theta|lambda|mu|sigma|phi|omega)(?![a-zA-Z])"
_SUBSCRIPT = r"(?:_(?:[0-9a-zA-Z]|\{[0-9a-zA-Z]{1,8}\}))?"
_TOKEN = re.compile(
    rf"\s*(\\(?:frac|sqrt|cdot|times)(?![a-zA-Z])|{_GREEK}{_SUBSCRIPT}|\d+(?:\.\d+)?|\.\d+|[a-zA-Z]{_SUBSCRIPT}|[-+*^(){{}}/])"
)
_TIMES = ("\\cdot", "\\times", "*")
_NUMBER = re.compile(r"\d*\.?\d+")


class _Unread(Exception):
    """The text is not in the grammar, or too large."""


@lru_cache(maxsize=8192)
def form(text: str) -> Form | None:
    """The normal form of a cleaned expression (`notation.clean`); None if it has none."""
    try:
        return _Parser(_tokens(text)).whole()
    except _Unread:
        return None


def constant(found: Form) -> Fraction | None:
    """The value of a form that is a rational number; None if it is another one."""
    if not found:
        return Fraction(0)
    ((monomial, value), *rest) = found
    return value if monomial == _ONE and not rest else None


def of_number(value: Fraction) -> Form:
    """The form of a rational number."""
    return frozenset({(_ONE, value)}) if value else frozenset()


def proportional(a: Form, b: Form) -> bool:
    """Whether one form is a rational multiple, other than zero, of the other."""
    return scaled(a) == scaled(b)


def scaled(found: Form) -> Form:
    """The form with the coefficient of its first monomial made one."""
    if not found:
        return found
    first = min(found, key=lambda part: part[0])[1]
    return frozenset((monomial, value / first) for monomial, value in found)


def _tokens(text: str) -> list[str]:
    text, at, out = text.strip(), 0, []
    if not text or len(text) > MAX_CHARS:
        raise _Unread
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise _Unread
        out.append(match[1])
        at = match.end()
    return out


class _Parser:
    """Recursive descent over the tokens; whatever could be read in two ways is not read."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.at, self.depth = tokens, 0, 0

    def whole(self) -> Form:
        found = self.sum()
        if self.at != len(self.tokens) or _large(found):
            raise _Unread
        return frozenset(found.items())

    def sum(self) -> Sum:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _Unread
        total: Sum = {}
        sign = self.sign(("+", "-"))
        while True:
            for monomial, value in self.term().items():
                total[monomial] = total.get(monomial, Fraction(0)) + sign * value
            if self.peek() not in ("+", "-"):
                self.depth -= 1
                return {monomial: value for monomial, value in total.items() if value}
            sign = self.sign(("+", "-"))

    def sign(self, signs: tuple[str, ...]) -> int:
        if self.peek() not in signs:
            return 1
        self.at += 1
        return -1 if self.tokens[self.at - 1] == "-" else 1

    def term(self) -> Sum:
        product, before = self.factor(), self.tokens[self.at - 1]
        number = _NUMBER.fullmatch(before) is not None
        while (token := self.peek()) not in ("", "+", "-", ")", "}", "/"):
            dotted = token in _TIMES
            self.at += dotted
            token = self.peek()
            digits = _NUMBER.fullmatch(token) is not None
            mixed = (number and "frac" in token) or (_letter(before) and token == "(")
            if not dotted and (digits or mixed):
                raise _Unread  # 2 3, x2, a mixed number, f(x)
            number = digits
            product = _times(product, self.factor())
            before = self.tokens[self.at - 1]
        if self.peek() == "/":
            self.at += 1
            below = self.factor() if _letter(self.peek()) else {_ONE: Fraction(self.integer())}
            product = _over(product, below)
            if self.peek() not in ("", "+", "-", ")", "}"):
                raise _Unread  # 1/2x
        return product

    def factor(self) -> Sum:
        token = self.peek()
        self.at += 1
        if _NUMBER.fullmatch(token):
            if len(token) > len(str(MAX_INTEGER)):
                raise _Unread
            return self.power({_ONE: Fraction(token)})
        if _letter(token):
            name = token.strip("\\").replace("{", "").replace("}", "")
            return self.power({(1, ((name, 1),)): Fraction(1)})
        if token in ("(", "{"):
            inner = self.sum()
            self.take(")" if token == "(" else "}")
            return self.power(inner)
        if token == "\\sqrt":
            return self.power(_root(self.argument()))
        if token != "\\frac":
            raise _Unread
        found = _over(self.argument(), self.argument())
        if self.peek() == "^":
            raise _Unread
        return found

    def power(self, base: Sum) -> Sum:
        if self.peek() != "^":
            return base
        self.at += 1
        braced = self.peek() == "{"
        self.at += braced
        exponent = self.integer()
        if braced:
            self.take("}")
        elif exponent > 9 or self.peek().isdigit():
            raise _Unread  # x^12 is x^1 2 to TeX, and people mean x^{12}
        if not 1 <= exponent <= MAX_EXPONENT:
            raise _Unread
        product = base
        for _ in range(exponent - 1):
            product = _times(product, base)
        return product

    def argument(self) -> Sum:
        if _NUMBER.fullmatch(self.peek()):  # \\frac12
            digits = self.peek()
            if not digits.isdigit():
                raise _Unread
            if len(digits) == 1:
                self.at += 1
            else:
                self.tokens[self.at] = digits[1:]
            return {_ONE: Fraction(int(digits[0]))}
        self.take("{")
        inner = self.sum()
        self.take("}")
        return inner

    def integer(self) -> int:
        token = self.peek()
        if not token.isdigit() or len(token) > len(str(MAX_INTEGER)):
            raise _Unread
        self.at += 1
        return int(token)

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, token: str) -> None:
        if self.peek() != token:
            raise _Unread
        self.at += 1


def _letter(token: str) -> bool:
    return bool(token) and (
        token[0].isalpha() or (token[0] == "\\" and token[1:5] not in ("frac", "sqrt", "cdot", "time"))
    )


def _times(a: Sum, b: Sum) -> Sum:
    if len(a) * len(b) > MAX_TERMS:
        raise _Unread
    if any(name == "i" for _, powers in a for name, _ in powers) and any(n == "i" for _, p in b for n, _ in p):
        raise _Unread  # its square is a number
    out: Sum = {}
    for (root_a, powers_a), value_a in a.items():
        for (root_b, powers_b), value_b in b.items():
            shared = gcd(root_a, root_b)
            powers = dict(powers_a)
            for name, power in powers_b:
                powers[name] = powers.get(name, 0) + power
            monomial = (root_a * root_b // shared**2, tuple(sorted((n, p) for n, p in powers.items() if p)))
            out[monomial] = out.get(monomial, Fraction(0)) + value_a * value_b * shared
    if _large(out):
        raise _Unread
    return {monomial: value for monomial, value in out.items() if value}


def _over(above: Sum, below: Sum) -> Sum:
    """Division by one term."""
    if len(below) != 1:
        raise _Unread
    ((root, powers), value), *_ = below.items()
    if not value or any(name == "i" for name, _ in powers):
        raise _Unread
    return _times(above, {(root, tuple((name, -power) for name, power in powers)): 1 / (value * root)})


def _root(inner: Sum) -> Sum:
    """The square root of a rational constant."""
    value = inner.get(_ONE, Fraction(0))
    if set(inner) - {_ONE} or not 0 < value.numerator * value.denominator <= MAX_RADICAND:
        raise _Unread
    free, outside, divisor = value.numerator * value.denominator, 1, 2
    while divisor * divisor <= free:
        while free % divisor**2 == 0:
            free, outside = free // divisor**2, outside * divisor
        divisor += 1
    return {(free, ()): Fraction(outside, value.denominator)}


def _large(found: Sum) -> bool:
    sizes = [max(abs(value.numerator), value.denominator, root) for (root, _), value in found.items()]
    roots = any(root > 1 and any(n != "pi" for n, _ in powers) for root, powers in found)
    return max(sizes, default=0) > MAX_INTEGER or roots
