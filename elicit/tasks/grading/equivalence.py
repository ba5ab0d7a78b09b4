r"""When two written answers are the same answer.

    kind           the same if
    number         the values are equal, and the units, if both have one, do not contradict each other
    expression     the exact normal forms are equal (`normal`); if there is none, SymPy decides
    equation       one difference of sides is a multiple of the other:  2x + 4y = 6  and  y = -x/2 + 3/2
    labelled       the bodies are, and the labels, if both have one:  x = -2  is -2 but not  y = -2
    inequality     its sides are, as an equation with a positive factor's direction kept
    tuple          the brackets and, in order, the parts are;  a list without brackets is a tuple of round ones
    list, set      the parts are, in any order (a set: each counted once); with an ellipsis in the given order
    union, matrix  the parts are: in any order, cell by cell
    based, ratio, congruence, option, text      digits and base; the quotients; residues and modulus; letters; words

Different kinds are different answers but for these pairs: a ratio and its quotient, an option and its bare letter, a
set and a list, a labelled body and the body. A number is never the same as an expression that still has to be worked
out: 6 * 7 is no answer to 42 (inside of tuples and lists it is). No comparison has a tolerance. The relation is
reflexive and symmetric. `answer_class` names classes for votes: units and labels are dropped, so that "3", "3 boys" and
"x = 3" are one vote. What this module does not know: completions, tasks, timeouts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import lru_cache

from elicit.tasks.grading import normal, symbolic, unit
from elicit.tasks.grading.answer import Answer, parse, words
from elicit.tasks.grading.number import MAX_CHARS, TooLarge

Decide = Callable[[str, str, str], bool | None]
"""(kind, gold, answer) -> whether two texts that have no normal form are equal; None if that is left open"""

_GREEK = frozenset(
    ["\\alpha", "\\beta", "\\gamma", "\\delta", "\\theta", "\\lambda", "\\mu", "\\sigma", "\\phi", "\\omega"]
)
_LETTER = re.compile(r"\\[A-Za-z]+|[A-Za-z]")
_SUBSCRIPT = re.compile(r"_(?:\{([^{}]{0,40})\}|(\w))")
_SPACES = re.compile(r"(?<!\w)\s+|\s+(?!\w)")
_ARTICLE = re.compile(r"^(?:the|an?) (?=\S)")
_MOST_PARTS = 40


def left_open(kind: str, gold: str, answer: str) -> bool | None:
    """Leaves the comparison of two expressions open (None). Raises TooLarge if they are too large for SymPy."""
    symbolic.guard(answer)
    return None


def by_sympy(kind: str, gold: str, answer: str) -> bool | None:
    """Whether two expressions are equal, or two equations' differences proportional. May be slow or hang."""
    return (symbolic.proportional if kind == "equation" else symbolic.equal)(gold, answer)


def same(gold: Answer, answer: Answer, decide: Decide = left_open, top: bool = True) -> bool | None:
    """Whether two answers are the same; None if only `decide` could decide and it leaves it open. Raises TooLarge."""
    if gold == answer:
        return True
    if "long" in (gold.kind, answer.kind):
        if gold.kind in ("number", "numeral", "text"):
            return False
        raise TooLarge(f"an answer of {max(len(gold.text), len(answer.text))} characters (limit {MAX_CHARS})")
    a, b = sorted((gold, answer), key=lambda one: _ORDER.index(one.kind))
    return _BY_KIND[a.kind](a, b, decide, top)


def equal(gold: str, answer: str, letters: bool = False) -> bool | None:
    """`same` of two texts without SymPy. Raises TooLarge."""
    return same(parse(gold, letters), parse(answer, letters))


def _labelled(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    if b.kind == "labelled":
        if a.mark == b.mark:
            return same(a.parts[0], b.parts[0], decide, top)
        return _equation(_as_equation(a), _as_equation(b), decide, top) if _closed(a) or _closed(b) else False
    return _equation(_as_equation(a), b, decide, top) if b.kind == "equation" else same(a.parts[0], b, decide, top)


def _closed(labelled: Answer) -> bool:
    """Whether the body of y = 2x + 3 holds variables, so that the same line can be solved for another one."""
    return labelled.parts[0].kind == "expression" and bool(letters_of(labelled.parts[0].text))


def _as_equation(labelled: Answer) -> Answer:
    return Answer("equation", labelled.text, (Answer("expression", labelled.mark), labelled.parts[0]))


def _equation(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    if b.kind == "expression":  # an identity: (x+1)^2 - 2x = x^2 + 1
        return _all(same(part, b, decide, False) for part in a.parts)
    if b.kind != "equation":
        return False
    if any(part.kind not in ("number", "expression") for part in (*a.parts, *b.parts)):
        pairs = [(a.parts, b.parts), (a.parts, b.parts[::-1])]
        return any(_all(same(x, y, decide, False) for x, y in zip(*pair, strict=True)) for pair in pairs)
    left, right = (f"({one.parts[0].text})-({one.parts[1].text})" for one in (a, b))
    forms = normal.form(left), normal.form(right)
    if forms[0] is not None and forms[1] is not None:
        return normal.proportional(forms[0], forms[1])
    return False if letters_of(left) != letters_of(right) else decide("equation", left, right)


def _inequality(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    if b.kind != "inequality" or a.mark != b.mark:
        return False
    forms = [normal.form(f"({one.parts[0].text})-({one.parts[1].text})") for one in (a, b)]
    if forms[0] and forms[1]:
        sign = min(forms[0], key=lambda part: part[0])[1] * min(forms[1], key=lambda part: part[0])[1]
        return normal.proportional(forms[0], forms[1]) and (sign > 0 or a.mark == "\\ne")
    return _all(same(x, y, decide, False) for x, y in zip(a.parts, b.parts, strict=True))


def _number(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    if b.kind in ("number", "ratio"):
        return a.value == b.value and unit.agree(a.unit, b.unit)
    if b.kind != "expression" or top or a.unit:
        return False
    form = normal.form(b.text)
    if form is not None or letters_of(b.text):
        return form == normal.of_number(a.value or Fraction(0))
    return decide("expression", a.text, b.text)


def _ratio(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    return b.kind == "ratio" and a.value == b.value


def _expression(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    if b.kind == "option":
        return a.text == b.mark
    if b.kind != "expression":
        return False
    if not unit.agree(a.unit, b.unit):
        return False
    if _SPACES.sub("", a.text) == _SPACES.sub("", b.text):
        return True
    forms = normal.form(a.text), normal.form(b.text)
    if forms[0] is not None and forms[1] is not None:
        return forms[0] == forms[1]
    below = _subscripts(a.text), _subscripts(b.text)
    if letters_of(a.text) != letters_of(b.text) or (all(below) and below[0] != below[1]):
        return False
    return decide("expression", a.text, b.text)


def _list(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    if b.kind == "tuple":
        return b.mark == "()" and _in_order(a.parts, b.parts, decide)
    if b.kind not in ("list", "set"):
        return False
    if any(part.text == "\\ldots" for part in (*a.parts, *b.parts)):
        return _in_order(a.parts, b.parts, decide)
    return _any_order(_different(a.parts), _different(b.parts), decide)


def _set(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    if b.kind == "set":
        return _list(a, b, decide, top)
    return len(a.parts) == 1 and same(a.parts[0], b, decide, False) if b.kind in ("number", "expression") else False


def _tuple(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    return b.kind == "tuple" and a.mark == b.mark and _in_order(a.parts, b.parts, decide)


def _union(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    return b.kind == "union" and _any_order(a.parts, b.parts, decide)


def _matrix(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    if b.kind != "matrix" or a.mark != b.mark or len(a.parts) != len(b.parts):
        return False
    return _all(_in_order(x.parts, y.parts, decide) for x, y in zip(a.parts, b.parts, strict=True))


def _congruence(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    if b.kind != "congruence" or a.mark != b.mark:
        return False
    if a.parts[-1].value is not None and b.parts[-1].value is not None:
        residues = (a.parts[-1].value - b.parts[-1].value) / Fraction(int(a.mark) or 1)
        named = len(a.parts) == len(b.parts)
        return residues.denominator == 1 and (not named or _in_order(a.parts[:-1], b.parts[:-1], decide))
    return _in_order(a.parts, b.parts, decide)


def _based(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    return b.kind == "based" and (a.text, a.mark) == (b.text, b.mark)


def _option(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    return b.kind == "option" and a.mark.casefold() == b.mark.casefold()


def _text(a: Answer, b: Answer, decide: Decide, top: bool) -> bool | None:
    return a.kind == b.kind and text_class(a.text) == text_class(b.text)


_BY_KIND: dict[str, Callable[[Answer, Answer, Decide, bool], bool | None]] = {
    "labelled": _labelled, "equation": _equation, "inequality": _inequality, "number": _number,
    "expression": _expression, "list": _list, "set": _set, "tuple": _tuple, "union": _union, "matrix": _matrix,
    "congruence": _congruence,
    "based": _based, "ratio": _ratio, "option": _option, "text": _text, "numeral": _text,
}  # fmt: skip
_ORDER = (
    "labelled", "equation", "inequality", "list", "set", "number", "ratio", "expression", "tuple", "union", "matrix",
    "congruence", "based", "option", "text", "numeral",
)  # fmt: skip


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    found = list(verdicts)
    return False if False in found else (None if None in found else True)


def _in_order(a: Sequence[Answer], b: Sequence[Answer], decide: Decide) -> bool | None:
    if len(a) != len(b):
        return False
    return _all(same(x, y, decide, False) for x, y in zip(a, b, strict=True))


def _any_order(a: Sequence[Answer], b: Sequence[Answer], decide: Decide) -> bool | None:
    """Whether the parts can be paired: pairs that are equal without doubt first, then the ones left open."""
    if len(a) != len(b) or len(a) > _MOST_PARTS:
        return False
    rest, left = list(b), []
    for x in a:
        at = next((i for i, y in enumerate(rest) if same(x, y, left_open, False)), None)
        if at is None:
            left.append(x)
        else:
            del rest[at]
    undecided = False
    for x in left:
        verdicts = [same(x, y, decide, False) for y in rest]
        if True in verdicts:
            del rest[verdicts.index(True)]
        elif None in verdicts:
            undecided = True
        else:
            return False
    return None if undecided else True


def _different(parts: Sequence[Answer]) -> list[Answer]:
    """The parts without repetitions: 2, 3, 3 are the solutions 2, 3."""
    out: list[Answer] = []
    for part in parts[: _MOST_PARTS + 1]:
        if not any(same(part, one, left_open, False) for one in out):
            out.append(part)
    return out


def letters_of(text: str) -> frozenset[str]:
    """The variables of an expression; e and i are numbers."""
    return frozenset(t for t in _LETTER.findall(text) if (t in _GREEK if t[0] == "\\" else t not in "ei"))


def _subscripts(text: str) -> frozenset[str]:
    return frozenset((match[1] or match[2]).strip() for match in _SUBSCRIPT.finditer(text))


@lru_cache(maxsize=8192)
def answer_class(text: str, letters: bool = False) -> str:
    """The class of an answer of kind number or math; an answer that a guard refuses is a class of its own."""
    try:
        return _name(parse(text, letters))
    except TooLarge:
        return re.sub(r"\s+", "", text)[:MAX_CHARS]


def _name(answer: Answer, top: bool = True) -> str:
    if answer.value is not None:
        return str(answer.value)
    if answer.kind == "long":
        return re.sub(r"\s+", "", answer.text)[:MAX_CHARS]
    if answer.kind == "labelled":
        return _name(answer.parts[0], top)
    if answer.kind == "equation" and all(part.kind in ("number", "expression") for part in answer.parts):
        found = normal.form(f"({answer.parts[0].text})-({answer.parts[1].text})")
        return _SPACES.sub("", answer.text) if found is None else f"{_written(normal.scaled(found))}=0"
    if answer.kind in ("list", "set") and not any(part.text == "\\ldots" for part in answer.parts):
        return ",".join(sorted({_name(part, False) for part in answer.parts}))
    if answer.kind == "union":
        return " or ".join(sorted(_name(part, False) for part in answer.parts))
    if answer.parts:
        ends = answer.mark if len(answer.mark) == 2 else (answer.mark, "")
        return f"{ends[0]}{','.join(_name(part, False) for part in answer.parts)}{ends[1]}"
    if answer.kind == "expression":
        form = normal.form(answer.text)
        if form is None:
            return _SPACES.sub("", answer.text)
        written = _written(form) or "0"
        return f"({written})" if top and normal.constant(form) is not None else written  # not worked out yet
    if answer.kind == "option":
        return answer.mark.upper()
    return f"{answer.text}_{answer.mark}" if answer.kind == "based" else text_class(answer.text)


def _written(form: normal.Form) -> str:
    terms = []
    for (root, powers), value in sorted(form, key=lambda part: (part[0][1], part[0][0])):
        factors = [name if power == 1 else f"{name}^{power}" for name, power in powers]
        factors = [*([] if root == 1 else [f"sqrt({root})"]), *factors]
        terms.append("*".join([*([] if value == 1 and factors else [str(value)]), *factors]))
    return " + ".join(terms)


@lru_cache(maxsize=8192)
def text_class(text: str) -> str:
    """Words as they are compared: in any case, without articles in front, commas, full stops and quotes."""
    plain = text.replace("\\text", " ").translate(_NO_PUNCTUATION).casefold()
    return _ARTICLE.sub("", " ".join(plain.split()))


_NO_PUNCTUATION = str.maketrans({sign: " " for sign in ',;{}"“”'} | {"'": "", ".": "", "’": ""})

__all__ = ["TooLarge", "answer_class", "by_sympy", "equal", "left_open", "parse", "same", "text_class", "words"]
