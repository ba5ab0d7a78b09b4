"""Exact normal forms of short closed expressions, so that most symbolic answers need no computer algebra.

    2x+3  3\\sqrt{5}  \\frac{\\pi}{4}  x^2-1  2(x+1)       a sum of  rational * sqrt(n) * pi^k * x^a y^b ...
    (1, 2)  (0, \\frac{\\sqrt{2}}{2})                      a tuple of such constants

Square roots of square-free integers, powers of pi and monomials are linearly independent over the rationals, so
equal forms are equal expressions and different forms are different ones. Everything outside of the grammar, or on
which Math-Verify has a rule of its own (units and capitals among the letters, mixed numbers, decimals, `f(x)`,
empty intervals), has no form: `decide` says None and Math-Verify decides. What this module does not know: completions.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from math import gcd

MAX_CHARS = 120
MAX_TERMS = 40
MAX_EXPONENT = 12
MAX_INTEGER = 10**6
"""of numerators, denominators and radicands; with smaller ones no two forms are within Math-Verify's rounding"""
MAX_DEPTH = 5

Monomial = tuple[int, tuple[tuple[str, int], ...]]
"""square-free radicand, (letter or pi, exponent) in order"""
Sum = dict[Monomial, Fraction]
Form = tuple[frozenset[tuple[Monomial, Fraction]], ...]
"""one part for an expression, several for a tuple"""

_ONE: Monomial = (1, ())
_TOKEN = re.compile(r"\s*(\\(?:[dt]?frac|sqrt|pi|cdot)(?![a-zA-Z])|\d+|[knpquvwxyz]|[-+^(){},/])")
_BRACKETS = re.compile(r"\\(?:left|right)\s*(?=[()])")


class _Unread(Exception):
    """The text is not in the grammar, or too large."""


def decide(gold: str, answer: str) -> bool | None:
    """Whether two expressions are equal; None where one has no form, or where only their writing tells."""
    right, given = form(gold), form(answer)
    if right is None or given is None:
        return None
    if right != given:
        return False
    return None if _letter(right) else True


@lru_cache(maxsize=8192)
def form(text: str) -> Form | None:
    """The normal form of an expression or a tuple of constants; None where it has none."""
    try:
        return _Parser(_tokens(text)).whole()
    except _Unread:
        return None


def _letter(found: Form) -> bool:
    """A letter by itself: Math-Verify compares its name with the other side as written."""
    terms = list(found[0])
    return len(found) == 1 and len(terms) == 1 and terms[0][1] == 1 and [p for _, p in terms[0][0][1]] == [1]


def _tokens(text: str) -> list[str]:
    text, at, out = _BRACKETS.sub("", text).strip(), 0, []
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
        parts = self.parts() or [self.sum()]
        if self.at != len(self.tokens) or any(_large(part) for part in parts):
            raise _Unread
        if len(parts) > 1 and any(name != "pi" for part in parts for _, powers in part for name, _ in powers):
            raise _Unread
        found = tuple(frozenset(part.items()) for part in parts)
        if len(found) == 2 and found[0] == found[1]:  # an empty interval
            raise _Unread
        return found

    def parts(self) -> list[Sum] | None:
        """The parts of `(a, b, ...)`; None, and nothing read, where it is none."""
        if self.peek() != "(" or "," not in self.tokens:
            return None
        self.at += 1
        parts = [self.sum()]
        while self.peek() == ",":
            self.at += 1
            parts.append(self.sum())
        self.take(")")
        return parts

    def sum(self) -> Sum:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _Unread
        total: Sum = {}
        began, sign = self.at, self.sign(("-",))
        while True:
            for monomial, value in self.term().items():
                total[monomial] = total.get(monomial, Fraction(0)) + sign * value
            if self.peek() not in ("+", "-"):
                self.depth -= 1
                total = {monomial: value for monomial, value in total.items() if value}
                if not total and self.tokens[began : self.at] != ["0"]:
                    raise _Unread  # 3-3: Math-Verify leaves it as it stands and sees no zero in it
                return total
            sign = self.sign(("+", "-"))

    def sign(self, signs: tuple[str, ...]) -> int:
        if self.peek() not in signs:
            return 1
        self.at += 1
        return -1 if self.tokens[self.at - 1] == "-" else 1

    def term(self) -> Sum:
        product, before = self.factor(), self.tokens[self.at - 1]
        number = before.isdigit()
        while (token := self.peek()) not in ("", "+", "-", ")", "}", ",", "/"):
            dotted = token == "\\cdot"
            self.at += dotted
            token = self.peek()
            mixed = (number and "frac" in token) or (before.isalpha() and token == "(")
            if not dotted and (token.isdigit() or mixed or (before == "\\pi" and token == "(")):
                raise _Unread  # 2 3, x2, a mixed number, f(x)
            number = token.isdigit()
            product = _times(product, self.factor())
            before = self.tokens[self.at - 1]
        if self.peek() == "/":
            self.at += 1
            product = _over(product, {_ONE: Fraction(self.integer())})
            if self.peek() not in ("", "+", "-", ")", "}", ","):
                raise _Unread  # 1/2x
        return product

    def factor(self) -> Sum:
        token = self.peek()
        self.at += 1
        if token.isdigit():
            self.at -= 1
            return self.power({_ONE: Fraction(self.integer())})
        if token == "\\pi" or (len(token) == 1 and token.isalpha()):
            return self.power({(1, ((token.strip("\\"), 1),)): Fraction(1)})
        if token == "(":
            inner = self.sum()
            self.take(")")
            return self.power(inner)
        if token in ("\\frac", "\\dfrac", "\\tfrac"):
            found = _over(self.argument(), self.argument())
        elif token == "\\sqrt":
            found = _root(self.argument())
        else:
            raise _Unread
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
            raise _Unread  # x^12 is x^1 2 to TeX
        if not 1 <= exponent <= MAX_EXPONENT:
            raise _Unread
        product = base
        for _ in range(exponent - 1):
            product = _times(product, base)
        return product

    def argument(self) -> Sum:
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


def _times(a: Sum, b: Sum) -> Sum:
    if len(a) * len(b) > MAX_TERMS:
        raise _Unread
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
    """Division by one term without letters."""
    if len(below) != 1:
        raise _Unread
    ((root, powers), value), *_ = below.items()
    if not value or any(name != "pi" for name, _ in powers):
        raise _Unread
    return _times(above, {(root, tuple((name, -power) for name, power in powers)): 1 / (value * root)})


def _root(inner: Sum) -> Sum:
    """The square root of a rational constant."""
    value = inner.get(_ONE, Fraction(0))
    if set(inner) - {_ONE} or not 0 < value.numerator * value.denominator <= MAX_INTEGER:
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
