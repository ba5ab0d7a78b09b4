"""Laws of `elicit watch`: it shows what is measured while a command goes on, and ends with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elicit.cli import main
from elicit.commands import watch
from elicit.experiment import run as orchestration
from elicit.experiment.so_far import FILE, compared, entries_so_far, latest_runs, worked_on
from elicit.files import read_json
from elicit.results import Comparison
from tests.test_run import GREEDY, SMALL, elicit


class Looks:
    """What a look at the comparison gives just before its only run is fitted."""

    working: bool
    result: Comparison
    text: str


@pytest.fixture
def looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Looks:
    """A run on the twin during which somebody watches."""
    looks, folder = Looks(), tmp_path / "runs" / "comparisons" / "live"
    fit = orchestration.run_job

    def look_and_fit(*words: Any) -> None:
        runs = latest_runs(folder)
        looks.working = worked_on(folder)
        looks.result = compared(folder, runs, entries_so_far(folder, runs))
        answers = iter([True, True, False])
        with monkeypatch.context() as patched:
            patched.setattr(watch, "worked_on", lambda _: next(answers))
            patched.setattr(watch.time, "sleep", lambda _: None)
            assert main(["watch", "live", f"root={tmp_path / 'runs'}"]) == 0
        fit(*words)

    monkeypatch.setattr(orchestration, "run_job", look_and_fit)
    small = [word for word in SMALL if word != "output=json"]
    assert main([*GREEDY, *small, "group=live", f"root={tmp_path / 'runs'}"]) == 0
    looks.text = capsys.readouterr().out
    return looks


def test_what_is_measured_is_shown_with_the_numbers_that_it_keeps_and_the_watch_ends_with_the_command(
    looks: Looks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runs" / "comparisons" / "live"
    final = read_json(folder / "comparison.json")["lines"]
    # 1) during the run: base and ceiling, each with its final accuracy, and no run done
    assert looks.working and [line.role for line in looks.result.lines] == ["base", "ceiling"]
    for line, later in zip(looks.result.lines, final, strict=False):
        assert (line.name, line.number("acc/strict")) == (later["name"], later["values"]["acc/strict"]["point"])
    during = looks.text[: looks.text.index("elicit runs live names what continues it")]
    assert during.count("live: 0 of 1 runs done") == 3 and "it ended before the comparison" in during
    # 2) afterwards: the result, at once
    assert not worked_on(folder) and not (folder / FILE).exists()
    assert main(["watch", "live", f"root={tmp_path / 'runs'}"]) == 0
    out = capsys.readouterr().out
    assert "live: 1 of 1 runs done; no process works on it" in out and "greedy" in out and "ended before" not in out


def test_a_group_that_does_not_exist_is_refused_with_its_near_match(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs" / "comparisons" / "demo").mkdir(parents=True)
    assert main(["watch", "dmeo", f"root={tmp_path / 'runs'}"]) == 2
    assert "demo" in capsys.readouterr().err


def test_a_command_that_fails_leaves_what_was_measured_and_says_how_to_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(orchestration, "run_job", broken)
        assert main([*GREEDY, *SMALL, "group=live", f"root={tmp_path / 'runs'}"]) == 130
    capsys.readouterr()
    assert main(["watch", "live", f"root={tmp_path / 'runs'}"]) == 0
    out = capsys.readouterr().out
    assert "1 interrupted" in out and "elicit runs live" in out
    assert elicit(*GREEDY, *SMALL, "group=live", cwd=tmp_path)[0] == 0
    assert not (tmp_path / "runs" / "comparisons" / "live" / FILE).exists()
