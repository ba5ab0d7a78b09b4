"""Laws of a comparison that grows: what joins it is what fits it, and the dates are kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from elicit.cli import main
from elicit.evaluate.comparison.additions import additions
from elicit.experiment.run_folder import RunFolder
from elicit.files import read_json
from tests.test_measured import run_folder
from tests.test_run import GREEDY, SMALL, elicit

VOTES = ["method=decoding", "method/strategy=self_consistency", "method.strategy.n=2", "placebos=one"]


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a greedy run, votes with their placebo, and three runs that do not fit went through."""
    folder = tmp_path_factory.mktemp("commands")
    for group, words in (
        ("grows", [*GREEDY]),
        ("votes", [*VOTES]),
        ("fewer", [*GREEDY, "eval.limit=4"]),
        ("walk", [*GREEDY, "task=walk"]),
        ("base", [*GREEDY, "model.path=organism"]),
    ):
        small = SMALL[1:] if group == "base" else SMALL
        assert elicit(*small, *words, f"group={group}", cwd=folder)[0] == 0
    return folder


@pytest.fixture
def root(commands: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(commands / "runs", tmp_path / "runs"))


def add(root: Path, group: str, to: str = "grows") -> int:
    return main(["add", run_folder(root, group).path.name, to, f"root={root}"])


def lines_of(root: Path) -> list[tuple[str, str]]:
    result = read_json(root / "comparisons" / "grows" / "comparison.json")
    return [(line["role"], line["name"]) for line in result["lines"]]


def test_a_comparison_grows_by_a_run_with_its_placebo_and_the_lines_before_stay_the_same(root: Path) -> None:
    file = root / "comparisons" / "grows" / "comparison.json"
    before = {line["name"]: line["values"]["acc/strict"] for line in read_json(file)["lines"]}
    names = lines_of(root)
    assert add(root, "votes") == 0
    after = {line["name"]: line["values"]["acc/strict"] for line in read_json(file)["lines"]}
    grown = [name for name in lines_of(root) if name not in names]
    assert [role for role, _ in grown] == ["method", "placebo"] and len(lines_of(root)) == len(names) + 2
    assert {name: after[name] for name in before} == before


def test_the_log_says_what_was_frozen_when_and_the_comparison_is_exploratory_from_then_on(root: Path) -> None:
    file, plan = root / "comparisons" / "grows" / "comparison.json", root / "comparisons" / "votes"
    assert read_json(file)["frozen"] == "before"
    assert add(root, "votes") == 0
    (one,) = additions(file.parent)
    frozen = read_json(plan / "preregistration.json")
    assert (one.group, one.plan, one.frozen_at) == ("votes", frozen["hash"], frozen["frozen_at"])
    assert one.first_sample is not None and frozen["frozen_at"] < one.first_sample < one.added_at
    result = read_json(file)
    assert result["frozen"] == "after" and one.sentence in result["warnings"] and "before its first" in one.sentence


@pytest.mark.parametrize(
    ("group", "words"),
    [("fewer", "eval.limit=4, not 5"), ("walk", "task."), ("base", "base ")],
)
def test_a_run_of_another_base_task_or_evaluation_is_refused_and_the_difference_is_named(
    group: str, words: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in (root / "comparisons" / "grows").rglob("*") if path.is_file()}
    assert add(root, group) == 1
    assert words in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (root / "comparisons" / "grows").rglob("*") if path.is_file()} == before


def test_a_run_that_is_there_already_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert add(root, "grows") == 2 and "already" in capsys.readouterr().err
    assert add(root, "votes") == 0 and add(root, "votes") == 2
    assert len(additions(root / "comparisons" / "grows")) == 1


def test_a_placebo_joins_only_a_comparison_that_has_its_method(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [RunFolder(path.parent) for path in root.glob("*/manifest.json")]
    (placebo,) = (run for run in runs if (run.manifest["group"], run.manifest["role"]) == ("votes", "placebo"))
    command = ["add", placebo.path.name, "grows", f"root={root}"]
    assert main(command) == 2
    assert f"elicit add {run_folder(root, 'votes').path.name} grows" in capsys.readouterr().err
    assert not additions(root / "comparisons" / "grows")
    assert add(root, "votes") == 0
    assert main(command) == 2 and "already" in capsys.readouterr().err


def test_the_command_of_the_group_keeps_what_was_added_and_then_nothing_changes(root: Path) -> None:
    assert add(root, "votes") == 0
    grown = lines_of(root)
    command = [*GREEDY, *SMALL, "group=grows"]
    assert elicit(*command, cwd=root.parent)[1]["unchanged"] == []
    assert lines_of(root) == grown
    assert elicit(*command, cwd=root.parent)[1]["unchanged"] == ["grows"]
