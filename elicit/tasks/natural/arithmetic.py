"""Checking the equations that a trace in words writes down: "48 / 2 = 24" and GSM8K's "<<48/2=24>>".

A partial validator: it sees wrong arithmetic and a trace without any equation, not whether an equation was called
for nor what is between units ("90 snakes * 12 beetles"). A result rounded to its own last digit counts as
right. 99 % of GSM8K's human solutions pass. Exact rationals, no SymPy. What this module does not know: answers.
"""

from __future__ import annotations

import re
from fractions import Fraction

from elicit.tasks.formal.family import Violation

MAX_SENTENCE = 300
"""longer ones are not searched: the search is quadratic in the worst case"""

_NUMBER = r"[$€£]?\d[\d,]*(?:\.\d+)?%?"
_SIDE = rf"-?\s*[(]*\s*{_NUMBER}(?:\s*[)]*\s*(?:[-−–+*/x×÷])\s*[(]*\s*{_NUMBER})+\s*[)]*"
_EQUATION = re.compile(rf"(?<![\w.=*/+\-(])({_SIDE})\s*=\s*(-?\s*{_NUMBER})(?![\d.]*\s*[-+*/x×÷]\s*[\d(])")
SIGNS = str.maketrans("−–×x÷", "--**/")
_TOKEN = re.compile(r"\d+(?:\.\d+)?|\.\d+|[-+*/()]")


def evaluate(text: str) -> Fraction | None:
    """The exact value of + - * / and brackets over numbers; None if it can't be read or divides by zero.

    >>> evaluate("2 * (3 + 4) / 7")
    Fraction(2, 1)
    """
    plain = re.sub(r"[\s,$€£]", "", text).translate(SIGNS).replace("%", "/100")
    tokens = _TOKEN.findall(plain)
    if re.search(r"\d\s+[\d.]", text) or "".join(tokens) != plain or not 0 < len(tokens) <= 200:
        return None
    value, end = _sum(tokens, 0)
    return value if end == len(tokens) else None


def _sum(tokens: list[str], at: int) -> tuple[Fraction | None, int]:
    value, at = _product(tokens, at)
    while value is not None and at < len(tokens) and tokens[at] in "+-":
        right, after = _product(tokens, at + 1)
        if right is None:
            return None, after
        value, at = (value + right if tokens[at] == "+" else value - right), after
    return value, at


def _product(tokens: list[str], at: int) -> tuple[Fraction | None, int]:
    value, at = _atom(tokens, at)
    while value is not None and at < len(tokens) and tokens[at] in "*/":
        right, after = _atom(tokens, at + 1)
        if right is None or (tokens[at] == "/" and right == 0):
            return None, after
        value, at = (value * right if tokens[at] == "*" else value / right), after
    return value, at


def _atom(tokens: list[str], at: int) -> tuple[Fraction | None, int]:
    if at >= len(tokens):
        return None, at
    if tokens[at] == "-":
        value, after = _atom(tokens, at + 1)
        return (None if value is None else -value), after
    if tokens[at] == "(":
        value, after = _sum(tokens, at + 1)
        closed = after < len(tokens) and tokens[after] == ")"
        return (value if closed else None), after + 1
    return (Fraction(tokens[at]) if tokens[at][-1].isdigit() else None), at + 1


def equations(text: str) -> list[tuple[str, str]]:
    """(left side, stated result) of every equation in a trace; the annotation and its echo count once."""
    annotated = re.findall(r"<<([^<>=]+)=([^<>=]+)>>", text)
    if annotated:
        return annotated
    sentences = [part for part in re.split(r"\n|[.;,!?](?=\s)", text) if "=" in part and len(part) <= MAX_SENTENCE]
    return [(left, right) for part in sentences for left, right in _EQUATION.findall(part)]


def first_error(text: str) -> Violation | None:
    """The first fault of a trace's arithmetic."""
    found = [(left, right) for left, right in equations(text) if evaluate(left) is not None]
    if not found:
        return Violation(0, "no_trace", "no equation before the answer")
    for step, (left, right) in enumerate(found):
        value, stated = evaluate(left), evaluate(right)
        if value is None or stated is None or not _rounds_to(value, stated, right):
            return Violation(step, "wrong_result", f"{left.strip()} is {value}, not {right.strip()}")
    return None


def _rounds_to(value: Fraction, stated: Fraction, written: str) -> bool:
    digits = len(written.strip().rstrip("%").partition(".")[2]) + (2 if written.strip().endswith("%") else 0)
    percent = written.strip().endswith("%") and abs(value - 100 * stated) * 2 * 10 ** max(0, digits - 2) <= 1
    return value == stated or percent or (digits > 0 and abs(value - stated) * 2 * 10**digits <= 1)
