"""Reading the answer off a completion: strict where it was declared, lenient where something like it stands.

    strict    the content of the last box, '####' tag or "The answer is" sentence of a finished output; None
              where that last declaration is incomplete, whatever stood before it
    lenient   what Math-Verify makes of the last 300 characters, finished or not (`verify.lenient`)

A base model runs on into a next question: everything from there on is not its answer, and the part before
counts as finished. What this module does not know: the gold, equality of answers.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LENIENT_CHARS = 300

NEXT_QUESTION = re.compile(
    r"\n[ \t]*(?:#+[ \t]*)?(?:\*\*)?(?:Question|Problem|Exercise|Example|Instruction|Q|User|Human)"
    r"[ \t]*(?:(?:\*\*)?:|(?:\d+|\([a-z]\))[ \t]*(?:\*\*)?[:.)](?!\d))"
)
"""A new-question pattern at line start: never a common word by itself."""

STOP_STRINGS = tuple(
    f"\n{word}:" for word in ("Question", "Q", "Problem", "Exercise", "Example", "Instruction", "User", "Human")
)
"""What the sampler cuts at: the plain forms of `NEXT_QUESTION`."""

_BOX = re.compile(r"\\(?:boxed|fbox)\s*(\{|(?=[^{\s]))")
_DECLARED = re.compile(
    r"\bthe\s+(?:final\s+|correct\s+|right\s+)?answer\s+is\b(?:\s*:)?\s*|\bfinal\s+answer\s*:\s*|(?:^|\n)\s*\**answer\**\s*:\**\s*",
    re.IGNORECASE,
)
_TAG = re.compile(r"####[ \t]*")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)(?!\.)|\n|$")
_LINE_END = re.compile(r"\n|$")


class Declared(NamedTuple):
    """A declared answer: where it begins, and its span; `end=None` where it is incomplete."""

    at: int
    start: int
    end: int | None


def own_part(text: str) -> tuple[str, bool]:
    """The completion without a next question behind it, and whether there was one.

    >>> own_part(" The answer is 4.\\n\\nQuestion: What is 3 + 3?\\nAnswer: 6")
    (' The answer is 4.', True)
    """
    following = NEXT_QUESTION.search(text)
    return (text[: following.start()].rstrip(), True) if following else (text, False)


def declarations(text: str) -> list[Declared]:
    """The last box, answer sentence and tag in `text`, in order: nothing before them can be the answer."""
    found = [_box(text, match) for match in list(_BOX.finditer(text))[-1:]]
    found += [_sentence(text, match, _SENTENCE_END) for match in list(_DECLARED.finditer(text))[-1:]]
    found += [_sentence(text, match, _LINE_END) for match in list(_TAG.finditer(text))[-1:]]
    return sorted(found, key=lambda declared: (declared.start, declared.at))


def _box(text: str, match: re.Match[str]) -> Declared:
    if match[1] != "{":  # \boxed 7
        token = re.compile(r"\S+?(?=[\s$.,]|$)").match(text, match.end())
        return Declared(match.start(), match.end(), token.end() if token else None)
    depth = 1
    for at in range(match.end(), len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return Declared(match.start(), match.end(), at if text[match.end() : at].strip() else None)
    return Declared(match.start(), match.end(), None)


def _sentence(text: str, match: re.Match[str], ending: re.Pattern[str]) -> Declared:
    stop = ending.search(text, match.end())
    assert stop  # `$` always matches
    end = match.end() + len(text[match.end() : stop.start()].rstrip())
    return Declared(match.start(), match.end(), end if end > match.end() else None)


def strict_span(text: str) -> tuple[int, int] | None:
    """Character span of the last declared answer; None where there is none or the last one is incomplete."""
    found = declarations(own_part(text)[0])
    return (found[-1].start, found[-1].end) if found and found[-1].end is not None else None


def strict(text: str, finished: bool) -> str | None:
    """The declared answer of a finished output (or of one that ran on into a next question).

    >>> strict("So \\\\boxed{5}. Wait, no: \\\\boxed{6}", finished=True)
    '6'
    >>> strict("So \\\\boxed{5}. Wait, no: \\\\boxed{6", finished=True) is None
    True
    """
    part, ran_on = own_part(text)
    span = strict_span(part)
    return part[span[0] : span[1]] if span and (finished or ran_on) else None


def tail(text: str, question: str = "") -> str:
    """The last 300 characters of a completion's own part, with a restated question taken out."""
    part = own_part(text)[0]
    if question.strip():
        part = part.replace(question.strip(), " ")
    return part[-LENIENT_CHARS:]
