r"""What may follow a number without making it another answer: a unit.

    quantity   = [money] value [" "] [unit]                value: `number`;  money = "USD" | "Rs." | ...
    unit       = [scale] { word | symbol | "%" | "°" } { "^2" | "^3" }  | "degrees below zero"
    scale      = "hundred" | "thousand" | "million" | "billion" | "trillion"
    word       = an ordinary word of three letters or more             18 dollars per day at the farmers' market
    symbol     = "cm" | "kg" | "mph" | ...;  of a single letter (5 m) only if `letters`, or inside of \text{}
    amount     = digits "dollars and" digits "cents"

Refused, so that the answer is no number: words that change the value (5 factorial, 3 fifths, 5 tens, 5 choose two),
alternatives and further values (5 or 6, 5 remainder 2), retractions (5 is wrong), dates and times (20 June, 5 pm), and
letters that are no symbol of a unit, which are variables (6 xy, 1/2 bh). Percent signs and currency are dropped without
scaling. Two answers that both have a unit must agree in it: 5 hours are not 5 minutes, 3 boys are not 3 girls.
What this module does not know: kinds of answers, sentences.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from elicit.tasks.grading.number import value


class Quantity(NamedTuple):
    """A number and the normalised words of its unit."""

    value: Fraction
    unit: frozenset[str]


_GROUPED = r"\d{1,3}(?:,\d{3})++(?!\d)|\d{1,2}(?:,\d{2})++,\d{3}(?!\d)|\d++"
_NUMBER = rf"(?:(?:{_GROUPED})(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d{{1,9}}(?!\d))?"
_FRACTION = r"\\frac\s?(?:\{[^{}A-Za-z]{0,80}\}\s?\{[^{}A-Za-z]{0,80}\}|\d\s?\d)"
_RAISED = r"\^\s?(?:\{[-+]?\d{1,9}\}|\d)"
_VALUE = re.compile(
    rf"[-+]?\s?(?:{_FRACTION}|{_NUMBER}(?:\\(?:overline|bar)\s?\{{\d{{1,40}}\}}|\s?{_FRACTION}|\s\d{{1,9}}/\d{{1,9}})?)"
    rf"(?:\s?/\s?{_NUMBER}|\s?{_RAISED})?(?:\s?(?:\\times|\\cdot|\*|x)\s?10\s?\^\s?(?:\{{[-+]?\d{{1,9}}\}}|[-+]?\d{{1,9}}))?"
)
_MONEY = re.compile(r"(?<![A-Za-z])(?:USD|EUR|GBP|INR|CAD|AUD|Rs\.?|US)\s?(?=[-+]?\d)", re.IGNORECASE)
_SIGNED = re.compile(r"(?:negative|minus)\s+(?=\d|\\frac|\.\d)", re.IGNORECASE)
_AMOUNT = re.compile(r"(\d{1,9}) dollars?,? and (\d{1,2}) cents?", re.IGNORECASE)
_BELOW_ZERO = re.compile(r"(?:degrees?|°)?\s*(?:celsius|fahrenheit|[CF])?\s*below (?:zero|freezing)", re.IGNORECASE)
_TEXT = re.compile(r"\\text\s?\{([^{}]*)\}")
_UNIT_FRACTION = re.compile(
    r"\\frac\s?\{(?:\\text\s?\{)?([A-Za-z ]{1,20})\}{1,2}\s?\{(?:\\text\s?\{)?([A-Za-z ]{1,20})\}{1,2}"
)
_RAISED_UNIT = re.compile(r"(?<=[A-Za-z)])\s?\^\s?(?:\{\s?-?([23])\s?\}|-?([23]))")
_TOKEN = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*|[%°]|\S")

_SCALES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_CHANGES_VALUE = frozenset(
    re.findall(
        r"\S+",
        "or and plus minus times over mod modulo divided squared cubed not remainder factorial choose half halves "
        "quarter quarters third thirds fourth fourths fifth fifths sixth sixths seventh sevenths eighth eighths "
        "ninth ninths tenth tenths twelfth twelfths hundredth hundredths thousandth thousandths millionth "
        "millionths tens dozens hundreds thousands millions billions than to by pi sqrt sin cos tan log ln exp "
        "infinity below one two three four five six seven eight nine ten eleven twelve root power",
    )
)
_NO_UNIT = frozenset(
    re.findall(
        r"\S+",
        "am pm is are was were be isn wasn wrong incorrect right correct if when because since but wait maybe "
        "perhaps instead no none january february march april may june july august september october november "
        "december monday tuesday wednesday thursday friday saturday sunday alpha beta gamma delta theta phi "
        "lambda sigma omega mu hence therefore thus which so",
    )
)
_SMALL_WORDS = frozenset(
    re.findall(
        r"\S+",
        "a an the of us per at for in on each every her his their its my our this these with from",
    )
)
_SYMBOLS = {
    "cm": "cm", "mm": "mm", "km": "km", "kg": "kg", "mg": "mg", "ml": "ml", "ft": "ft", "yd": "yd", "lb": "lb",
    "lbs": "lb", "oz": "oz", "hr": "h", "hrs": "h", "min": "min", "mins": "min", "sec": "s", "secs": "s", "mph": "mph",
    "kph": "kmh", "gb": "gb", "mb": "mb", "kb": "kb", "tb": "tb", "hz": "hz", "khz": "khz", "mhz": "mhz", "kwh": "kwh",
    "rpm": "rpm", "psi": "psi", "sq": "square", "cu": "cubic", "usd": "dollar", "ms": "ms", "kj": "kj", "kw": "kw",
    "pts": "point", "pct": "%", "nm": "nm", "yrs": "year", "yr": "year",
}  # fmt: skip
_LETTERS = {"m": "m", "s": "s", "h": "h", "g": "g", "l": "l", "L": "l", "J": "j", "N": "n", "W": "w", "V": "v",
            "C": "c", "F": "f", "A": "amp", "d": "day"}  # fmt: skip
_NAMES = {
    "meter": "m", "metre": "m", "second": "s", "hour": "h", "minute": "min", "gram": "g", "liter": "l", "litre": "l",
    "kilometer": "km", "kilometre": "km", "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "foot": "ft",
    "feet": "ft", "inch": "in", "inche": "in", "mile": "mi", "yard": "yd", "pound": "lb", "ounce": "oz",
    "kilogram": "kg", "milliliter": "ml", "percent": "%", "percentage": "%", "pct": "%", "°": "degree",
}  # fmt: skip
_PHYSICAL = frozenset(_SYMBOLS.values()) | frozenset(_NAMES.values()) | frozenset(_LETTERS.values()) | {"cubic"}


def quantity(text: str, letters: bool = False) -> Quantity | None:
    """A number with or without a unit; None if a cleaned text is something else. Raises TooLarge."""
    text = _SIGNED.sub("-", _MONEY.sub("", text, count=1), count=1)
    amount = _AMOUNT.fullmatch(text)
    if amount:
        return Quantity(Fraction(int(amount[1])) + Fraction(int(amount[2]), 100), frozenset(("dollar",)))
    plain = value(text)
    if plain is not None:
        return Quantity(plain, frozenset())
    match = _VALUE.match(text)
    phrase = text[match.end() :] if match else ""
    attached = re.match(r"[A-Za-z]+", phrase)  # 72ish
    number = value(match[0]) if match and phrase and (not attached or is_symbol(attached[0], letters)) else None
    unit = None if number is None else read(phrase, letters)
    return None if number is None or unit is None else Quantity(number * unit.value, unit.unit)


def prefix(text: str) -> int | None:
    """Where the number that a text begins with ends; None if it begins with something else."""
    match = _VALUE.match(text)
    return match.end() if match else None


def read(phrase: str, letters: bool = False) -> Quantity | None:
    """The unit that follows a number, with the factor by which it multiplies the number; None if it is no unit.

    >>> read(" million dollars") == Quantity(Fraction(10**6), frozenset(("dollar",)))
    True
    """
    if _BELOW_ZERO.fullmatch(phrase.strip()):
        return Quantity(Fraction(-1), frozenset(("degree",)))
    quoted = "\\text" in phrase
    phrase = _UNIT_FRACTION.sub(r" \1/\2 ", phrase) if "\\frac" in phrase else phrase
    letters = letters or quoted or "/" in phrase or "°" in phrase
    phrase = _RAISED_UNIT.sub(lambda m: " square" if (m[1] or m[2]) == "2" else " cubic", _TEXT.sub(r" \1 ", phrase))
    tokens = _TOKEN.findall(phrase.replace(r"\cdot", " ").replace(r"\times", " ").replace("-", " "))
    factor = Fraction(1)
    words: list[str] = []
    for token in tokens[:-1] if tokens[-1:] == ["times"] else tokens:  # 5 times, but not 5 times 3
        word = token.casefold()
        if word in _SCALES and not words:
            factor *= _SCALES[word]
            continue
        if token in "/.'()":
            continue
        normal = _word(token, letters)
        if normal is None:
            return None
        if normal:
            words.append(normal)
    if len(tokens) == 1 and tokens[0] in ("a", "an", "the"):
        return None
    return Quantity(factor, frozenset(words))


def _word(token: str, letters: bool) -> str | None:
    """One word of a unit; "" for one without meaning, None if it can't be in a unit."""
    word = token.casefold()
    if word in _SMALL_WORDS or token in "%°":
        return "" if token != "°" else "degree"
    if word in _CHANGES_VALUE or word in _NO_UNIT:
        return None
    if word in _SYMBOLS:
        return _SYMBOLS[word]
    if len(token) == 1:
        return _LETTERS.get(token) if letters else None
    if word == "in":
        return "in"
    if len(word) < 3 or not re.search(r"[aeiouyà-ÿ]", word) or not token[0].isalpha():
        return None
    single = word.removesuffix("'s")
    single = single[:-1] if single.endswith("s") and not single.endswith("ss") else single
    return _NAMES.get(word) or _NAMES.get(single) or _SYMBOLS.get(single) or single


def is_symbol(token: str, letters: bool) -> bool:
    """Whether a token may be written to a number without a blank: 5km, 5% and, if `letters`, 5m, but not 5ish."""
    known = token.casefold() in _SYMBOLS or token.casefold() in _NAMES
    return known or token[0] in "%°\\" or (letters and token in _LETTERS) or token.casefold() in ("in", "percent")


def agree(a: frozenset[str], b: frozenset[str]) -> bool:
    """Whether two units can be the same: one is missing, or they do not contradict each other."""
    measured = a & _PHYSICAL, b & _PHYSICAL
    return not a or not b or ((a <= b or b <= a) and (measured[0] == measured[1] or not all(measured)))
