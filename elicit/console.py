"""What is printed while a run works: lines and progress. Knows nothing about what is measured.

With `output=json` stdout carries one JSON object at the end and everything else goes to stderr.
Progress is a rich bar on a terminal and a plain line every half minute elsewhere.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

Progress = Callable[[int, int], None]
"""progress(done, total), called between batches"""


class Console:
    """Lines and progress on one stream."""

    def __init__(self, output: str = "text", stream: TextIO | None = None) -> None:
        self.json = output == "json"
        self.stream = stream or (sys.stderr if self.json else sys.stdout)
        self._printed_once: set[str] = set()

    def say(self, line: str = "") -> None:
        print(line, file=self.stream, flush=True)

    def say_once(self, line: str) -> None:
        """Print a line that several jobs report, e.g. the mode of the tracker, only the first time."""
        if line not in self._printed_once:
            self._printed_once.add(line)
            self.say(line)

    def result(self, value: dict[str, Any]) -> None:
        """The one JSON object of `output=json`; nothing in text mode."""
        if self.json:
            print(json.dumps(value, ensure_ascii=False, default=str), flush=True)

    @contextmanager
    def progress(self, what: str) -> Iterator[Progress]:
        """A bar (or plain lines) for `progress(done, total)`."""
        show, close = self._bar(what) if self.stream.isatty() else self._lines(what)
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
