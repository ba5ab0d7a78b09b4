r"""The exact value of a number as people write answers.

    number      = [sign] unsigned
    unsigned    = numeral | mixed | scientific | fraction | quotient | power | repeating | "(" number ")"
    numeral     = digits ["." digits] [("e"|"E") integer]         with thousands (1,000) or Indian (12,34,567) groups
    mixed       = digits ("\frac" arguments | " " digits "/" digits)                         the part is below one
    scientific  = number ("\times" | "\cdot" | "*" | "x") "10" "^" exponent
    fraction    = "\frac" argument argument            argument = "{" number "}" | digit
    quotient    = number "/" number
    power       = number ("^" | "**") number
    repeating   = digits "." [digits] ("\overline" | "\bar") "{" digits "}"

Refused (no number): sums, products, roots and factorials, which still have to be worked out; a comma inside of
brackets, which separates coordinates: (1,100) is not 1100. Numbers that are too large to multiply out raise TooLarge.
What this module does not know: units, equations, other kinds of answers.
"""

from __future__ import annotations

import re
from fractions import Fraction

MAX_CHARS = 1_000
MAX_DIGITS = 1_000
MAX_NESTING = 12
MAX_BITS = 4_096
"""size of the largest power that is multiplied out"""

_GROUPED = r"\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d{2})+,\d{3}|\d+"
_NUMERAL = re.compile(rf"(?:({_GROUPED})(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d{{1,9}}))?")
_SCIENTIFIC = re.compile(
    r"([^*×]{1,80}?)\s*(?:\\times|\\cdot|×|\*|x)\s*10\s*(?:\^|\*\*)\s*(?:\{([^{}]{1,20})\}|([+-]?\d{1,20}))"
)
_MIXED = re.compile(r"(\d+)\s*(\\frac.+)|(\d+)\s+(\d+/\d+)")
_REPEATING = re.compile(r"(\d{0,40})\.(\d{0,40})\\(?:overline|bar)\s?\{?(\d{1,40})\}?")


class TooLarge(ValueError):
    """An answer that a size guard refuses to evaluate: such a sample is ungraded, not wrong."""


def value(text: str, depth: int = 0) -> Fraction | None:
    """The value of a cleaned text (`notation.clean`); None if it is no number. Raises TooLarge."""
    if depth > MAX_NESTING:
        raise TooLarge(f"nesting deeper than {MAX_NESTING}")
    text = text.strip()
    if not text or (len(text) > MAX_CHARS and not depth):
        return None
    if text[0] in "+-":
        inner = None if text[1:].lstrip()[:1] in ("+", "-") else value(text[1:], depth + 1)
        return None if inner is None else (-inner if text[0] == "-" else inner)
    if text[0] in "({" and closing(text, 0) == len(text) - 1:
        return None if text[0] == "(" and "," in text else value(text[1:-1], depth + 1)
    if _NUMERAL.fullmatch(text):
        return _numeral(text)
    if not any(sign in text for sign in "\\/^*x×") or not any(sign.isdigit() for sign in text):
        return None
    for read in (_mixed, _scientific, _fraction, _quotient, _power, _repeating):
        found = read(text, depth + 1)
        if found is not None:
            return found
    return None


def _numeral(text: str) -> Fraction:
    match = _NUMERAL.fullmatch(text)
    assert match
    if len(text) > MAX_DIGITS:
        raise TooLarge(f"a number of {len(text)} characters (limit {MAX_DIGITS})")
    exponent = int(match[4] or 0)
    if abs(exponent) * 3.33 > MAX_BITS:
        raise TooLarge(f"a decimal exponent of {exponent}")
    whole, part = (match[1] or "").replace(",", ""), match[2] or match[3] or ""
    if not part and not exponent:
        return Fraction(int(whole))
    return Fraction(int((whole + part) or "0"), 10 ** len(part)) * Fraction(10) ** exponent


def _mixed(text: str, depth: int) -> Fraction | None:
    match = _MIXED.fullmatch(text)
    if not match:
        return None
    part = value(match[2] or match[4], depth)
    return None if part is None or not 0 <= part < 1 else int(match[1] or match[3]) + part


def _scientific(text: str, depth: int) -> Fraction | None:
    match = _SCIENTIFIC.fullmatch(text)
    if not match:
        return None
    factor, exponent = value(match[1], depth), value(match[2] or match[3], depth)
    power = None if factor is None or exponent is None else _raise(Fraction(10), exponent)
    return None if power is None or factor is None else factor * power


def _fraction(text: str, depth: int) -> Fraction | None:
    if not text.startswith("\\frac"):
        return None
    above, rest = _argument(text[5:])
    below, rest = _argument(rest)
    return None if rest.strip() or not above or not below else _divide(above, below, depth)


def _argument(text: str) -> tuple[str, str]:
    """One LaTeX argument, braced or a single digit, and what follows it."""
    text = text.lstrip()
    if text[:1] == "{":
        end = closing(text, 0)
        return ("", text) if end is None else (text[1:end], text[end + 1 :])
    return (text[0], text[1:]) if text[:1].isdigit() else ("", text)


def _quotient(text: str, depth: int) -> Fraction | None:
    places = [at for at, sign in outer(text) if sign == "/"]
    return _divide(text[: places[0]], text[places[0] + 1 :], depth) if len(places) == 1 else None


def _divide(above: str, below: str, depth: int) -> Fraction | None:
    upper, lower = value(above, depth), value(below, depth)
    return None if upper is None or not lower else upper / lower


def _power(text: str, depth: int) -> Fraction | None:
    text = text.replace("**", "^")
    places = [at for at, sign in outer(text) if sign == "^"]
    if not places:
        return None
    base, exponent = value(text[: places[0]], depth), value(text[places[0] + 1 :], depth)
    return None if base is None or exponent is None else _raise(base, exponent)


def _raise(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1 or (base == 0 and exponent <= 0):
        return None
    bits = max(abs(base.numerator), base.denominator).bit_length()
    if abs(base) != 1 and bits * abs(exponent.numerator) > MAX_BITS:
        raise TooLarge(f"a power of more than {MAX_BITS} bits")
    return base ** (exponent.numerator % 2 if abs(base) == 1 else exponent.numerator)


def _repeating(text: str, depth: int) -> Fraction | None:
    match = _REPEATING.fullmatch(text)
    if not match:
        return None
    whole, part, period = int(match[1] or 0), match[2], match[3]
    tail = Fraction(int(period), 10 ** len(period) - 1) / 10 ** len(part)
    return whole + Fraction(int(part or 0), 10 ** len(part)) + tail


def outer(text: str) -> list[tuple[int, str]]:
    """(position, character) outside of all brackets."""
    depth, out = 0, []
    for at, sign in enumerate(text):
        depth += (sign in "({[") - (sign in ")}]")
        if depth == 0:
            out.append((at, sign))
    return out


def closing(text: str, start: int) -> int | None:
    """Position of the bracket that closes the one at `start`, None if it stays open."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] in "({[") - (text[at] in ")}]")
        if depth == 0:
            return at
    return None
