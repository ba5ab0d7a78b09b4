"""When two written answers are the same answer: exact rational numbers first, canonical classes next, SymPy last.

    read("$1,000.00") -> number 1000        read("\\frac{1}{2}") -> number 1/2      read("50\\%") -> number 50
    read("(B)")       -> word "b"           read("x^2+1")        -> symbolic        read("9^{9^{9}}") -> TooLarge

`canonical` is the class of an answer and an equivalence relation by construction (a string per class); units,
currency and percent signs are dropped without scaling, a sum is not evaluated, no comparison has a tolerance.
Math-Verify rounds differences to six decimals, so 1/2^98 and 1/2^99 are equal to it: numbers never get there,
and what does is checked again at forty digits. What this module does not know: completions, tasks, timeouts.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

MAX_CHARS = 1_000
MAX_DIGITS = 1_000
MAX_NESTING = 12
MAX_BITS = 4_096
"""size of the largest power that is multiplied out"""
SYMPY_SECONDS = 5


class TooLarge(ValueError):
    """An answer that a size guard refuses to evaluate: such a sample is ungraded, not wrong."""


@dataclass(frozen=True)
class Reading:
    """What an answer says. `kind`: number | word | symbolic; `canonical` names its class."""

    kind: str
    canonical: str


_NUMERAL = re.compile(r"(?:(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d{1,9}))?")
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|operatorname|mbox)\s*\{([^{}]*)\}")
_SCIENTIFIC = re.compile(r"(.+?)\s*(?:\\times|\\cdot|×|\*|x)\s*10\s*(?:\^|\*\*)\s*(?:\{([^{}]+)\}|([+-]?\d+))")
_MIXED = re.compile(r"(\d+)\s*(\\frac.+)|(\d+)\s+(\d+/\d+)")
_UNIT = re.compile(r"(.*[\d}])(?:\s+|(?=[%°]|(?:cm|mm|km|kg|mg|ml|mph|ft|lbs?|min)\b))([^\d]+)", re.DOTALL)
_UNIT_WORD = re.compile(r"[A-Za-z]{2,}|%|°")
_NO_UNIT = frozenset(
    re.findall(
        r"\w+",
        "or and to plus minus times over mod by divided squared cubed not remainder half quarter quarters third thirds "
        "am pm pi sqrt sin cos tan log ln exp is are was were wrong incorrect right if when because since but wait "
        "infinity maybe perhaps instead",
    )
)
_NESTING = re.compile(r"[({\[^]")
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_REWRITES = (
    (re.compile(r"\\(?:left|right|!|displaystyle)(?![A-Za-z])"), ""),
    (re.compile(r"\\[dt]frac"), r"\\frac"),
    (re.compile(r"\\(?:[$%#&])"), lambda match: match[0][1:]),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<=\d)(?:\\,|\\ |,\\!|[\u00a0\u2009\u202f])(?=\d{3}(?!\d))"), ""),
    (re.compile(r"\\[,;: ]|~|[\u00a0\u2009\u202f]"), " "),
    (re.compile("[\u2212\u2013]"), "-"),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree"), "°"),
    (re.compile(r"\\[()\[\]]|[$€£]"), ""),
)
_VULGAR = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}


@lru_cache(maxsize=8192)
def clean(text: str) -> str:
    """An answer without what carries no meaning: math delimiters, emphasis, currency signs, closing punctuation."""
    for pattern, new in _REWRITES:
        text = pattern.sub(new, text)  # type: ignore[arg-type]
    text = re.sub(r"(?<=[\d}])\s*\\(?:text|mathrm|textrm)\s*\{\s*[A-Za-z]\.?\s*\}", " units", text)
    text = _TEXT.sub(lambda match: f" {match[1].strip()} ", text)
    for sign, written in _VULGAR.items():
        text = text.replace(sign, f" {written} ")
    text = re.sub(r"^\s*(?:\*\*|__)|(?:\*\*|__)(?=\s*\.?\s*$)", "", text)
    return text.strip().strip("`\"'").lstrip("=:").rstrip(".,;:").strip()


def rational(text: str) -> Fraction | None:
    """The exact value of a number as people write answers; None where it is not one. Raises TooLarge.

    Read: signs, decimals, thousands separators, fractions, mixed numbers, powers, a x 10^b, units, percent signs
    (dropped), "3 million", and the last side of an equation. Not read: sums and products, which are no answers.
    """
    text = clean(text)
    if len(text) > MAX_CHARS and not re.fullmatch(r"[-+]?[\d,.]+", text):
        raise TooLarge(f"an answer of {len(text)} characters (limit {MAX_CHARS})")
    sides = text.split("=")
    if len(sides) > 1 and not re.search(r"[;]|,(?!\d{3})|\b(?:or|and)\b|[<>!]", " ".join(sides[:-1])):
        text = clean(sides[-1])
    value = _value(text, 0)
    return _with_unit(text) if value is None else value


def _with_unit(text: str) -> Fraction | None:
    """The value in front of a unit of at most four words; a single letter is a variable, not a unit."""
    split = _UNIT.fullmatch(re.sub(r"(?<=[A-Za-z])\s*(?:\^\s*\{?[23]\}?|[²³])$", "", text))
    if not split:
        return None
    words = re.sub(r"([%°])", r" \1 ", split[2].replace("/", " ").replace(".", "")).split()
    if len(words) > 4 or not all(_UNIT_WORD.fullmatch(word) for word in words if word not in ("°", "C", "F")):
        return None
    words = [word.casefold() for word in words]
    if any(word in _NO_UNIT for word in words):
        return None
    value = _value(split[1].strip(), 0)
    return value if value is None or not words else value * _SCALES.get(words[0], 1)


def _value(text: str, depth: int) -> Fraction | None:
    if depth > MAX_NESTING:
        raise TooLarge(f"nesting deeper than {MAX_NESTING}")
    text = text.strip()
    if not text:
        return None
    if text[0] in "+-":
        inner = None if text[1:].lstrip()[:1] in ("+", "-") else _value(text[1:], depth + 1)
        return None if inner is None else (-inner if text[0] == "-" else inner)
    if text[0] in "({" and _closing(text, 0) == len(text) - 1:
        return _value(text[1:-1], depth + 1)
    if _NUMERAL.fullmatch(text):
        return _numeral(text)
    for read in (_mixed, _scientific, _fraction, _quotient, _power):
        value = read(text, depth + 1)
        if value is not None:
            return value
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
    return Fraction(int((whole + part) or "0"), 10 ** len(part)) * Fraction(10) ** exponent


def _mixed(text: str, depth: int) -> Fraction | None:
    match = _MIXED.fullmatch(text)
    if not match:
        return None
    part = _value(match[2] or match[4], depth)
    return None if part is None or not 0 <= part < 1 else int(match[1] or match[3]) + part


def _scientific(text: str, depth: int) -> Fraction | None:
    match = _SCIENTIFIC.fullmatch(text)
    if not match:
        return None
    factor, exponent = _value(match[1], depth), _value(match[2] or match[3], depth)
    return None if factor is None or exponent is None else _times(factor, _raise(Fraction(10), exponent))


def _times(factor: Fraction, power: Fraction | None) -> Fraction | None:
    return None if power is None else factor * power


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
        end = _closing(text, 0)
        return ("", text) if end is None else (text[1:end], text[end + 1 :])
    return (text[0], text[1:]) if text[:1].isdigit() else ("", text)


def _quotient(text: str, depth: int) -> Fraction | None:
    places = [at for at, sign in _outer(text) if sign == "/"]
    return _divide(text[: places[0]], text[places[0] + 1 :], depth) if len(places) == 1 else None


def _divide(above: str, below: str, depth: int) -> Fraction | None:
    upper, lower = _value(above, depth), _value(below, depth)
    return None if upper is None or not lower else upper / lower


def _power(text: str, depth: int) -> Fraction | None:
    text = text.replace("**", "^")
    places = [at for at, sign in _outer(text) if sign == "^"]
    if not places:
        return None
    base, exponent = _value(text[: places[0]], depth), _value(text[places[0] + 1 :], depth)
    return None if base is None or exponent is None else _raise(base, exponent)


def _raise(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1 or (base == 0 and exponent <= 0):
        return None
    bits = max(abs(base.numerator), base.denominator).bit_length()
    if abs(base) != 1 and bits * abs(exponent.numerator) > MAX_BITS:
        raise TooLarge(f"a power of more than {MAX_BITS} bits")
    return base ** (exponent.numerator % 2 if abs(base) == 1 else exponent.numerator)


def _outer(text: str) -> list[tuple[int, str]]:
    """(position, character) outside of all brackets."""
    depth, out = 0, []
    for at, sign in enumerate(text):
        depth += (sign in "({[") - (sign in ")}]")
        if depth == 0:
            out.append((at, sign))
    return out


def _closing(text: str, start: int) -> int | None:
    """Position of the bracket that closes the one at `start`, None where it stays open."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] in "({[") - (text[at] in ")}]")
        if depth == 0:
            return at
    return None


@lru_cache(maxsize=8192)
def read(text: str) -> Reading:
    """The kind and the class of an answer. Raises TooLarge."""
    plain = clean(text)
    numeral = re.fullmatch(r"([-+]?)([\d,]*)(?:\.(\d*))?", plain)
    if numeral and len(plain) > MAX_DIGITS:  # too long to multiply out, and never unclear
        whole, part = numeral[2].replace(",", "").lstrip("0"), (numeral[3] or "").rstrip("0")
        return Reading("number", f"{'-' if numeral[1] == '-' else ''}{whole or '0'}{'.' + part if part else ''}")
    value = rational(plain)
    if value is not None:
        return Reading("number", str(value))
    option = re.fullmatch(r"\(([A-Za-z])\)", plain)
    if option:
        return Reading("word", option[1].casefold())
    if re.fullmatch(r"[^\W\d_][\w\s,.'\-:]*", plain) and not re.fullmatch(r"[a-z]\d*|\d*[a-z]", plain):
        return Reading("word", " ".join(plain.casefold().split()))
    formula = re.sub(r"^[A-Za-z]\s*=(?!.*=)", "", plain).replace("%", "")
    return Reading("symbolic", re.sub(r"(?<!\w)\s+|\s+(?!\w)", "", formula))  # "7 2" is not "72"


def canonical(text: str) -> str:
    """The class of an answer: equal strings are one vote. Answers that a guard refuses are classes of their own."""
    try:
        return read(text).canonical
    except TooLarge:
        return re.sub(r"\s+", "", text)[:MAX_CHARS]


def compare(gold: str, answer: str) -> bool | None:
    """Exact comparison; None where only SymPy can tell (a symbolic gold). Raises TooLarge on an answer too large."""
    if clean(gold) == clean(answer):
        return True
    right = read(gold)
    given = read(answer)
    if right == given:
        return True
    return None if right.kind == "symbolic" and given.kind != "word" else False


def guard(text: str) -> None:
    """Raise TooLarge on what could keep SymPy busy: long text, deep nesting, towers and large factorials."""
    text = text.replace("**", "^")
    if len(text) > MAX_CHARS:
        raise TooLarge(f"an answer of {len(text)} characters (limit {MAX_CHARS})")
    if re.search(rf"\d{{{MAX_DIGITS // 10}}}", text):
        raise TooLarge(f"a number of {MAX_DIGITS // 10} digits or more")
    if re.search(r"\^\s*[{(]?\s*-?\s*[\d,]{5,}|\d[eE][+-]?\d{4}", text):
        raise TooLarge("an exponent of five digits or more")
    if re.search(r"\d{4,}\s*!|[)}!]\s*!", text):
        raise TooLarge("a factorial of a large number or of an expression")
    depth, powers = 0, 0
    for at, sign in enumerate(text) if _NESTING.search(text) else ():
        depth += (sign in "({[") - (sign in ")}]")
        powers = powers + 1 if sign == "^" else (0 if depth == 0 and sign in " +-=," else powers)
        if depth > MAX_NESTING:
            raise TooLarge(f"nesting deeper than {MAX_NESTING}")
        if powers > 2 and re.match(r"\^\s*[{(]?[^{}()]*\^", text[at:]):
            raise TooLarge("a tower of exponents")
    if re.search(r"\d\s*\^\s*\{?\s*\d+\s*\^\s*\{?\s*\d", text):
        raise TooLarge("a tower of exponents")


def parse_symbolic(text: str) -> list[Any]:
    """Math-Verify's reading of a text: [] or [SymPy object, the string it was read from]. May be slow.

    Raises TooLarge (guards) and Math-Verify's TimeoutException, which is no reading and not an empty one.
    """
    from math_verify import ExprExtractionConfig, LatexExtractionConfig

    return _parse(text, (LatexExtractionConfig(), ExprExtractionConfig()))


def parse_box(said: str) -> list[Any]:
    """Math-Verify's reading of a box by itself; [] where it would go on to what stands around the box."""
    from math_verify import LatexExtractionConfig

    found = _parse(rf"\boxed{{{said}}}", (LatexExtractionConfig(try_extract_without_anchor=False),))
    return found if len(found) == 2 else []


def _parse(text: str, targets: tuple[Any, ...]) -> list[Any]:
    from math_verify import parse

    guard(text)
    try:
        return list(parse(text, targets, parsing_timeout=_seconds(), raise_on_error=True))  # type: ignore[arg-type]
    except Exception:  # what Math-Verify can't read, it reads nothing from; its timeouts are no `Exception`
        return []


def symbolic_equal(gold: str, answer: str) -> bool:
    """Math-Verify's verdict on two boxed answers, checked at forty digits. May be slow or hang: use a killable pool.

    Raises TooLarge (guards), ValueError where the gold itself can't be read.
    """
    right, given = (parse_symbolic(rf"\boxed{{{clean(side).replace('%', '')}}}") for side in (gold, answer))
    if not right:
        raise ValueError(f"the gold {gold!r} can't be parsed")
    return verdict(right, given)


def verdict(right: list[Any], given: list[Any]) -> bool:
    """Whether two readings of `parse_symbolic` are equal."""
    from math_verify import verify

    if not right or not given:
        return False
    same = verify(right, given, timeout_seconds=_seconds(), raise_on_error=True)
    return bool(same) and _no_tolerance(right[0], given[0])


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
