"""Laws of resuming: all comparisons of the command, from any folder; the rows of a run are counted on."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest

from elicit import processes
from elicit.cli import main
from elicit.errors import DataError
from elicit.experiment.run_folder import RunFolder, all_runs
from elicit.files import read_json
from elicit.track.sink import WandbRun
from tests.test_run import GREEDY, SMALL, TWIN, elicit

SWEEP = ["-m", *GREEDY, *SMALL[1:], "model.path=twin", "task=chain,walk"]


def test_a_killed_sweep_over_tasks_is_resumed_as_a_whole_and_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from elicit.experiment import bench

    def stops(*arguments: Any, **settings: Any) -> Any:
        raise KeyboardInterrupt

    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (here / "twin").symlink_to(TWIN)
    with monkeypatch.context() as patch, contextlib.chdir(here), contextlib.redirect_stderr(io.StringIO()):
        patch.setattr(bench, "grade", stops)
        assert main(SWEEP) == 130
    runs = list(all_runs(here / "runs"))
    assert [run.manifest["status"] for run in runs] == ["interrupted", "planned"]
    code, result = elicit("resume", str(runs[0].path), "output=json", cwd=there)
    assert [run["error"] for run in result["runs"]] == [None, None] and code == 0
    assert [run["status"] for run in result["runs"]] == ["done", "done"]
    assert len(result["comparisons"]) == 2 and list(there.iterdir()) == []
    # a run that is gone is reported, and the others are resumed
    (runs[1].path / "manifest.json").unlink()
    err = io.StringIO()
    with contextlib.chdir(there), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        assert main(["resume", str(runs[0].path), "output=json"]) == 0
    assert "removed or never planned: 1" in err.getvalue()


def test_a_comparison_that_fails_does_not_take_the_others_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from elicit.evaluate.comparison import prereg

    freeze = prereg.freeze

    def fails_for_chain(plan: Any, folder: Path, now: float) -> str:
        if "chain" in folder.name:
            raise DataError("the first comparison can't be frozen")
        return freeze(plan, folder, now)

    monkeypatch.setattr(prereg, "freeze", fails_for_chain)
    (tmp_path / "twin").symlink_to(TWIN)
    code, result = elicit(*SWEEP, cwd=tmp_path)
    failed, done = result["runs"]
    assert code == 3 and (failed["status"], done["status"]) == ("failed", "done")
    assert len(result["comparisons"]) == 1
    assert "can't be frozen" in read_json(tmp_path / failed["run"] / "error.json")["message"]


def test_working_in_a_folder_keeps_paths_and_leaves_it_off_the_import_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "a"), *sys.path])
    with processes.working_in(str(tmp_path / "b")) as moved:
        assert Path.cwd() == tmp_path / "b" and moved(Path("x")) == tmp_path / "a" / "x"
        assert not {str(tmp_path / "a"), str(tmp_path / "b")} & set(sys.path)
    assert Path.cwd() == tmp_path / "a" and sys.path[0] == str(tmp_path / "a")
    for gone in (None, str(tmp_path / "c")):
        with processes.working_in(gone) as moved:
            assert Path.cwd() == tmp_path / "a" and moved(Path("x")) == Path("x")


def test_rows_of_a_resumed_run_are_counted_on_in_the_log_and_in_wandb(tmp_path: Path) -> None:
    sent: list[dict[str, Any]] = []

    class Sink:
        id = "x"

        def log(self, row: dict[str, Any], step: int, commit: bool) -> None:
            assert step == row["elicit/step"] and commit
            sent.append(row)

    def process(run: RunFolder) -> None:
        """What one process logs: a new folder object and a new wandb run."""
        tracked = WandbRun(Sink(), print)
        for loss in (0.5, 0.25):
            row = {"loss": loss}
            tracked.log({"step": run.log(row), **row})

    run = RunFolder.create(tmp_path, "m", "t", {"a": 1}, {})
    process(run)
    with (run.path / "log.jsonl").open("a") as file:
        file.write('{"time": 1, "lo')  # its process was killed
    process(RunFolder(run.path))
    assert [row["elicit/step"] for row in sent] == [1, 2, 3, 4]
    assert (run.path / "log.jsonl").read_text().count('"loss"') == 4
    assert [row["loss"] for row in RunFolder(run.path).logged()] == [0.5, 0.25] * 2
    assert all(line.endswith("}") for line in (run.path / "log.jsonl").read_text().splitlines())
    with (run.path / "log.jsonl").open("a") as file:
        file.write('{"loss": NaN}\n[1]\n')
    with pytest.raises(DataError, match=r"log\.jsonl, line 6"):
        RunFolder(run.path).logged()
