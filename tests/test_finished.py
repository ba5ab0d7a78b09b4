"""Laws of a finished comparison: the same command shows it again, and whatever it was computed from counts.

One small run on the shipped twin; each law works on a copy of its root.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from elicit.experiment import finished
from elicit.experiment.finished import unchanged
from elicit.experiment.plan import ComparisonPlan, plan
from elicit.files import read_json, read_rows, write_rows
from tests.test_run import GREEDY, SMALL, elicit


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one greedy run went through."""
    folder = tmp_path_factory.mktemp("once")
    assert elicit(*GREEDY, *SMALL, cwd=folder)[0] == 0
    return folder


@pytest.fixture
def root(once: Path, tmp_path: Path) -> Path:
    shutil.copytree(once / "runs", tmp_path / "runs")  # with times of change
    return tmp_path / "runs"


def planned(root: Path, *more: str) -> ComparisonPlan:
    (comparison,) = plan([[*GREEDY, *SMALL, f"root={root}", *more]])
    return comparison


def test_the_same_command_again_loads_no_model_writes_nothing_and_has_the_same_result(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_model(*_: object) -> None:
        raise AssertionError("a checkpoint was loaded")

    monkeypatch.setattr("elicit.policy.checkpoint.load_checkpoint", no_model)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    code, result = elicit(*GREEDY, *SMALL, cwd=root.parent)
    assert code == 0 and result["runs"][0]["status"] == "done"
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    (file,) = root.glob("comparisons/*/comparison.json")
    assert result["comparisons"][0]["lines"] == read_json(file)["lines"]


def flip_a_grade(root: Path) -> None:
    shard = next(root.glob("store/grades/*/*/shard-*.parquet"))
    rows = read_rows([shard])
    write_rows(shard, [{**rows[0], "strict": not rows[0]["strict"]}, *rows[1:]])


def change_the_ledger(root: Path) -> None:
    (ledger,) = root.glob("*greedy*/ledger.jsonl")
    ledger.write_text(ledger.read_text() + "\n")


def write_a_note(root: Path) -> None:
    (page,) = root.glob("comparisons/*/report/report.html")
    page.with_name("notes.md").write_text("of the user")


def remove_samples(root: Path) -> None:
    next(root.glob("store/samples/*/*/shard-*.parquet")).unlink()


def edit_the_result(root: Path) -> None:
    (file,) = root.glob("comparisons/*/comparison.json")
    file.write_text(file.read_text().replace('"created"', '"created" '))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (flip_a_grade, "store"),
        (remove_samples, "store"),
        (change_the_ledger, "runs"),
        (write_a_note, "result"),
        (edit_the_result, "result"),
    ],
)
def test_a_changed_file_leads_to_a_new_computation(change: Callable[[Path], None], part: str, root: Path) -> None:
    lines: list[str] = []
    assert len(unchanged(planned(root), lines.append)) == 1 and not lines
    change(root)
    assert unchanged(planned(root), lines.append) == []
    assert lines[0].endswith(f"computed again, for another {part}")


@pytest.mark.parametrize("setting", ["eval.bootstrap_draws=51", "seed=3", "eval.n=3", "template=claim", "parallel=2"])
def test_a_changed_setting_leads_to_a_new_computation(setting: str, root: Path) -> None:
    lines: list[str] = []
    assert unchanged(planned(root, setting), lines.append) == []
    assert "settings" in lines[0]


def test_a_changed_version_or_line_of_code_leads_to_a_new_computation(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(finished, "versions", lambda: {"torch": "0.0"})
        assert unchanged(planned(root), lines.append) == []
    real = finished.file_hash
    with monkeypatch.context() as patched:
        patched.setattr(finished, "file_hash", lambda path: "0" if path.name == "significance.py" else real(path))
        assert unchanged(planned(root), lines.append) == []
    assert [line.rsplit(" ", 1)[-1] for line in lines] == ["machine", "code"]


def test_a_changed_grade_changes_the_result_of_the_same_command(root: Path) -> None:
    (file,) = root.glob("comparisons/*/comparison.json")
    before = read_json(file)["lines"]
    for shard in root.glob("store/grades/*/*/shard-*.parquet"):
        write_rows(shard, [{**row, "strict": True, "lenient": True} for row in read_rows([shard])])
    code, _ = elicit(*GREEDY, *SMALL, cwd=root.parent)
    assert code == 0 and read_json(file)["lines"] != before


def test_a_comparison_with_a_run_that_was_removed_is_computed_again(root: Path) -> None:
    (run,) = root.glob("*greedy*")
    shutil.rmtree(run)
    assert unchanged(planned(root), print) == []
