"""Laws of worker processes: they change when things are done, and nothing that is done."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from elicit.experiment import workers
from elicit.experiment.run_folder import DONE, RunFolder
from tests.test_run import SMALL, elicit

TWO = ["-m", "method=decoding", "method/strategy=greedy,low_temperature", *SMALL]
HOPELESS = ["method=contrastive", "method.items=1", "method.samples=1", *SMALL]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    code, result = elicit(*TWO, cwd=tmp_path_factory.mktemp("alone"))
    assert code == 0
    return result["comparisons"][0]["lines"]


def same(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> bool:
    def compared(line: dict[str, Any]) -> list[Any]:
        values = {key: value for key, value in line["values"].items() if key.startswith(("acc", "gain", "ef"))}
        return [values, *(line[key] for key in ("id", "name", "role", "ledger", "data_class"))]

    return [compared(line) for line in ours] == [compared(line) for line in theirs]


def test_two_processes_give_the_comparison_of_one(alone: list[dict[str, Any]], tmp_path: Path) -> None:
    code, result = elicit(*TWO, "parallel=2", cwd=tmp_path)
    assert code == 0 and same(result["comparisons"][0]["lines"], alone)
    assert {run["status"] for run in result["runs"]} == {DONE}


def test_a_run_is_claimed_by_the_first_that_asks_and_released_by_the_next_command(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "m", "t", {"a": 1}, {})
    assert workers.claim(run) and not workers.claim(run)
    workers.release([run])
    assert workers.claim(run)


def test_what_a_worker_left_unfinished_is_done_by_the_main_process(
    alone: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def killed_after_claiming(count: int, runs: Sequence[RunFolder]) -> Iterator[None]:
        assert all(workers.claim(run) for run in runs)
        yield

    monkeypatch.setattr(workers, "helping", killed_after_claiming)
    code, result = elicit(*TWO, "parallel=2", cwd=tmp_path)
    assert code == 0 and same(result["comparisons"][0]["lines"], alone)


def test_the_fault_of_a_worker_is_the_fault_of_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def one_that_does_everything(count: int, runs: Sequence[RunFolder]) -> Iterator[None]:
        workers.work(os.getppid(), [str(run.path.resolve()) for run in runs])
        yield

    monkeypatch.setattr(workers, "helping", one_that_does_everything)
    code, result = elicit(*HOPELESS, "parallel=2", cwd=tmp_path)
    assert code == 1 and result["runs"][0]["status"] == "failed"
    assert result["runs"][0]["error"].startswith("MethodError: ")


def test_what_a_worker_wrote_into_its_run_outlasts_an_older_copy_of_the_main_process(tmp_path: Path) -> None:
    ours = RunFolder.create(tmp_path, "m", "t", {}, {"name": "m"})
    RunFolder(ours.path).update(fit={"method": "abc"}, status="fitted")
    ours.update(status="interrupted")
    assert RunFolder(ours.path).manifest["fit"] == ours.manifest["fit"] == {"method": "abc"}
    assert RunFolder(ours.path).manifest["status"] == "interrupted"


def test_a_worker_without_its_parent_begins_nothing_new(tmp_path: Path) -> None:
    code, result = elicit(*TWO[1:2], "method/strategy=greedy", *SMALL, cwd=tmp_path)
    assert code == 0
    run = RunFolder(tmp_path / result["runs"][0]["run"])
    workers.release([run])
    workers.work(-1, [str(run.path)])
    assert workers.claim(run)
