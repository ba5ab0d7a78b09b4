"""A Markdown page in which nothing acts: no HTML tag, and no link to anything but files next to it and web pages.

The last step of rendering, whatever a template forgot to escape: names of models and policies come from strangers. Code
keeps its characters, so this module has to know what a reader of Markdown takes for code (CommonMark 0.31, GitHub's
tables), or a stranger opens a span that only this module sees. Where the two could disagree, the text counts as no
code, and a `<` in it is shown as `&lt;`:

    fence     at the start of a line, of backticks or tildes, up to a fence as long; the others end all exceptions
    span      a run of backticks up to the next run as long, in one line without `|`; a line with a run that is left
              over ends the exceptions up to the next blank line, because a span may reach across lines

Every step is linear in the length of the page. Knows no comparison.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TAG = re.compile(r"(?<!\\)((?:\\\\)*)<(?=[A-Za-z/!?])(?!https?://[^\s<>]*>)")
_TARGET = re.compile(r"(?<!\\)((?:\\\\)*)\](?=\(\s*+(?:<\s*+)?(?!https?://)[^\s()/]*(?::|&|\\))")
_REFERENCE = re.compile(r"^( {0,3})(?=\[[^\]\n]+\]:)", re.M)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_OPENING = re.compile(r"`{3,}(?=[^`]*\Z)|~{3,}")
_CLOSING = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*[\r\n]*\Z")
_OTHER_FENCE = re.compile(r"[\s>*+\-\d.)]+(?:```|~~~)")
_RUN = re.compile(r"(?<!\\)(\\*+)(`+)")
_IN_LINK = re.compile(r"<[^\s<>`]*`")
Spans = list[tuple[int, int]]


def inert(page: str) -> str:
    r"""The page without HTML tags and without links to other schemes.

    >>> inert("<img src=x onerror=a()> [x](javascript:a()) [run](../runs/1) `<b>`")
    '&lt;img src=x onerror=a()> [x\\](javascript:a()) [run](../runs/1) `<b>`'
    """
    parts, last = [], 0
    for begin, end in _code(page):
        parts += [_without_markup(page[last:begin]), page[begin:end]]
        last = end
    return "".join([*parts, _without_markup(page[last:])])


def _without_markup(text: str) -> str:
    text = _TAG.sub(r"\1&lt;", text)
    return _REFERENCE.sub(r"\1\\", _TARGET.sub(r"\1\\]", text))


def _code(page: str) -> Iterator[tuple[int, int]]:
    """(begin, end) of what every reader takes for code, in order."""
    lines = [(line.start(), line[0]) for line in _LINE.finditer(page)]
    at, left_over = 0, False
    while at < len(lines):
        begin, line = lines[at]
        # 1) a fenced block; one that is not closed ends the exceptions, and so does a fence inside a list or a quote
        if fence := _OPENING.match(line):
            closing = next((i for i in range(at + 1, len(lines)) if _closes(lines[i][1], fence[0])), None)
            if closing is None:
                return
            yield begin, lines[closing][0] + len(lines[closing][1])
            at, left_over = closing + 1, False
            continue
        if _OTHER_FENCE.match(line):
            return
        # 2) the spans of a line, unless a line before it in its paragraph may have left one open
        spans = _spans(line)
        left_over = bool(line.strip(" \t\r\n")) and (left_over or spans is None)
        if spans and not left_over:
            yield from ((begin + first, begin + last) for first, last in spans)
        at += 1


def _closes(line: str, fence: str) -> bool:
    closing = _CLOSING.match(line)
    return closing is not None and closing[1].startswith(fence)


def _spans(line: str) -> Spans | None:
    """(begin, end) of the code spans of a line; None if a run of backticks is left over, or could be read otherwise."""
    if _IN_LINK.search(line):
        return None
    runs = list(_RUN.finditer(line))
    later: dict[int, list[int]] = {}
    for i in reversed(range(len(runs))):
        later.setdefault(len(runs[i][2]), []).append(i)
    spans, i = [], 0
    while i < len(runs):
        begin, end = runs[i].start(2) + len(runs[i][1]) % 2, runs[i].end()  # a backslash escapes one backtick
        if begin < end:
            same = later.get(end - begin, [])
            while same and same[-1] <= i:
                same.pop()
            if not same:
                return None
            i = same.pop()
            if "|" in line[end : runs[i].start(2)]:  # a table's cell ends there
                return None
            spans.append((begin, runs[i].end()))
        i += 1
    return spans
