r"""The lenient reading: something like an answer at the end of a text, declared or not.

    number   the last number of the tail, with a scale ("3 million")
    math     the last formula between $ and $, \( and \), or the last number or fraction, whichever ends last
    option   the last letter of a choice          word   the last yes, no, true, false, valid or invalid
    text     the last line or sentence

A declaration inside of the tail counts before all of these, even if the output was cut after it; what it negates or
leaves open ("not 5", "5 or 6") is not read, a single hedged value ("maybe 5") is.
What this module does not know: the gold.
"""

from __future__ import annotations

import re

from elicit.tasks.grading import declaration, reading
from elicit.tasks.grading.declaration import Declared
from elicit.tasks.grading.reading import WORDS

_OPTION = re.compile(r"\(([A-Z])\)|\b([A-Z])(?=[.:)]|\s*$)")
_WORD = re.compile(rf"\b(?:{'|'.join(WORDS)})\b", re.IGNORECASE)
_SCALE = r"(?:\s(?:hundred|thousand|million|billion|trillion)\b)?"
_FRACTION = r"\\[dt]?frac\s?(?:\{[^{}]{1,80}\}\s?\{[^{}]{1,80}\}|\d\d)"
_NUMBER = re.compile(
    rf"(?:(?<![\w)])-|−)?\$?(?:{_FRACTION}|\d++(?:,\d++)*+(?:\.\d++)?(?:/\d++|\s\d{{1,4}}/\d{{1,4}})?){_SCALE}"
)
_FORMULA = re.compile(r"\$\$([^$]{1,300})\$\$|\$([^$\n]{1,300})\$|\\\(([^\n]{1,300}?)\\\)|\\\[([^$]{1,300}?)\\\]")


def read(kind: str, tail: str) -> Declared | None:
    """The last answer of this kind at the end of a completion; None if there is none."""
    for cue, found in declaration.readings(kind, tail):
        if found is not None:
            return found
        if cue.form == "sentence" and tail[cue.start :].strip():
            content = tail[cue.at :]
            hedged = reading.single_value(content, kind) if kind in ("number", "math") else None
            if hedged is None:
                return None
            return Declared(content[hedged.start : hedged.end], cue.at + hedged.start, cue.at + hedged.end, True)
    span = last_span(kind, tail)
    return None if span is None else Declared(tail[span[0] : span[1]], *span, True)


def last_span(kind: str, text: str) -> tuple[int, int] | None:
    """Span of the last number, formula, option or word of a text; None if there is none."""
    if kind == "text":
        lines = [
            match for match in re.finditer(r"[^\n]+?(?:[.:](?=\s)|(?=\n)|$)", text.rstrip()) if match[0].strip(" .:")
        ]
        return lines[-1].span() if lines else None
    if kind in ("option", "word"):
        found = list((_OPTION if kind == "option" else _WORD).finditer(text.rstrip()))
        return found[-1].span() if found else None
    numbers = list(_NUMBER.finditer(text))[-1:]
    formulas = [match for match in _FORMULA.finditer(text) if kind == "math"][-1:]
    spans = [match.span(match.lastindex or 0) for match in formulas] + [match.span() for match in numbers]
    return max(spans, key=lambda span: (span[1], -span[0])) if spans else None
