r"""Where a completion declares an answer, and which one.

    completion   = bare | { text | box | tag | sentence }
    box          = ("\boxed" | "\fbox") ("{" balanced "}" | token)
    tag          = "####" content end of line | "<answer>" content "</answer>"
    sentence     = cue content (sentence end | end of line)
    cue          = ("the" | "my" | "our") [adjective] ("answer" | "option" | "choice") [("to" | "for") words] verb
                 | start of line [markup] ["final" | "correct"] "answer" (":" | "=" | "is")  - Answer: 72 **Answer: D**
                 | heading "Final Answer", with the content on the next line
    verb         = "is" | "equals" | "=" | ":" | "must be" | "would be" | "comes to"
    content      = `reading`
    bare         = a finished completion that is an answer: one value with its unit, one formula, one option or word,
                   equations that end in a value ("7 + 3 = 10"), or one line of text

A prompt of ours ends where the answer begins ("Answer:"), so a bare answer is declared. No declarations: "the answer is
correct", "whether the answer is ...", a cue whose content is no answer of the kind, a heading with four signs.

    last    of a finished completion the last declaration: None if it is incomplete or refused, whatever came before
    first   the first complete declaration, finished or not; without any, a first line that is a bare value

The time is linear in the text: a sentence is read for at most 5,000 characters, braces are matched once.
What this module does not know: the gold, equality of answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import NamedTuple

from elicit.tasks.grading import reading
from elicit.tasks.grading.extract import own_part
from elicit.tasks.grading.reading import Span

MAX_CONTENT = 5_000
MAX_CUES = 50
"""a completion that declares more often is read by its last and first ones only"""
MAX_BARE = 300


class Declared(NamedTuple):
    """A declared answer: `text[start:end]` is its core, `answer` has its unit too, `closed` if more text follows."""

    answer: str
    start: int
    end: int
    closed: bool


class _Cue(NamedTuple):
    """Where something is declared: the kind of cue, its own begin and the begin of its content."""

    form: str
    at: int
    start: int


_EMPHASIS = r"[*_]{0,3}"
_VERB = (
    r"(?:\s{1,3}(?:is|are|was|isn't|cannot be|can't be|equals|"
    r"(?:would|must|should|will|has to) be|comes (?:out )?to)\b(?:\s?:)?|\s{0,2}[:=])"
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,3}(\{|(?=[^{\s]))")
_SENTENCE = re.compile(
    rf"(?<![A-Za-z])(?:the|my|our|your)\s{{1,3}}{_EMPHASIS}(?:(?:final|correct|right|best|only)\s{{1,3}}){{0,2}}"
    rf"(?:answer|option|choice){_EMPHASIS}(?:,? (?:then|therefore|thus|hence|so),?)?"
    rf"(?:\s(?:to|for|in|of)\s[^.:=\n]{{1,60}}?)?{_VERB}{_EMPHASIS}"
    rf"|(?<![A-Za-z])final\s{{1,3}}answer{_EMPHASIS}{_VERB}{_EMPHASIS}"
    rf"|(?:(?:^|(?<=\n))[ \t]{{0,8}}(?:[>#*_•-][ \t]{{0,2}}){{0,8}}|(?<=[*_])|(?<=[.!?] ))"
    rf"(?:(?:so|thus|hence|therefore),? )?(?:(?:final|correct|right)\s)?(?:answer|ans\.?|(?<=[a-z]\s)(?:option|choice))"
    rf"{_EMPHASIS}(?:\s{{0,3}}[:=]|\s{{1,3}}is\b){_EMPHASIS}",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"(?:^|(?<=\n))[ \t]{0,8}(?:#{1,6}[ \t]{0,4}[*_]{0,3}|[*_]{2,3}|(?=final))(?:the )?(?:final )?answer"
    r":?[*_]{0,3}:?[ \t]{0,8}(?=\n)",
    re.IGNORECASE,
)
_NUMBER_LABEL = re.compile(r"(?:^|(?<=\n))A:[ \t]{0,4}(?=[-+$]?\d)")
_ELEMENT = re.compile(r"<answer>\s{0,8}", re.IGNORECASE)
_TAG = re.compile(r"####(?!#)[ \t]{0,8}")
_FORMS = (
    ("box", _BOX, ("\\boxed", "\\fbox")),
    ("sentence", _SENTENCE, ("ans", "option", "choice")),
    ("sentence", _HEADING, ("answer",)),
    ("tag", _TAG, ("####",)),
    ("element", _ELEMENT, ("<answer",)),
)
"""form, pattern, and what a text must hold for the pattern to be tried"""
_NO_CUE = re.compile(
    r"(?:^|\s)(?:if|whether|unless|suppose|supposing|assume|assuming)(?: that)?\s{1,3}$|\\text\w{0,4}\s?\{\s?$",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?](?=[\"'”’)*_$}\]]{0,4}(?:\s|$|<))(?!\.)|\n|$")
_LINE_END = re.compile(r"\n|$")
_SHORT_FORM = re.compile(r"(?:^|[\s(])(?:mr|mrs|ms|dr|st|prof|no|rs|vs|jr|sr|mt|ft|gen|approx)$", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:^|\s)\d{1,2}$")  # 1. apple 2. banana
_SAYS_NOTHING = re.compile(
    r"(?:\W{0,5})(?:correct|right|wrong|incorrect|clear|obvious|simple|easy|as follows|below|above|shown|"
    r"found(?! to be)|given(?! by)|verified|obtained|not (?:correct|right|wrong|clear))\b",
    re.IGNORECASE,
)
_DESCRIBES = re.compile(
    r"(?:at (?:least|most)|(?:more|less|greater|fewer|larger|smaller) than|an? [a-z]{3})", re.IGNORECASE
)
_LIST_LINE = re.compile(r"[ \t]{0,8}(?:[-*•]|\d{1,3}[.)])?[ \t]{0,4}\S{1,40}(?: \S{1,40}){0,3}[ \t]{0,8}")
_EQUATION_LINE = re.compile(r"[^=\n]{1,120}=[^=\n]{1,120}(?:=[^=\n]{1,120}){0,8}")


def stated(kind: str, text: str) -> Declared | None:
    """The last declaration of a text; None if there is none, or if it is incomplete or refused."""
    return next((found for _, found in readings(kind, text)), None)


def last(kind: str, text: str, finished: bool) -> Declared | None:
    """The declared answer of a finished output (or of one that ran on into a next question).

    >>> last("number", "So \\\\boxed{5}. Wait, no: \\\\boxed{6}", finished=True).answer
    '6'
    >>> last("number", "So \\\\boxed{5}. Wait, no: \\\\boxed{6", finished=True) is None
    True
    """
    part, ran_on = own_part(text)
    if not (finished or ran_on):
        return None
    cues = _cues(kind, part)
    for _, found in _read(kind, part, reversed(cues)):
        return found
    return None if cues else bare(kind, part)


def first(kind: str, text: str, finished: bool) -> Declared | None:
    """The first complete declaration of a completion, whatever follows it."""
    part, ran_on = own_part(text)
    ended = finished or ran_on
    cues = _cues(kind, part)
    for _, found in _read(kind, part, cues):
        if found is not None and (found.closed or ended):
            return found
    whole = bare(kind, part) if ended and not cues else None
    if whole is not None:
        return whole
    line = next((line for line in part.split("\n", 8)[:-1] if line.strip()), "")
    found = bare(kind, line) if kind in ("number", "math", "option", "word") and "=" not in line else None
    if found is None:
        return None
    at = part.index(line)
    return Declared(found.answer, at + found.start, at + found.end, True)


def readings(kind: str, text: str) -> Iterable[tuple[_Cue, Declared | None]]:
    """The declarations of a text from its last one on, with their answers; None for an incomplete or refused one."""
    return _read(kind, text, reversed(_cues(kind, text)))


@lru_cache(maxsize=64)
def _cues(kind: str, text: str) -> tuple[_Cue, ...]:
    """All cues in order of their content: nothing before the last one can be the answer."""
    found, lower = [], text.casefold()
    for form, pattern, needed in _FORMS:
        if any(word in lower for word in needed):  # most completions hold few of them
            found += [_Cue(form, match.start(), match.end()) for match in pattern.finditer(text)]
    if kind == "number":
        found += [_Cue("sentence", match.start(), match.end()) for match in _NUMBER_LABEL.finditer(text)]
    found.sort(key=lambda cue: (cue.start, cue.at))
    return tuple(found if len(found) <= 2 * MAX_CUES else found[:MAX_CUES] + found[-MAX_CUES:])


def _read(kind: str, text: str, cues: Iterable[_Cue]) -> Iterable[tuple[_Cue, Declared | None]]:
    """Each cue that declares something, with its answer; None for an incomplete or refused one."""
    closing: dict[int, int] | None = None
    for cue in cues:
        if cue.form == "box":
            if closing is None:
                closing = _braces(text)
            yield cue, _box(kind, text, cue, closing)
        elif cue.form == "element":
            end = text.find("</answer>", cue.start, cue.start + MAX_CONTENT)
            content = text[cue.start : end].rstrip() if end > 0 else ""
            yield cue, _declared(text, cue.start, _content(kind, content) if content else None, content)
        elif not _NO_CUE.search(text[max(0, cue.at - 24) : cue.at]):
            says, found = _sentence(kind, text, cue)
            if says:
                yield cue, found


def _braces(text: str) -> dict[int, int]:
    """Position after every opening brace -> position of the brace that closes it."""
    open_at, closing = [], {}
    for match in re.finditer(r"[{}]", text):
        if match[0] == "{":
            open_at.append(match.end())
        elif open_at:
            closing[open_at.pop()] = match.start()
    return closing


def _box(kind: str, text: str, cue: _Cue, closing: dict[int, int]) -> Declared | None:
    if text[cue.start - 1] != "{":  # \boxed 7
        token = re.compile(r"[^\s$]{1,200}?(?=[\s$]|[.,](?:\s|$)|$)").match(text, cue.start)
        end = token.end() if token else cue.start
    else:
        end = closing.get(cue.start, cue.start)
    content = text[cue.start : end]
    return _declared(text, cue.start, reading.boxed(content, kind) if content.strip() else None, content)


def _declared(text: str, at: int, span: Span | None, content: str) -> Declared | None:
    if span is None:
        return None
    start, end, unit_end = at + span.start, at + span.end, at + span.unit_end
    closed = bool(re.match(r"[.,]?[^\d.,]", text[unit_end : unit_end + 3], re.DOTALL))
    return Declared(text[start:unit_end].strip(), start, end, closed)


def _sentence(kind: str, text: str, cue: _Cue) -> tuple[bool, Declared | None]:
    """Whether a cue declares anything of this kind, and the answer, None if it is incomplete or refused."""
    start = cue.start
    if text[cue.at : cue.start].rstrip(" :*_").casefold().endswith(("n't", "not be", "n't be")):
        return True, None
    while start < len(text) and text[start].isspace() and (cue.form != "tag" or text[start] != "\n"):
        start += 1
    if text.startswith("- ", start) and "\n" in text[cue.start : start]:  # the mark of a list
        start += 2
    limit = min(len(text), start + MAX_CONTENT)
    if start == len(text) or (cue.form == "tag" and text[start] == "\n"):
        return True, None
    following = _SENTENCE.match(text, start) or _HEADING.match(text, start)
    end = _ending(text, start, limit, cue.form)
    content = text[start:end]
    if following or "\\boxed" in content or "\\fbox" in content:
        return False, None  # what follows declares it
    if not content.strip(" *_.:$"):
        return True, None
    if _SAYS_NOTHING.match(content) or (kind in ("number", "math") and _DESCRIBES.match(content)):
        return False, None
    if kind == "text" and "\n" in text[cue.start : start]:
        # a list below "The answer is:", one item per line
        lines = text[start : start + MAX_CONTENT].split("\n\n")[0].split("\n")
        listed = len(lines) > 1 and all(_LIST_LINE.fullmatch(line) for line in lines)
        content = "\n".join(lines) if listed else content
    span = _content(kind, content)
    if span is None and kind in ("number", "math") and not re.search(r"[\d\\$=]|\bnot\b", content):
        return False, None
    if cue.form == "tag" and kind in ("number", "math") and span and not re.search(r"[\d\\$=]", content):
        return len(content.split()) == 1, _declared(text, start, span, content)
    return True, _declared(text, start, span, content)


def _ending(text: str, start: int, limit: int, form: str) -> int:
    """Where a sentence ends: not at a point in a short form (Mr. Smith) and not inside of a formula."""
    at = start
    for opening, closing in (("$$", "$$"), ("\\[", "\\]"), ("\\begin{", "\\end{"), ("$", "$"), ("\\(", "\\)")):
        if text.startswith(opening, start):
            end = text.find(closing, start + len(opening), limit)
            at = end if end > 0 and (opening != "$" or "\n" not in text[start:end]) else start
            break
    pattern = _LINE_END if form == "tag" else _SENTENCE_END
    while True:
        stop = pattern.search(text, at, limit)
        if stop is None or stop.end() == stop.start():
            return limit
        before = text[max(start, stop.start() - 8) : stop.start()]
        short = _NUMBERED if text.startswith("1. ", start) else _SHORT_FORM
        if stop[0] != "." or not short.search(before):
            return stop.start()
        at = stop.end()


def _content(kind: str, content: str) -> Span | None:
    if kind in ("number", "math"):
        return reading.number_or_formula(content, kind)
    if kind == "option":
        return reading.option(content) or reading.words(content)
    if kind == "word":
        return reading.word(content) or reading.words(content)
    return reading.words(content)


def bare(kind: str, text: str) -> Declared | None:
    """A completion that is nothing but an answer."""
    stripped = text.strip()
    if not stripped or len(stripped) > MAX_BARE:
        return None
    at = text.index(stripped)
    span = _BARE[kind](stripped)
    return None if span is None else _declared(text, at, span, stripped)


def _bare_value(text: str, kind: str) -> Span | None:
    """One value or formula, or lines of equations that end in a value."""
    lines = text.split("\n")
    *before, line = [part for part in re.split(r"\n|[;,](?=\s)", text)] if text.count("=") > 1 else lines
    if not all(_EQUATION_LINE.fullmatch(one) for one in before if one.strip()):
        return None
    if before and "=" not in line:
        return None
    at = len(text) - len(line)
    core = line.rstrip(" .!")
    span = reading.number_or_formula(core, kind)
    if span is None or core[span.unit_end :].strip(" *_$.)") or not reading.readable(core, kind):
        return None
    if any(not reading.readable(one, kind) for one in before if one.strip()):
        return None
    return Span(at + span.start, at + span.end, at + span.unit_end)


def _bare_option(text: str) -> Span | None:
    """(B), B. or B, alone or with the words of the choice after it, in which no other option is mentioned."""
    span = None if "\n" in text else reading.option(text)
    if span is None or text[: span.start].strip(" *_-$"):
        return None
    rest = text[span.end :].lstrip("$")
    alone = text[span.start] == "(" or re.match(r"[.:)*_]|$", rest)
    return None if not alone or re.search(r"\([A-Z]\)|\b[B-HJ-Z][.)]", rest) else span


def _bare_word(text: str) -> Span | None:
    span = reading.word(text)
    return span if span and not text[: span.start].strip(' *_-("“') and not text[span.end :].strip(' *_.!)"”') else None


def _bare_text(text: str) -> Span | None:
    lines = text.split("\n")
    if len(lines) > 1 and not all(_LIST_LINE.fullmatch(line) for line in lines):
        return None
    if len(lines) == 1 and re.search(r"[.!?]\s+[A-Z]", text):
        return None
    return reading.words(text)


_BARE: dict[str, Callable[[str], Span | None]] = {
    "number": partial(_bare_value, kind="number"),
    "math": partial(_bare_value, kind="math"),
    "option": _bare_option,
    "word": _bare_word,
    "text": _bare_text,
}
