"""Judging an answer against its gold, by the kind of answer that a task has.

    number   exact rationals only                     (gsm8k, reasoning-gym arithmetic)
    math     rationals first, then Math-Verify        (MATH, a user's own file)
    option   the letter of a choice                   (BBH)
    word     yes/no, true/false, valid/invalid        (BBH)
    text     the words as written, blanks apart       (BBH, reasoning-gym strings)

Two stages: `quick` decides what needs neither Math-Verify nor SymPy (rationals, normal forms of short expressions)
and marks the rest `PENDING`; `full` decides all of it and may be slow or hang, so the grade stage runs it in
`elicit.tasks.grading.pool`. If all that a completion says is in one box, the verdicts depend on the gold and that box
(`Said`), whatever was worked out before: completions with other working and the same box share one verification.
One grader for training and evaluation. What this module does not know: files, processes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from elicit.errors import ConfigError, near
from elicit.tasks.grading import equivalence, extract, loose, normal
from elicit.tasks.grading.equivalence import TooLarge
from elicit.tasks.task import Judgement

KINDS = ("number", "math", "option", "word", "text")
PENDING = "pending"
"""`Judgement.ungraded` of a verdict that `full` still has to complete"""
UNREAD = "unread"
"""`Judgement.ungraded` of a box that Math-Verify can't read, so that the text around it counts"""


class Said(NamedTuple):
    """What the verdicts of a completion depend on when all that it says stands in one box."""

    gold: str
    box: str
    finished: bool
    """whether the strict verdict is wanted too; without it that is wrong already"""


_WORDS = ("yes", "no", "true", "false", "valid", "invalid")
_OPTION = re.compile(r"\(([A-Za-z])\)|^([A-Za-z])(?:[.:)]|$)")
_LOOSE_OPTION = re.compile(r"\(([A-Z])\)|\b([A-Z])(?=[.:)]|\s*$)")
_NUMBER = r"(-?\d{1,12}|-?\d{1,3}(?:,\d{3}){1,3})"
_SCALING = "hundred|thousand|million|billion|trillion|dozen|half|and|or|over|to"
_WORDS_BEHIND = rf"(?: (?!(?:{_SCALING})\b)[A-Za-z]{{2,}}){{0,6}}\.?\s*$"
_STATED = re.compile(rf"\b[Tt]he answer is \$?{_NUMBER}{_WORDS_BEHIND}")
_BOXED = re.compile(r"\\boxed\{(-?\d{1,12})\}\.?\s*$")
_ENDING = re.compile(rf"(?<=[A-Za-z:=])\s+\$?{_NUMBER.replace('-?', '')}{_WORDS_BEHIND}")
_LOOSE_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?(?<!,)")
_LOOSE_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)


def check_kind(kind: str) -> None:
    """Raise ConfigError for an unknown kind of answer."""
    if kind not in KINDS:
        raise ConfigError(f"kind={kind!r} is no kind of answer; {near(kind, KINDS)}")


def answer_class(kind: str, answer: str) -> str:
    """The class of an answer: a string per class, so an equivalence relation."""
    if kind == "option":
        option = _OPTION.search(equivalence.clean(answer).removeprefix("- "))
        return (option[1] or option[2]).upper() if option else _words(answer)
    if kind == "word":
        first = re.match(rf"(?:- )?({'|'.join(_WORDS)})\b(?! or )", equivalence.clean(answer), re.IGNORECASE)
        return first[1].casefold() if first else _words(answer)
    return _words(answer) if kind == "text" else equivalence.canonical(answer)


def _words(answer: str) -> str:
    words = equivalence.clean(answer).casefold().replace(",", " ").split()
    return (" " if any(sign.isalnum() for sign in answer) else "").join(words)


def quick(kind: str, gold: str, question: str, text: str, finished: bool) -> Judgement:
    """What can be said without Math-Verify. `ungraded=PENDING` where `full` has to go on."""
    answer = extract.strict(text, finished)
    try:
        strict = answer is not None and _exact(kind, gold, answer)
    except TooLarge as fault:
        return Judgement(None, None, answer, answer_class(kind, answer or ""), f"guard: {fault}")
    judged = Judgement(strict, strict or None, answer, None if answer is None else answer_class(kind, answer))
    if strict:
        return judged
    tail = extract.tail(text, question)
    if kind in ("option", "word", "text"):
        return replace(judged, lenient=_loose(kind, gold, tail))
    lenient = _exact_lenient(gold, tail) if strict is False else None
    return replace(judged, ungraded=PENDING) if lenient is None else replace(judged, lenient=lenient)


def _exact_lenient(gold: str, tail: str) -> bool | None:
    """The lenient verdict where it needs no Math-Verify: on a number, or on a box with a normal form."""
    if not re.search(r"\d|\\|½|¼|¾", tail) and _is_number(gold):
        return False
    if (stated := _plainly_stated(tail)) and _is_number(gold):
        return bool(equivalence.compare(gold, stated))
    tail = _without_percent(tail)
    if _refused(tail):
        return None
    try:
        if _is_number(gold) and (written := loose.number(tail)) is not None:
            return bool(written and equivalence.compare(gold, written))
        box = loose.box(tail)
        same = None if box is None or normal.form(box) is None else equivalence.compare(gold, box)
    except TooLarge:
        return None
    return _decided(gold, box) if same is None and box is not None else same


def _decided(gold: str, answer: str) -> bool | None:
    """By normal forms; None where one has none, and where Math-Verify would not get to see them."""
    same = normal.decide(gold, answer)
    return None if same is None or any(_refused(rf"\boxed{{{side}}}") for side in (gold, answer)) else same


def _refused(text: str) -> bool:
    try:
        equivalence.guard(text)
    except TooLarge:
        return True
    return False


def _without_percent(tail: str) -> str:
    return tail.replace("\\%", "").replace("%", "")


def _plainly_stated(tail: str) -> str | None:
    """The number that a tail ends with, where Math-Verify is known to read that one: stated, boxed, or just the last.

    `tests/tasks/test_quick_lenient.py` holds this against Math-Verify; whatever is not as plain goes to the pool.
    """
    stated = _STATED.search(tail) or _BOXED.search(tail)
    if stated is None and "answer" not in tail.casefold():
        stated = _ENDING.search(tail)
    signs = {sign: tail.count(sign) - stated[0].count(sign) for sign in "\\$"} if stated else {}
    return stated[1] if stated and not any(signs.values()) else None


def _exact(kind: str, gold: str, answer: str) -> bool | None:
    """True, False, or None where only SymPy can tell. Raises TooLarge."""
    if kind in ("number", "math"):
        same = equivalence.compare(gold, answer)
        if same is not None or kind == "number":
            return bool(same)
        return _decided(equivalence.clean(gold), equivalence.clean(answer))
    return answer_class(kind, gold) == answer_class(kind, answer)


def _loose(kind: str, gold: str, tail: str) -> bool:
    """Lenient verdict on answers that are no numbers: the last option, word or line in the tail."""
    if kind == "text":
        lines = [line for line in re.split(r"\n|(?<=[.:])\s", tail) if line.strip()]
        return bool(lines) and answer_class(kind, lines[-1]) == answer_class(kind, gold)
    found = (_LOOSE_OPTION if kind == "option" else _LOOSE_WORD).findall(tail.strip())
    last = next((part for part in (found[-1] if kind == "option" else found[-1:]) if part), "") if found else ""
    return answer_class(kind, f"({last})" if kind == "option" else last) == answer_class(kind, gold) if last else False


def full(kind: str, gold: str, question: str, text: str, finished: bool) -> Judgement:
    """The whole judgement. May be slow or hang on hostile text."""
    judged = quick(kind, gold, question, text, finished)
    if judged.ungraded != PENDING:
        return judged
    judged = replace(judged, ungraded=None)
    if judged.strict is None:
        judged = _guarded("strict", judged, gold, judged.answer or "")
    if judged.strict:
        return replace(judged, lenient=True)
    return _guarded("lenient", judged, gold, extract.tail(text, question))


def said(gold: str, judged: Judgement, question: str, text: str) -> Said | None:
    """What a completion with a pending judgement says, where one box says it all; None where its whole text counts."""
    tail = _without_percent(extract.tail(text, question))
    box = loose.box(tail)
    if box is None or (judged.strict is None and judged.answer != box):
        return None
    refused = _refused(tail) or _refused(rf"\boxed{{{box}}}")
    return None if refused else Said(gold, box, judged.strict is None)


def grade_said(said: Said) -> Judgement:
    """The verdicts on what was said. May be slow or hang.

    `ungraded=UNREAD` where Math-Verify can't read the box, so that it goes on to what stands around it: then the
    completion itself has to be graded.
    """
    judged = Judgement(_exact("math", said.gold, said.box) if said.finished else False, None, said.box, None)
    if judged.strict is None:
        judged = _guarded("strict", judged, said.gold, said.box)
    return replace(judged, lenient=True) if judged.strict else _guarded("box", judged, said.gold, said.box)


def _guarded(which: str, judged: Judgement, gold: str, text: str) -> Judgement:
    """Fill in one verdict; what a guard, an alarm or a gold without a reading leaves open is None, with the reason."""
    from math_verify.errors import TimeoutException

    judges: dict[str, Callable[[str, str], bool | None]]
    judges = {"strict": _symbolic_equal, "lenient": lenient_equal, "box": box_equal}
    try:
        same = judges[which](gold, text)
    except TooLarge as fault:
        why = f"guard: {fault}"
    except TimeoutException:
        why = f"timeout: Math-Verify took more than {equivalence.SYMPY_SECONDS} s"
    except Exception as fault:  # SymPy raises whatever it likes; the reason is kept, the sample stays ungraded
        why = f"{type(fault).__name__}: {fault}"
    else:
        if same is None:
            return replace(judged, ungraded=UNREAD)
        return replace(judged, strict=same) if which == "strict" else replace(judged, lenient=same)
    return replace(judged, ungraded=judged.ungraded or (why if which == "strict" else f"lenient: {why}"))


_symbolic_equal = lru_cache(maxsize=4096)(equivalence.symbolic_equal)


def lenient_equal(gold: str, tail: str) -> bool:
    """Whether Math-Verify reads the gold off a tail; numbers are compared exactly, symbolic golds by Math-Verify."""
    return _reads(gold, equivalence.parse_symbolic(_without_percent(tail)))


def box_equal(gold: str, box: str) -> bool | None:
    """`lenient_equal` of every tail whose only box this is; None where Math-Verify can't read the box."""
    found = equivalence.parse_box(box)
    return _reads(gold, found) if found else None


def _reads(gold: str, found: list[Any]) -> bool:
    if not found:
        return False
    same = equivalence.compare(gold, str(found[-1]))
    if same is not None:
        return same
    return _same(gold, tuple(found)) if isinstance(found[0], Hashable) else equivalence.verdict(_gold(gold), found)


@lru_cache(maxsize=4096)
def _same(gold: str, found: tuple[Any, ...]) -> bool:
    """One verification for all tails off which the same is read."""
    return equivalence.verdict(_gold(gold), list(found))


@lru_cache(maxsize=1024)
def _gold(gold: str) -> list[Any]:
    return equivalence.parse_symbolic(rf"\boxed{{{gold.replace('%', '')}}}")


def _is_number(gold: str) -> bool:
    return equivalence.read(gold).kind == "number"


def lenient_reading(kind: str, text: str) -> str | None:
    """What the lenient grader reads off a completion, as text; None where it reads nothing."""
    from math_verify.errors import TimeoutException

    tail = extract.tail(text)
    if kind in ("number", "math"):
        try:
            found = equivalence.parse_symbolic(_without_percent(tail))
        except (TooLarge, TimeoutException):
            return None
        return str(found[-1]) if found else None
    if kind == "text":
        return tail.strip().split("\n")[-1].strip() or None
    hits = list((_LOOSE_OPTION if kind == "option" else _LOOSE_WORD).finditer(tail.strip()))
    return hits[-1].group() if hits else None


def loose_span(kind: str, text: str) -> tuple[int, int] | None:
    """Span of the last number, option or word in a text, for answers that are stated without a declaration."""
    patterns = {"option": _LOOSE_OPTION, "word": _LOOSE_WORD, "number": _LOOSE_NUMBER, "math": _LOOSE_NUMBER}
    hits = list(patterns[kind].finditer(text)) if kind in patterns else []
    return hits[-1].span() if hits else None
