"""Equality of two expressions by Math-Verify and SymPy, the last resort: slow, and it can hang (use a killable pool).

It is asked about single expressions only: numbers, lists, intervals, matrices, units and words have been taken apart
before (`answer`), because Math-Verify compares those with rules of its own (a tolerance, the last side of an equation).
Math-Verify rounds differences to six decimals, so what it calls equal is checked again at forty digits. Guards refuse
what could keep SymPy busy. What this module does not know: kinds of answers, completions.
"""

from __future__ import annotations

import re
import threading
from typing import Any

from elicit.tasks.grading.number import MAX_CHARS, MAX_DIGITS, MAX_NESTING, TooLarge

SYMPY_SECONDS = 5

_NESTING = re.compile(r"[({\[^]")
_LONG_NUMBER = re.compile(rf"\d{{{MAX_DIGITS // 10}}}")
_LARGE_EXPONENT = re.compile(r"\^\s?[{(]?\s?-?\s?[\d,]{5}|\d[eE][+-]?\d{4}")
_LARGE_FACTORIAL = re.compile(r"\d{4}\s?!|[)}!]\s?!")
_TOWER = re.compile(r"\d\s?\^\s?\{?\s?\d{1,9}\s?\^\s?\{?\s?\d")
_NESTED_POWER = re.compile(r"\^\s?[{(]?[^{}()]{0,100}\^")


def guard(text: str) -> None:
    """Raise TooLarge on what could keep SymPy busy: long text, deep nesting, towers and large factorials."""
    if len(text) > MAX_CHARS:
        raise TooLarge(f"an answer of {len(text)} characters (limit {MAX_CHARS})")
    text = text.replace("**", "^")
    if _LONG_NUMBER.search(text):
        raise TooLarge(f"a number of {MAX_DIGITS // 10} digits or more")
    if _LARGE_EXPONENT.search(text):
        raise TooLarge("an exponent of five digits or more")
    if _LARGE_FACTORIAL.search(text):
        raise TooLarge("a factorial of a large number or of an expression")
    depth, powers = 0, 0
    for at, sign in enumerate(text) if _NESTING.search(text) else ():
        depth += (sign in "({[") - (sign in ")}]")
        powers = powers + 1 if sign == "^" else (0 if depth == 0 and sign in " +-=," else powers)
        if depth > MAX_NESTING:
            raise TooLarge(f"nesting deeper than {MAX_NESTING}")
        if powers > 2 and _NESTED_POWER.match(text, at):
            raise TooLarge("a tower of exponents")
    if _TOWER.search(text):
        raise TooLarge("a tower of exponents")


def equal(gold: str, answer: str) -> bool:
    """Whether two cleaned expressions are equal. May be slow or hang.

    Raises TooLarge (guards), ValueError if the gold itself can't be read, and Math-Verify's TimeoutException.
    """
    from math_verify import verify

    right, given = _parsed(gold), _parsed(answer)
    if not right:
        raise ValueError(f"the gold {gold!r} can't be parsed")
    if not given:
        return False
    same = verify(right, given, timeout_seconds=_seconds(), raise_on_error=True)
    return bool(same) and _no_tolerance(right[0], given[0])


def proportional(gold: str, answer: str) -> bool:
    """Whether one expression is the other times a number other than zero. May be slow or hang, as `equal`."""
    import sympy

    right, given = _parsed(gold), _parsed(answer)
    if not right:
        raise ValueError(f"the gold {gold!r} can't be parsed")
    both = [found[0] for found in (right, given) if found]
    if len(both) < 2 or not all(isinstance(side, sympy.Expr) for side in both) or both[1] == 0:
        return False
    ratio = sympy.simplify(both[0] / both[1])
    return bool(ratio.is_number and ratio.is_finite and ratio != 0 and not ratio.has(sympy.Float))


def _parsed(text: str) -> list[Any]:
    """Math-Verify's reading of an expression: [] or [SymPy object, the string that it was read from]."""
    from math_verify import LatexExtractionConfig, parse

    guard(text)
    target = (LatexExtractionConfig(try_extract_without_anchor=False),)
    boxed = rf"\boxed{{{text.replace('%', '')}}}"
    try:
        return list(parse(boxed, target, parsing_timeout=_seconds(), raise_on_error=True))  # type: ignore[arg-type]
    except Exception:  # what Math-Verify can't read, it reads nothing from; its timeouts are no `Exception`
        return []


def _no_tolerance(right: Any, given: Any) -> bool:
    """False for two numbers that differ within forty digits, which Math-Verify's rounding has let pass."""
    import sympy

    both = isinstance(right, sympy.Expr) and isinstance(given, sympy.Expr)
    if not both or not right.is_number or not given.is_number:
        return True
    right, given = (sympy.nsimplify(x, rational=True) if x.has(sympy.Float) else x for x in (right, given))
    difference = sympy.N(right - given, 50, chop=False)
    scale = max(abs(sympy.N(right, 50)), abs(sympy.N(given, 50)))
    return bool(abs(difference) <= scale * sympy.Float("1e-40", 50))


def _seconds() -> int | None:
    """Math-Verify's own alarm works in the main thread only; elsewhere the pool's kill has to do."""
    return SYMPY_SECONDS if threading.current_thread() is threading.main_thread() else None
