"""Foreign text made inert: model output is treated as hostile.

Everything in a comparison passes through `clean` once, before any template uses it. Characters that a reader can't
see are replaced by their code point: control characters (ANSI codes begin with one), bidirectional marks, zero-width
characters and lone surrogates. Escaping for a format (Jinja escapes HTML, this module Markdown and LaTeX) comes on
top. Knows nothing of comparisons.

Bidirectional marks: Boucher & Anderson, Trojan Source, arXiv 2111.00169.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from elicit import console

T = TypeVar("T")

LIMIT = 4000
"""characters of one string that a report shows; of a longer one it shows the beginning and the end"""

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "\u00a0": "~", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "\u2212": "$-$", "\u2192": r"$\rightarrow$",
    "\u2013": "--", "\u2026": r"\ldots{}", "\u00d7": r"$\times$", "\u00b1": r"$\pm$", "\u2265": r"$\geq$",
    "\u2264": r"$\leq$", "\u00b7": r"\textperiodcentered{}", "\u2190": r"$\leftarrow$", "\u2014": "---",
}  # fmt: skip


def visible(text: str, limit: int = LIMIT) -> str:
    r"""`text` with every invisible or controlling character written out, cut in its middle beyond `limit` characters.

    >>> visible("\x1b[31mred\u202e!")
    '\u27e8U+001B\u27e9[31mred\u27e8U+202E\u27e9!'
    """
    return console.visible(shorten(text, limit))


def shorten(text: str, limit: int) -> str:
    """`text`, or its first two thirds and its end, with the number of characters left out between them."""
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit // 4
    left_out = len(text) - head - tail
    return f"{text[:head]}\n[... {left_out:,} of {len(text):,} characters left out ...]\n{text[-tail:]}"


def clean(value: T, limit: int = LIMIT) -> T:
    """A JSON-able value or a dataclass with every string in it, keys included, made visible."""
    return cast("T", _cleaned(value, limit))


def _cleaned(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return visible(value, limit)
    if isinstance(value, dict):
        return {visible(str(key), 200): _cleaned(inner, limit) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_cleaned(inner, limit) for inner in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _cleaned(getattr(value, field.name), limit) for field in fields(value)})
    return value


def one_line(value: Any, limit: int = 90) -> str:
    """A value as one short line, for names, table cells and terminals."""
    line = re.sub(r"\s+", " ", visible(str(value), 10 * limit)).strip()
    return line if len(line) <= limit else line[: limit - 1] + "\u2026"


def markdown(value: Any) -> str:
    """A value as one inert line of Markdown, safe in a table cell."""
    line = (
        re.sub(r"[^\S\u00a0]+", " ", str(value)).strip().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    )
    line = re.sub(r"([\\`*{}|~$])", r"\\\1", line)
    line = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^#|\](?=[(\[:])", lambda match: "\\" + match[0], line)
    return line


def fenced(value: Any) -> str:
    """A value as a Markdown code block whose fence is longer than any in the text."""
    text = str(value)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def latex(value: Any) -> str:
    """A value as LaTeX text. Characters that pdflatex has no glyph for are written as their code point."""
    line = re.sub(r"\s+", " ", str(value)).strip()
    return "".join(_LATEX.get(c, c if ord(c) < 0x250 else f"[U+{ord(c):04X}]") for c in line)


def slug(value: Any) -> str:
    """A name for files, anchors and macros: small ASCII letters, digits and hyphens.

    >>> slug("RL steering / random reward")
    'rl-steering-random-reward'
    """
    return re.sub(r"[^a-z0-9]+", "-", str(value).lower()).strip("-")[:60] or "unnamed"
