"""The user's own prose: notes.md, blocks by section id, created once and never overwritten.

    <!-- notes: scorecard -->
    Anything in Markdown, up to the next such line.

Knows nothing of reports.
"""

from __future__ import annotations

import re
from pathlib import Path

from elicit.errors import DataError
from elicit.files import read_text, write_text

_MARK = re.compile(r"^[ \t]*<!--\s*notes:\s*([\w-]+)\s*-->[ \t]*$", re.MULTILINE)


def read_or_make(path: Path, sections: list[str]) -> dict[str, str]:
    """Section id -> prose (without empty blocks). Creates the file with empty blocks if there is none.

    Raises DataError if a block occurs twice: one of them would be lost.
    """
    if not path.exists():
        write_text(path, _empty(sections))
        return {}
    text = read_text(path)
    pieces = _MARK.split(text)
    blocks: dict[str, str] = {}
    for name, prose in zip(pieces[1::2], pieces[2::2], strict=True):
        if name in blocks:
            raise DataError(f"{path}: block {name!r} occurs twice; join the two")
        blocks[name] = prose.strip()
    return {name: prose for name, prose in blocks.items() if prose}


def _empty(sections: list[str]) -> str:
    head = ("Your own words. Text below a marker line appears in that section of the report. This file is created\n"
            "once and never overwritten.\n\n")  # fmt: skip
    return head + "\n".join(f"<!-- notes: {section} -->\n" for section in sections)
