"""What is printed while a run works: lines and progress. Knows nothing about what is measured.

With `output=json` stdout carries one JSON object at the end and everything else goes to stderr.
Progress is a rich bar on a terminal and a plain line every half minute elsewhere.

Every line passes through `printable`: names, paths and texts of models can hold escape sequences that take over a
terminal, and secrets. Characters that a reader can't see are replaced by their code point (control characters, with
which ANSI sequences begin, bidirectional marks, zero-width characters, lone surrogates), secrets by ***.

Bidirectional marks: Boucher & Anderson, Trojan Source, arXiv 2111.00169.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from elicit import ranks

Progress = Callable[[int, int], None]
"""progress(done, total), called between batches"""

_SUSPECT = re.compile(r"[^\n\t\x20-\x7e\u00a0-\u00ac\u00ae-\u02ff\u0370-\u05ff]")
SECRET_NAME = re.compile(
    r"(?:^|[._-])(?:api_?key|access_?key|private_?key|token|passw(?:or)?d|passphrase|secret|credentials?)(?:$|[._-])",
    re.I,
)
"""names of variables and settings that hold secrets, e.g. HF_TOKEN (and not max_new_tokens)"""
_SECRETS = (
    re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"),
    re.compile(r"\b(?:hf_|sk-|ghp_|gho_|github_pat_|xox[abp]-|AKIA)[A-Za-z0-9_-]{16,}"),
    re.compile(r"(?<=[?&])(?:\w+[_-])?(?:api_?key|token|password|secret|signature)=[^&\s]+", re.I),
)
SHORTEST_SECRET = 8
"""characters: the value of a variable such as PASSWORD=test is no secret worth hiding wherever the word occurs"""


def visible(text: str) -> str:
    r"""`text` with every invisible or controlling character written out.

    >>> visible("\x1b[31mred\u202e!")
    '\u27e8U+001B\u27e9[31mred\u27e8U+202E\u27e9!'
    """
    return _SUSPECT.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    character = match[0]
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return f"\u27e8U+{ord(character):04X}\u27e9"
    return character


def secrets_in(text: str) -> list[str]:
    """The secrets in a text: passwords in URLs, access tokens, values of environment variables named like secrets."""
    found = [match[0] for pattern in _SECRETS for match in pattern.finditer(text)]
    named = (value for name, value in os.environ.items() if SECRET_NAME.search(name) and len(value) >= SHORTEST_SECRET)
    return found + [value for value in named if value in text]


def masked(text: str) -> str:
    """`text` with every secret replaced by ***."""
    for secret in sorted(secrets_in(text), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def printable(text: object) -> str:
    """Any text as it may be printed or written into an error file."""
    return visible(masked(str(text)))


class Console:
    """Lines and progress on one stream; of several processes that run one command, rank 0 alone prints."""

    def __init__(self, output: str = "text", stream: TextIO | None = None) -> None:
        self.json = output == "json"
        self.stream = stream or (sys.stderr if self.json else sys.stdout)
        self._printed_once: set[str] = set()

    def say(self, line: str = "") -> None:
        if not ranks.main():
            return
        try:
            print(printable(line), file=self.stream, flush=True)
        except OSError as fault:
            if fault.errno != errno.EIO:  # a closed terminal: the run goes on, or ends as SIGHUP asks
                raise

    def say_once(self, line: str) -> None:
        """Print a line that several jobs report, e.g. the mode of the tracker, only the first time."""
        if line not in self._printed_once:
            self._printed_once.add(line)
            self.say(line)

    def result(self, value: dict[str, Any]) -> None:
        """The one JSON object of `output=json`; nothing in text mode."""
        if self.json and ranks.main():
            print(masked(json.dumps(value, ensure_ascii=False, default=str)), flush=True)

    @contextmanager
    def progress(self, what: str) -> Iterator[Progress]:
        """A bar (or plain lines) for `progress(done, total)`."""
        show, close = self._bar(what) if self.stream.isatty() and ranks.main() else self._lines(what)
        try:
            yield show
        finally:
            close()

    def _bar(self, what: str) -> tuple[Progress, Callable[[], None]]:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
        ]
        bar = RichProgress(*columns, TimeRemainingColumn(), console=RichConsole(file=self.stream), transient=True)
        task = bar.add_task(what, total=None, rate="")
        started = time.monotonic()
        bar.start()

        def show(done: int, total: int) -> None:
            rate = f"{done / max(time.monotonic() - started, 1e-9):.1f}/s"
            bar.update(task, completed=done, total=total, rate=rate)

        return show, bar.stop

    def _lines(self, what: str, every: float = 30.0) -> tuple[Progress, Callable[[], None]]:
        started = last = time.monotonic()

        def show(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= every:
                last = now
                left = (now - started) / max(done, 1) * (total - done)
                self.say(f"{what}: {done}/{total}, {done / (now - started):.1f}/s, about {left:.0f} s left")

        return show, lambda: None
