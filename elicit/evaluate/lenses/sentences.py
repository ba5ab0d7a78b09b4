"""Sentences of a trace and their ends. A sentence ends at . ! ? before a blank, or at the end of a line; a point inside
a number is no end. Knows no task."""

from __future__ import annotations

import re

_END = re.compile(r"(?<![.!?])[.!?]+(?=\s|$)|\n+|$")
"""A run of marks is looked at from its first one only: the time is linear in the text."""


def spans(text: str) -> list[tuple[int, int]]:
    """Character spans of the sentences, without the blanks around them.

    >>> [" a = 2.5. So b.\\nc"[a:b] for a, b in spans(" a = 2.5. So b.\\nc")]
    ['a = 2.5.', 'So b.', 'c']
    """
    out, start = [], 0
    for end in _END.finditer(text):
        piece = text[start : end.end()]
        if piece.strip():
            lead = len(piece) - len(piece.lstrip())
            out.append((start + lead, start + len(piece.rstrip())))
        start = end.end()
    return out


def sentences(text: str) -> list[str]:
    """The sentences themselves."""
    return [text[start:end] for start, end in spans(text)]
