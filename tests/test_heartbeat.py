"""Laws of what is printed while a stage works: it shows a sign of life also between two steps."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console as RichConsole

from elicit import console as module
from elicit.console import Console, Stage
from elicit.evaluate.stages.generate import Beat


class Heard(io.StringIO):
    """A stream that sets an event once it holds a text."""

    def __init__(self, text: str, terminal: bool = False) -> None:
        super().__init__()
        self.text, self.terminal, self.there = text, terminal, threading.Event()

    def write(self, text: str) -> int:
        size = super().write(text)
        if self.text in self.getvalue():
            self.there.set()
        return size

    def isatty(self) -> bool:
        return self.terminal


def test_a_stage_without_a_step_prints_that_it_is_running() -> None:
    stream = Heard("rlvr: fit: running for ")
    with Console("text", stream).progress("rlvr: fit", every=0.01):
        assert stream.there.wait(30)


def test_a_stage_between_two_steps_prints_its_last_step_and_its_note() -> None:
    stream = Heard("base: 3/8, 950 tokens/s, about ")
    with Console("text", stream).progress("base", every=0.01) as progress:
        progress(1, 8)
        progress(3, 8, "950 tokens/s")
        assert stream.there.wait(30)


def test_the_time_left_counts_the_steps_since_the_first_call_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    stage = Stage("base")
    stage(600, 1000)  # were there before
    now[0] += 50
    stage(800, 1000)
    assert stage.line() == "base: 800/1000, 4.0/s, about 50 s left"


def test_a_terminal_shows_one_display_for_stages_inside_each_other_and_lines_above_it() -> None:
    stream = Heard("", terminal=True)
    console = Console("text", stream)
    with console.progress("fit") as outer, console.progress("dev score") as inner:
        outer(1, 4)
        inner(2, 8)
        assert console._live is not None and len(console._live.tasks) == 2
        console.say("[bold]no markup[/bold]")
    assert console._live is None
    assert "[bold]no markup[/bold]" in stream.getvalue()
    assert RichConsole(file=stream).is_terminal


def test_a_beat_counts_ended_samples_and_tokens_and_never_more_than_are_wanted() -> None:
    seen: list[tuple[int, int]] = []
    notes: list[str] = []

    def show(done: int, total: int, note: str = "") -> None:
        seen.append((done, total))
        notes.append(note)

    beat = Beat(show, 10, 30, plain=True)
    beat(0, 256)
    beat(15, 300)
    beat.block(26)
    beat(9, 40)
    assert seen == [(10, 30), (25, 30), (26, 30), (30, 30)] and beat.tokens == 596
    assert all(note.endswith(" tokens/s") for note in notes)
    chains = Beat(show, 0, 4, plain=False)
    chains(10, 100)
    assert seen[-1] == (0, 4), "ten paths of a strategy may be one sample"
