"""Judging an answer against its gold, by the kind of answer that a task has.

    number   exact rationals only                     (gsm8k, reasoning-gym arithmetic)
    math     rationals first, then Math-Verify        (MATH, a user's own file)
    option   the letter of a choice                   (BBH)
    word     yes/no, true/false, valid/invalid        (BBH)
    text     the words as written, blanks apart       (BBH, reasoning-gym strings)

Two stages: `quick` decides what needs neither Math-Verify nor SymPy and marks the rest `PENDING`; `full` decides
all of it and may be slow or hang, so the grade stage runs it in `elicit.tasks.pool`. One grader for training
and evaluation. What this module does not know: files, processes.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from elicit.errors import ConfigError, near
from elicit.tasks import equivalence, extract
from elicit.tasks.equivalence import TooLarge
from elicit.tasks.task import Judgement

KINDS = ("number", "math", "option", "word", "text")
PENDING = "pending"
"""`Judgement.ungraded` of a verdict that `full` still has to complete"""

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
    if kind in ("option", "word", "text"):
        return replace(judged, lenient=_loose(kind, gold, extract.tail(text, question)))
    if strict is False and not re.search(r"\d|\\|½|¼|¾", extract.tail(text, question)) and _is_number(gold):
        return replace(judged, lenient=False)
    if strict is False and (stated := _plainly_stated(extract.tail(text, question))) and _is_number(gold):
        return replace(judged, lenient=bool(equivalence.compare(gold, stated)))
    return replace(judged, ungraded=PENDING)


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
        return bool(same) if kind == "number" else same
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


def _guarded(which: str, judged: Judgement, gold: str, text: str) -> Judgement:
    """Fill in one verdict; what a guard, an alarm or a gold without a reading leaves open is None, with the reason."""
    from math_verify.errors import TimeoutException

    try:
        same = equivalence.symbolic_equal(gold, text) if which == "strict" else lenient_equal(gold, text)
    except TooLarge as fault:
        why = f"guard: {fault}"
    except TimeoutException:
        why = f"timeout: Math-Verify took more than {equivalence.SYMPY_SECONDS} s"
    except Exception as fault:  # SymPy raises whatever it likes; the reason is kept, the sample stays ungraded
        why = f"{type(fault).__name__}: {fault}"
    else:
        return replace(judged, strict=same) if which == "strict" else replace(judged, lenient=same)
    return replace(judged, ungraded=judged.ungraded or (why if which == "strict" else f"lenient: {why}"))


def lenient_equal(gold: str, tail: str) -> bool:
    """Whether Math-Verify reads the gold off a tail; numbers are compared exactly, symbolic golds by Math-Verify."""
    found = equivalence.parse_symbolic(tail.replace("\\%", "").replace("%", ""))
    if not found:
        return False
    same = equivalence.compare(gold, str(found[-1]))
    return equivalence.verdict(_gold(gold), found) if same is None else same


@lru_cache(maxsize=1024)
def _gold(gold: str) -> list[object]:
    return equivalence.parse_symbolic(rf"\boxed{{{gold.replace('%', '')}}}")


def _is_number(gold: str) -> bool:
    return equivalence.read(gold).kind == "number"


def lenient_reading(kind: str, text: str) -> str | None:
    """What the lenient grader reads off a completion, as text; None where it reads nothing."""
    tail = extract.tail(text)
    if kind in ("number", "math"):
        try:
            found = equivalence.parse_symbolic(tail.replace("\\%", "").replace("%", ""))
        except TooLarge:
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
