"""Laws of `elicit runs` and `elicit traces`: the state is that of the folder, the verdict that of the grade."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elicit.cli import main
from elicit.commands.traces import chosen_item, marked, verdict
from elicit.errors import ConfigError
from elicit.experiment.run_folder import RunFolder
from elicit.files import locked
from elicit.records import Item
from elicit.tasks.formal.task import FormalTask

ITEM = Item("abc1", "chain", "test", "q", "7", "c")
GRADE = {"strict": False, "lenient": False, "answer": None, "violation": None, "violation_step": None, "ungraded": None}


def planned(root: Path, name: str, invocation: str) -> RunFolder:
    manifest = {"name": name, "group": "g", "invocation": invocation, "seed": 0}
    return RunFolder.create(root, name, "chain", {}, manifest)


def test_each_state_is_listed_and_an_unfinished_command_is_continued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done, failed, stopped, working = (
        planned(tmp_path, name, command) for name, command in (("a", "1"), ("b", "1"), ("c", "1"), ("d", "2"))
    )
    done.update(status="done")
    failed.failed(ValueError("too small"))
    with locked(working.path):
        assert main(["runs", f"root={tmp_path}"]) == 0
    out = capsys.readouterr().out
    listed = [line for line in out.splitlines() if "-chain-" in line and not line.startswith("continue")]
    assert [line.split()[0].strip(",") for line in listed] == ["done", "failed", "planned", "running"]
    assert "ValueError: too small" in out
    assert [line for line in out.splitlines() if line.startswith("continue")] == [
        f"continue g: elicit resume {failed.path.name} root={tmp_path}"
    ]
    assert stopped.path.name in out
    assert main(["status", "other", f"root={tmp_path}"]) == 0 and "no runs of other" in capsys.readouterr().out


def test_a_failed_run_that_a_later_one_repeated_is_not_continued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = planned(tmp_path, "a", "1"), planned(tmp_path, "a", "2")
    for run in sorted((first, again), key=lambda run: run.path.name)[:1]:
        run.failed(ValueError("a vector of another width"))
    advised = f"elicit resume {min(first.path.name, again.path.name)}"
    assert main(["runs", f"root={tmp_path}"]) == 0 and advised in capsys.readouterr().out
    RunFolder(tmp_path / max(first.path.name, again.path.name)).update(status="done")
    assert main(["runs", f"root={tmp_path}"]) == 0 and "continue" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("grade", "finish", "expected"),
    [
        ({"strict": True, "answer": "7"}, "eos", "right: it declares '7'"),
        ({"answer": "8"}, "eos", "wrong: it declares '8', gold is '7'"),
        ({}, "eos", "wrong: no declared answer"),
        ({"lenient": True}, "length", "wrong: ended by the token limit, so nothing is declared; right if"),
        ({"strict": None, "ungraded": "timeout"}, "eos", "ungraded: timeout"),
        (
            {"answer": "8", "violation": "sum", "violation_step": 2},
            "stop",
            "first violation of the trace: sum at step 2",
        ),
    ],
)
def test_a_verdict_gives_its_reason(grade: dict[str, Any], finish: str, expected: str) -> None:
    assert expected in verdict({"finish": finish}, {**GRADE, **grade}, ITEM)


def test_the_stated_answer_is_marked() -> None:
    task = FormalTask()
    item = task.items("test", 1)[0]
    text = task.gold_completion(item)
    assert f">>{item.gold}<<" in marked(text, task) and marked(text, task).replace(">>", "").replace("<<", "") == text


def test_an_item_is_chosen_by_the_beginning_of_its_id() -> None:
    others = [ITEM, Item("abd2", "chain", "test", "q", "8", "c")]
    assert chosen_item(others, "abc") is ITEM
    with pytest.raises(ConfigError, match="2 items begin so"):
        chosen_item(others, "ab")
    with pytest.raises(ConfigError, match="elicit traces GROUP lists them"):
        chosen_item(others, "x")
