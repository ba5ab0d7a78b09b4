"""Judging an answer against its gold, by the kind of answer that a task has.

    number   exact rationals only                     (gsm8k, reasoning-gym arithmetic)
    math     numbers, then normal forms, then SymPy   (MATH, a user's own file)
    option   the letter of a choice                   (BBH)
    word     yes/no, true/false, valid/invalid        (BBH)
    text     the words as written, blanks apart       (BBH, reasoning-gym strings)

A completion is read in three ways, and each answer is graded by the same rules:

    strict   the last declaration of a finished output (`declaration.last`)
    lenient  the strict answer if there is one, else the answer in the last 300 characters, finished or not (`loose`)
    first    the first complete declaration, whatever follows it (`declaration.first`)

If the gold is a number, so must be the answer: 6 * 7 is no answer to 42. A gold that is an unevaluated expression (10!)
also matches its value. There are two stages: `quick` decides what needs no SymPy and marks the rest `PENDING`; the
remaining comparisons (`pairs`) are decided by `grade_pair`, which may be slow or hang, so the grade stage runs it in a
pool (`pool`). Training and evaluation use the same grader. What this module does not know: files, processes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from elicit.errors import ConfigError, near
from elicit.tasks.grading import declaration, equivalence, extract, loose, normal, reading, symbolic
from elicit.tasks.grading.answer import Answer, parse
from elicit.tasks.grading.notation import clean
from elicit.tasks.grading.number import TooLarge
from elicit.tasks.task import Judgement

KINDS = ("number", "math", "option", "word", "text")
PENDING = "pending"
"""`Judgement.ungraded` of a judgement that waits for comparisons by SymPy"""


class Pair(NamedTuple):
    """A gold and an answer of kind math that only SymPy can compare."""

    gold: str
    answer: str


class Readings(NamedTuple):
    """The answers of a completion, as text; None if there is no such answer."""

    strict: str | None
    lenient: str | None
    first: str | None


_ENUMERATED = re.compile(r"(?:(?<=\s)|^)(?:[-*•]|\d{1,3}[.)])\s(?=\S)")
_LAST_AND = re.compile(r",? and (?=\S+$)")


def check_kind(kind: str) -> None:
    """Raise ConfigError for an unknown kind of answer."""
    if kind not in KINDS:
        raise ConfigError(f"kind={kind!r} is no kind of answer; {near(kind, KINDS)}")


def answer_class(kind: str, answer: str) -> str:
    """The class of an answer: a string per class, so an equivalence relation."""
    if kind == "option":
        found = reading.option(answer)
        return answer[found.start : found.end].strip("( )").upper() if found else _words(answer)
    if kind == "word":
        found = reading.word(answer)
        return answer[found.start : found.end].casefold() if found else _words(answer)
    return _words(answer) if kind == "text" else equivalence.answer_class(answer, kind == "number")


def _words(answer: str) -> str:
    """Words without case, list marks and the "and" of a list; a text of signs alone without its blanks."""
    plain = clean(answer)
    if not any(sign.isalnum() for sign in plain):
        return "".join(plain.split())
    return equivalence.text_class(_LAST_AND.sub(" ", _ENUMERATED.sub(" ", plain)))


def read(kind: str, question: str, text: str, finished: bool) -> Readings:
    """The three readings of a completion."""
    strict, first = declaration.last(kind, text, finished), declaration.first(kind, text, finished)
    lenient = strict or loose.read(kind, extract.tail(text, question))
    return Readings(*(found.answer if found else None for found in (strict, lenient, first)))


def quick(kind: str, gold: str, question: str, text: str, finished: bool) -> Judgement:
    """The judgement as far as it needs no SymPy. `ungraded=PENDING` if comparisons are left."""
    answers = read(kind, question, text, finished)
    return _judgement(kind, answers, lambda answer: exact(kind, gold, answer))


def full(kind: str, gold: str, question: str, text: str, finished: bool) -> Judgement:
    """The complete judgement. May be slow or hang on hostile text."""
    judged = quick(kind, gold, question, text, finished)
    if judged.ungraded != PENDING:
        return judged
    waiting = pairs(kind, gold, question, text, finished)
    return completed(kind, gold, question, text, finished, {pair: grade_pair(pair) for pair in waiting})


def _judgement(kind: str, answers: Readings, compare: Callable[[str], bool | None]) -> Judgement:
    """Compare each different answer once. If an answer is refused because of its size, its verdicts stay open."""
    verdicts: dict[str, bool | None] = {}
    why: dict[str, str] = {}
    for answer in dict.fromkeys(answers):
        if answer is not None:
            try:
                verdicts[answer] = compare(answer)
            except TooLarge as fault:
                verdicts[answer], why[answer] = None, f"guard: {fault}"
            except _Failed as fault:
                verdicts[answer], why[answer] = None, str(fault)
    # why the strict or the lenient verdict is open; an open first verdict is not reported
    ungraded = None
    if any(verdict is None and answer not in why for answer, verdict in verdicts.items()):
        ungraded = PENDING
    elif answers.strict in why:
        ungraded = why[answers.strict or ""]
    elif answers.lenient in why:
        ungraded = f"lenient: {why[answers.lenient or '']}"
    strict, lenient, first = (False if answer is None else verdicts[answer] for answer in answers)
    named = None if answers.strict is None else answer_class(kind, answers.strict)
    return Judgement(strict, lenient, answers.strict, named, ungraded, first, answers.first)


class _Failed(Exception):
    """A comparison that ended without a verdict."""


def exact(kind: str, gold: str, answer: str) -> bool | None:
    """True, False, or None if only SymPy can decide. Raises TooLarge."""
    if kind == "number":
        right, given = reading.number(parse(gold, True)), reading.number(parse(answer, True))
        return bool(given.kind in ("number", "numeral") and equivalence.same(right, given))
    if kind == "math":
        return _math(parse(gold), parse(answer), equivalence.left_open)
    return answer_class(kind, gold) == answer_class(kind, answer)


def _math(gold: Answer, answer: Answer, decide: equivalence.Decide) -> bool | None:
    same = equivalence.same(gold, answer, decide)
    if same is not False or gold.kind != "expression" or answer.kind != "number" or answer.unit:
        return same
    form = normal.form(gold.text)  # an unevaluated expression, such as 10!: is the number its value?
    if form is not None:
        return normal.constant(form) == answer.value
    return False if equivalence.letters_of(gold.text) else decide("expression", gold.text, answer.text)


def pairs(kind: str, gold: str, question: str, text: str, finished: bool) -> tuple[Pair, ...]:
    """The comparisons that a pending judgement waits for."""
    out = []
    for answer in dict.fromkeys(read(kind, question, text, finished)):
        try:
            if answer is not None and exact(kind, gold, answer) is None:
                out.append(Pair(gold, answer))
        except TooLarge:
            continue
    return tuple(out)


def completed(
    kind: str, gold: str, question: str, text: str, finished: bool, found: Mapping[Pair, Judgement]
) -> Judgement:
    """The judgement, given the verdicts on its pairs; a pair without a verdict stays open, with the reason."""

    def compare(answer: str) -> bool | None:
        graded = found.get(Pair(gold, answer))
        if graded is None:
            return exact(kind, gold, answer)
        if graded.strict is None:
            raise _Failed(graded.ungraded)
        return graded.strict

    return _judgement(kind, read(kind, question, text, finished), compare)


def grade_pair(pair: Pair) -> Judgement:
    """The verdict on a pair, as a judgement of the answer alone. May be slow or hang."""
    from math_verify.errors import TimeoutException

    try:
        return Judgement(bool(_by_sympy(pair)), None, pair.answer, None)
    except TooLarge as fault:
        why = f"guard: {fault}"
    except TimeoutException:
        why = f"timeout: Math-Verify took more than {symbolic.SYMPY_SECONDS} s"
    except Exception as fault:  # SymPy raises errors of any type; the sample is ungraded, with the reason
        why = f"{type(fault).__name__}: {fault}"
    return Judgement(None, None, pair.answer, None, why)


@lru_cache(maxsize=4096)
def _by_sympy(pair: Pair) -> bool | None:
    return _math(parse(pair.gold), parse(pair.answer), equivalence.by_sympy)


def answer_span(kind: str, text: str) -> tuple[int, int] | None:
    """Span of the number, option or formula that is read: the declared one, else that of the lenient reading."""
    if declared := declaration.last(kind, text, True):
        return declared.start, declared.end
    tail = extract.tail(text)
    at, found = len(extract.own_part(text)[0]) - len(tail), loose.read(kind, tail)
    return (at + found.start, at + found.end) if found else None
