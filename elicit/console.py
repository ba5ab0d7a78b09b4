"""What is printed while a run works: lines and progress. Knows nothing about what is measured.

With `output=json` stdout carries one JSON object at the end and everything else goes to stderr.
Progress is one live display on a terminal, which shows that a run is alive between two steps, and a plain line every
half minute elsewhere, also if no step ends.

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
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from elicit import ranks

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


class Progress(Protocol):
    """Takes the steps that are done, all steps, and a note in the place of the rate, such as "950 tokens/s"."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


def unseen(done: int, total: int, note: str = "") -> None:
    """Progress that is shown to nobody."""


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
    values = [(name, value) for name, value in os.environ.items() if len(value) >= SHORTEST_SECRET and value in text]
    return found + [value for name, value in values if SECRET_NAME.search(name)]


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
        self._live: RichProgress | None = None
        """the display of a terminal while something runs: one for all stages that run inside each other"""

    def say(self, line: str = "") -> None:
        if not ranks.main():
            return
        try:
            if self._live is not None:  # above the display, which would overwrite it
                self._live.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
                return
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
    def progress(self, what: str, every: float = 30.0) -> Iterator[Progress]:
        """A bar on a terminal, elsewhere a line in `every` seconds, for `progress(done, total)`."""
        if self.stream.isatty() and ranks.main():
            with self._bar(what) as show:
                yield show
            return
        stage, ended = Stage(what), threading.Event()

        def beat() -> None:
            while not ended.wait(every):
                self.say(stage.line())

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield stage
        finally:
            ended.set()
            thread.join()

    @contextmanager
    def _bar(self, what: str) -> Iterator[Progress]:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        live, outermost = self._live, self._live is None
        if live is None:
            live = self._live = RichProgress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
                console=RichConsole(file=self.stream), transient=True,
            )  # fmt: skip
            live.start()
        stage, task = Stage(what), live.add_task(printable(what), total=None, rate="")

        def show(done: int, total: int, note: str = "") -> None:
            stage(done, total, note)
            live.update(task, completed=done, total=total, rate=stage.rate)

        try:
            yield show
        finally:
            live.remove_task(task)
            if outermost:
                live.stop()
                self._live = None


class Stage:
    """What a stage has reached. The time left follows from the steps since the first call: earlier ones were there."""

    def __init__(self, what: str) -> None:
        self.what, self.note = what, ""
        self.started = time.monotonic()
        self.first: int | None = None
        self.done = self.total = 0

    def __call__(self, done: int, total: int, note: str = "") -> None:
        self.first = done if self.first is None else self.first
        self.done, self.total, self.note = done, total, note

    @property
    def rate(self) -> str:
        """The note, else steps per second."""
        seconds = max(time.monotonic() - self.started, 1e-9)
        return self.note or f"{(self.done - (self.first or 0)) / seconds:.1f}/s"

    def line(self) -> str:
        """Stage, steps, rate and time left; before the first step, how long it has been running."""
        seconds = time.monotonic() - self.started
        if self.first is None or self.done == self.first:
            count = f", {self.done}/{self.total}" if self.total else ""
            return f"{self.what}: running for {seconds:.0f} s{count}{', ' + self.note if self.note else ''}"
        left = seconds / (self.done - self.first) * (self.total - self.done)
        return f"{self.what}: {self.done}/{self.total}, {self.rate}, about {left:.0f} s left"
