r"""What kind of thing a written answer is, taken apart into its pieces.

    answer      = number | based | ratio | congruence | labelled | equation | inequality | matrix | union | bracketed
                | list | option | text | expression
    number      = quantity                                          `unit`: 18 dollars
    based       = digits "_" base                                   2516_8
    ratio       = digits ":" digits                                 3:4
    congruence  = [answer "\equiv"] answer "\pmod{" n "}"
    labelled    = label ("=" | "\in") answer                        x = 5   f(x) = x^2   P(X > 2) = 1/4   x \in [0, 1]
                | { arithmetic "=" } answer                         48 + 24 = 72: the last side; no label
    equation    = answer "=" answer                                 x^2 + y^2 = 25
    inequality  = answer ("<" | "\le" | "\ne") answer               a single variable between constants is an interval
    matrix      = "\begin{pmatrix}" rows "\end{pmatrix}"            rows by "\\", cells by "&"
    union       = bracketed { "\cup" bracketed }
    bracketed   = ("(" | "[" | "\{" | "\langle") list (")" | "]" | "\}" | "\rangle")        a tuple, interval or set
    list        = answer { ("," | ";" | "and" | "or") answer }      without brackets; 1 \pm a is a list of two
    option      = "(" letter ")" | "\text{" letter "}"
    text        = whatever holds an ordinary word                   Mr. Smith    20 June
    expression  = everything else                                   letters are variables: p - q, xy, 1/2 mv^2

Brackets make a comma a separator: (1,100) is a tuple, 1,100 alone a number. What this module does not know: equality.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from elicit.tasks.grading import unit
from elicit.tasks.grading.notation import clean
from elicit.tasks.grading.number import MAX_CHARS, MAX_DIGITS, MAX_NESTING, TooLarge, closing

MAX_LENGTH = 2 * MAX_CHARS
"""a longer text is not taken apart; it is "long", or a "numeral" if it is one number"""


class Answer(NamedTuple):
    """An answer of one `kind`. `mark`: a label, the brackets, an operator, a base or a modulus, by kind."""

    kind: str
    text: str
    parts: tuple[Answer, ...] = ()
    mark: str = ""
    value: Fraction | None = None
    unit: frozenset[str] = frozenset()


_LONG = re.compile(r"([-+]?)([\d,]*)(?:\.(\d*))?")
_OPTION = re.compile(r"\(\s?([A-Za-z])\s?\)|\\text\s?\{\s?\(?([A-Za-z])\)?\s?\}")
_ALL_TEXT = re.compile(r"\\text\s?\{([^{}]*)\}")
_BASED = re.compile(r"([0-9A-F]{1,100})_(?:\{\s?\(?(\d{1,2})\)?\s?\}|(\d{1,2}))")
_RATIO = re.compile(r"(\d{1,9}) ?: ?(\d{1,9})")
_MODULUS = re.compile(r"\(?\s?\\?(?:pmod|mod|bmod)\s?\{?\s?(\d{1,30})\s?\}?\s?\)?$")
_MATRIX = re.compile(r"\\begin\{([pbvBV]?matrix|array)\}(?:\{[lcr|]{0,20}\})?")
_STEP = re.compile(r"\\begin\b|\\end\b|\\[{}]|[({\[]|[)}\]]|\\langle|\\rangle")
_SEPARATOR = re.compile(r",|;|\\text ?\{,? ?(?:and|or) ?\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])")
_SPACED = re.compile(r"[,;] |\\text|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_EQUALS = re.compile(r"(?<![<>!:=])=(?!=)|\\equiv(?![A-Za-z])")
_COMPARES = re.compile(r"<=|>=|!=|[<>]|\\(?:le|ge|ne)(?![A-Za-z])")
_OPERATORS = {"<=": "\\le", ">=": "\\ge", "!=": "\\ne"}
_MIRRORED = {">": "<", "\\ge": "\\le"}
_IN = re.compile(r"\\in(?![A-Za-z])")
_CUP = re.compile(r"\\cup(?![A-Za-z])")
_ROW, _CELL = re.compile(r"\\\\(?:\[[\d.]{1,5}[a-z]{2}\])?"), re.compile(r"&")
_VARIABLE = re.compile(r"(?:[A-Za-z]|\\(?!pi\b)[a-z]{2,8})'?(?:_(?:\w|\{\w{1,8}\}))?'?")
_NAMED = re.compile(
    r"m?\s?\\(?:overline|angle|triangle|widehat|measuredangle)\s?\{?\s?[A-Z]{1,4}\s?\}?|\([a-z](?:, ?[a-z]){1,4}\)"
)
_WITH_UNIT = re.compile(r"([^\s].*?)\s?\\text\s?\{([^{}]{1,60})\}(\s?\^\s?\{?[23]\}?)?")
_FUNCTION = re.compile(r"(?:[A-Za-z]{1,3}|\\[a-z]{2,8})(?:_\w|'|\^\{-1\})?\s?\([^()=]{0,60}\)")
_TOKEN = re.compile(r"\\[A-Za-z]+|[^\W\d_]+")
_TWO_LETTERS = frozenset(
    re.findall(
        r"\S+",
        "no am pm is or if it in on at of to by up so we he me my us go do an as be st mr dr",
    )
)
_BRACKETS = {"(": ")", "[": "]", "\\{": "\\}", "\\langle": "\\rangle"}


@lru_cache(maxsize=8192)
def parse(text: str, letters: bool = False) -> Answer:
    """The kind of an answer and its parts; `letters`: a single letter after a number is a unit. Raises TooLarge."""
    if len(text) > MAX_LENGTH:
        return _number(text.strip(" \n$*.,"), letters) or Answer("long", text)
    return _read(clean(text), letters, 0)


def _read(text: str, letters: bool, depth: int) -> Answer:
    if depth > MAX_NESTING:
        raise TooLarge(f"nesting deeper than {MAX_NESTING}")
    text = text.strip()
    found = _number(text, letters) or _short(text)
    if found:
        return found
    whole = _ALL_TEXT.fullmatch(text)
    if whole:
        inner = _read(clean(whole[1]), True, depth + 1)
        written = inner.kind in ("number", "option", "list") or not has_words(whole[1])
        return inner if written else Answer("text", clean(whole[1]))
    if text[:1] == "{" and closing(text, 0) == len(text) - 1:
        return _read(text[1:-1], letters, depth + 1)
    for rule in (_matrix, _congruence, _list, _relation, _union, _bracketed, _both_signs):
        found = rule(text, letters, depth + 1)
        if found:
            return found
    return _with_unit(text) or Answer("text" if has_words(text) else "expression", text)


def _number(text: str, letters: bool) -> Answer | None:
    if len(text) > MAX_DIGITS:
        numeral = _LONG.fullmatch(text)
        if not numeral or not numeral[2]:
            return None
        whole, part = numeral[2].replace(",", "").lstrip("0"), (numeral[3] or "").rstrip("0")
        return Answer("numeral", f"{'-' if numeral[1] == '-' else ''}{whole or '0'}{'.' + part if part else ''}")
    found = unit.quantity(text, letters)
    return Answer("number", text, value=found.value, unit=found.unit) if found else None


def _with_unit(text: str) -> Answer | None:
    r"""An expression with a unit in \text{} after it: 10\pi\text{ cm}."""
    match = _WITH_UNIT.fullmatch(text) if text.endswith(("}", "2", "3")) else None
    found = unit.read(f"\\text{{{match[2]}}}{match[3] or ''}") if match and not has_words(match[1]) else None
    return Answer("expression", match[1], unit=found.unit) if match and found and found.value == 1 else None


def _short(text: str) -> Answer | None:
    """What its form alone decides: an option, a number in a base, a ratio."""
    if option := _OPTION.fullmatch(text):
        return Answer("option", text, mark=option[1] or option[2])
    if based := _BASED.fullmatch(text):
        return Answer("based", based[1].lstrip("0") or "0", mark=based[2] or based[3])
    if (ratio := _RATIO.fullmatch(text)) and int(ratio[2]):
        return Answer("ratio", text, value=Fraction(int(ratio[1]), int(ratio[2])))
    return None


def _matrix(text: str, letters: bool, depth: int) -> Answer | None:
    opening = _MATRIX.match(text)
    ending = rf"\end{{{opening[1]}}}" if opening else ""
    if not opening or not text.endswith(ending) or text.count("\\begin") != 1:
        return None
    rows = [row for row in _ROW.split(text[opening.end() : -len(ending)]) if row.strip()]
    cells = [[_read(cell, letters, depth) for cell in _CELL.split(row)] for row in rows]
    if not cells:
        return None
    parts = tuple(Answer("row", "", tuple(row)) for row in cells)
    return Answer("matrix", text, parts, mark="det" if opening[1] == "vmatrix" else "")


def _congruence(text: str, letters: bool, depth: int) -> Answer | None:
    modulus = _MODULUS.search(text[-60:]) if "mod" in text[-60:] else None
    if not modulus:
        return None
    sides = _pieces(text[: len(text) - len(modulus[0])], _EQUALS)[0]
    if len(sides) > 2 or not all(side.strip() for side in sides):
        return None
    return Answer("congruence", text, tuple(_read(side, letters, depth) for side in sides), mark=modulus[1])


def _list(text: str, letters: bool, depth: int) -> Answer | None:
    if "\\pmod" in text or not _SEPARATOR.search(text):
        return None
    parts = _pieces(_THOUSANDS.sub("", text) if _SPACED.search(text) else text, _SEPARATOR)[0]
    parts = [part for part in parts if part.strip()]
    if len(parts) < 2 or any(sign in text for sign in ("\\forall", "\\text{if")):
        return None
    return Answer("list", text, tuple(_read(part, letters, depth) for part in parts))


def _relation(text: str, letters: bool, depth: int) -> Answer | None:
    sides, _ = _pieces(text, _EQUALS)
    if len(sides) > 1:
        return _equation(text, [side.strip() for side in sides], letters, depth)
    sides, operators = _pieces(text, _COMPARES)
    if len(sides) > 1:
        return _inequality(text, [side.strip() for side in sides], operators, letters, depth)
    sides, _ = _pieces(text, _IN)
    if len(sides) == 2 and is_label(sides[0]):
        return Answer("labelled", text, (_read(sides[1], letters, depth),), mark=_name(sides[0]))
    return None


def _equation(text: str, sides: list[str], letters: bool, depth: int) -> Answer | None:
    if not all(sides):
        return None
    if len(sides) == 2 and is_label(sides[1]) and _number(sides[0], letters):
        sides = sides[::-1]  # 5 = x
    *before, last = sides
    if all(is_label(side) or not has_variables(side) for side in before) and (
        any(is_label(side) for side in before) or not has_variables(last)
    ):
        body = _read(last, letters, depth)
        label = _name(before[0]) if is_label(before[0]) and not has_words(before[0]) else ""
        return Answer("labelled", text, (body,), mark=label) if label else body
    if len(sides) != 2:
        return Answer("expression", text)
    return Answer("equation", text, tuple(_read(side, letters, depth) for side in sides))


def _inequality(text: str, sides: list[str], operators: list[str], letters: bool, depth: int) -> Answer | None:
    signs = [_OPERATORS.get(sign, sign) for sign in operators]
    if not all(sides) or len(sides) > 3:
        return None
    if all(sign in _MIRRORED for sign in signs):
        sides, signs = sides[::-1], [_MIRRORED[sign] for sign in reversed(signs)]
    if signs == ["\\ne"] or (len(sides) == 2 and signs[0] in ("<", "\\le") and not _bounded(sides)):
        return Answer("inequality", text, tuple(_read(side, letters, depth) for side in sides), mark=signs[0])
    if not all(sign in ("<", "\\le") for sign in signs) or not _bounded(sides):
        return None
    variable = next(side for side in sides if _VARIABLE.fullmatch(side))
    at = sides.index(variable)
    low = _read(sides[at - 1] if at else "-\\infty", letters, depth)
    high = _read(sides[at + 1] if at + 1 < len(sides) else "\\infty", letters, depth)
    left = "[" if at and signs[at - 1] == "\\le" else "("
    right = "]" if at + 1 < len(sides) and signs[at] == "\\le" else ")"
    return Answer("labelled", text, (Answer("tuple", text, (low, high), mark=left + right),), mark=variable)


def _bounded(sides: list[str]) -> bool:
    """Whether one side is a variable, in the middle of three, and the others are constants."""
    variables = [bool(_VARIABLE.fullmatch(side)) for side in sides]
    constant = all(is_variable or not has_variables(side) for is_variable, side in zip(variables, sides, strict=True))
    return sum(variables) == 1 and constant and (len(sides) == 2 or variables[1])


def _union(text: str, letters: bool, depth: int) -> Answer | None:
    pieces, _ = _pieces(text, _CUP)
    if len(pieces) < 2:
        return None
    parts = tuple(_read(piece, letters, depth) for piece in pieces)
    if all(part.kind == "set" for part in parts):
        return Answer("set", text, tuple(one for part in parts for one in part.parts))
    return Answer("union", text, parts)


def _bracketed(text: str, letters: bool, depth: int) -> Answer | None:
    opening = next((sign for sign in _BRACKETS if text.startswith(sign)), "")
    endings = (")", "]") if opening in ("(", "[") else (_BRACKETS.get(opening, ""),)
    ending = next((sign for sign in endings if sign and text.endswith(sign)), "")
    inner = text[len(opening) : len(text) - len(ending)] if opening and ending else ""
    if not inner.strip() or not _balanced(inner) or "|" in inner:
        return None
    if inner.strip().startswith("\\begin"):
        return _matrix(inner.strip(), letters, depth)
    parts = [part for part in _pieces(inner, re.compile(r"[,;]"))[0]]
    if not all(part.strip() for part in parts) or (len(parts) == 1 and opening != "\\{"):
        return None
    read = tuple(_read(part, letters, depth) for part in parts)
    if opening == "\\{":
        expanded = tuple(one for part in read for one in (part.parts if part.mark == "\\pm" else (part,)))
        return Answer("set", text, expanded)
    return Answer("tuple", text, read, mark="()" if opening == "\\langle" else opening + ending)


def _both_signs(text: str, letters: bool, depth: int) -> Answer | None:
    if "\\pm" not in text:
        return None
    plus, minus = text.replace("\\pm", "+").replace("\\mp", "-"), text.replace("\\pm", "-").replace("\\mp", "+")
    return Answer("list", text, (_read(plus, letters, depth), _read(minus, letters, depth)), mark="\\pm")


def _pieces(text: str, separator: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """The pieces of a text between separators outside of all brackets, and the separators."""
    marks = sorted([*_STEP.finditer(text), *separator.finditer(text)], key=lambda match: match.start())
    depth, start, pieces, signs = 0, 0, [], []
    for mark in marks:
        sign = mark[0]
        if mark.re is separator:
            if depth == 0:
                pieces.append(text[start : mark.start()])
                signs.append(sign)
                start = mark.end()
        else:
            depth += (sign in ("(", "[", "{", "\\{", "\\begin", "\\langle")) - (
                sign in (")", "]", "}", "\\}", "\\end", "\\rangle")
            )
    return [*pieces, text[start:]], signs


def _balanced(text: str) -> bool:
    depth = 0
    for sign in text:
        depth += (sign in "({[") - (sign in ")}]")
        if depth < 0:
            return False
    return depth == 0


def _name(label: str) -> str:
    return re.sub(r"[\s{}]", "", label)


def is_label(text: str) -> bool:
    """Whether the left side of an equation is only a name: x, f(x), P(X > 2), AB, total cost."""
    text = text.strip()
    if _VARIABLE.fullmatch(text) or _NAMED.fullmatch(text) or _FUNCTION.fullmatch(text) or _ALL_TEXT.fullmatch(text):
        return True
    tokens = text.split()
    return bool(tokens) and all(is_word(token.strip("'.:")) or re.fullmatch(r"[A-Z]{2,3}", token) for token in tokens)


def is_word(token: str) -> bool:
    """Whether letters are an ordinary word and not a product of variables: "even" is, "mgh", "xy" and "abc" are not."""
    lower = token.casefold()
    if not token.isalpha():
        return False
    if len(token) < 3:
        return lower in _TWO_LETTERS
    if token.isupper():
        return True
    return any(vowel in lower for vowel in "aeiouyà") and not set(lower) <= set("abcd") and not set(lower) <= set("xyz")


def words(text: str) -> Iterable[str]:
    """The tokens of letters of a text, LaTeX commands left out."""
    return (token for token in _TOKEN.findall(text) if token[0] != "\\")


def has_words(text: str) -> bool:
    """Whether a text holds an ordinary word."""
    return "\\text" in text or any(is_word(token) for token in words(text))


def has_variables(text: str) -> bool:
    """Whether a text holds letters that are neither words nor units, so that it is not plain arithmetic."""
    tokens = _TOKEN.findall(text)
    commands = ("\\times", "\\cdot", "\\frac", "\\div", "\\sqrt", "\\pi", "\\text", "\\infty", "\\approx", "\\left")
    return any(
        token not in commands
        if token[0] == "\\"
        else not is_word(token) and unit.read(f" {token}") is None and token != "x"
        for token in tokens
    ) or bool(re.search(r"(?<![\s\d])x|x(?![\s\d])|\dx(?!\d)|\\text\{ ?[a-z] ?\}", text))
