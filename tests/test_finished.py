"""Laws of a finished comparison: the same command shows it again, and whatever it was computed from counts.

One small run on the shipped twin; each law works on a copy of its root.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from elicit.experiment import finished
from elicit.experiment.finished import unchanged
from elicit.experiment.fit import named_files
from elicit.experiment.plan import ComparisonPlan, plan
from elicit.files import read_json, read_rows, write_rows
from elicit.records import Item
from tests.test_run import GREEDY, SMALL, TWIN, elicit


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one greedy run went through."""
    folder = tmp_path_factory.mktemp("once")
    assert elicit(*GREEDY, *SMALL, cwd=folder)[0] == 0
    return folder


@pytest.fixture
def root(once: Path, tmp_path: Path) -> Path:
    shutil.copytree(once / "runs", tmp_path / "runs")
    return tmp_path / "runs"


def group_of(root: Path) -> str:
    (file,) = root.glob("comparisons/*/comparison.json")
    return file.parent.name


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
    assert code == 0 and result["runs"][0]["status"] == "done" and result["unchanged"] == [group_of(root)]
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    (file,) = root.glob("comparisons/*/comparison.json")
    assert result["comparisons"][0]["lines"] == read_json(file)["lines"]


def flip_a_grade(root: Path) -> None:
    shard = next(root.glob("store/grades/*/*/shard-*.parquet"))
    rows = read_rows([shard])
    times, size = shard.stat(), shard.stat().st_size
    write_rows(shard, [{**rows[0], "strict": not rows[0]["strict"]}, *rows[1:]])
    assert shard.stat().st_size == size  # neither its size nor its time shows the change
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))


def change_the_ledger(root: Path) -> None:
    (ledger,) = root.glob("*greedy*/ledger.jsonl")
    ledger.write_text(ledger.read_text() + "\n")


def write_a_note(root: Path) -> None:
    (page,) = root.glob("comparisons/*/report/report.html")
    page.with_name("notes.md").write_text("of the user")


def remove_samples(root: Path) -> None:
    next(root.glob("store/samples/*/*/shard-*.parquet")).unlink()


def cut_the_curve(root: Path) -> None:
    (run,) = root.glob("*greedy*")
    (run / "log.jsonl").write_text('{"time": 1.0}\n')


def annotate(root: Path) -> None:
    samples = next(root.glob("store/samples/*/*"))
    folder = root / "store" / "annotations" / samples.parent.name / samples.name
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")


def edit_the_plan(root: Path) -> None:
    (file,) = root.glob("comparisons/*/preregistration.json")
    file.write_text(file.read_text() + "\n")


def edit_the_result(root: Path) -> None:
    (file,) = root.glob("comparisons/*/comparison.json")
    file.write_text(file.read_text().replace('"created"', '"created" '))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (flip_a_grade, "store"),
        (remove_samples, "store"),
        (annotate, "store"),
        (change_the_ledger, "runs"),
        (cut_the_curve, "runs"),
        (edit_the_plan, "result"),
        (write_a_note, "result"),
        (edit_the_result, "result"),
    ],
)
def test_a_changed_file_leads_to_a_new_computation(change: Callable[[Path], None], part: str, root: Path) -> None:
    lines: list[str] = []
    assert len(unchanged(planned(root), lines.append)) == 1 and not lines
    change(root)
    assert unchanged(planned(root), lines.append) == []
    assert lines[0].endswith(f"computed again; changed since the last time: {part}")


@pytest.mark.parametrize("setting", ["eval.bootstrap_draws=51", "seed=3", "eval.n=3", "template=claim", "parallel=2"])
def test_a_changed_setting_leads_to_a_new_computation(setting: str, root: Path) -> None:
    lines: list[str] = []
    assert unchanged(planned(root, setting), lines.append) == []
    assert "settings" in lines[0]


def test_the_root_the_form_of_the_output_and_other_policies_of_the_store_lead_to_no_computation(
    root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root / "store" / "samples", tmp_path / "more")
    for other in (tmp_path / "more").iterdir():
        shutil.move(other, root / "store" / "samples" / f"another-{other.name}")
    copied = shutil.copytree(root, tmp_path / "moved" / "runs", copy_function=shutil.copyfile)  # without times
    assert len(unchanged(planned(copied, "output=text"), print)) == 1


def own_template(folder: Path) -> Path:
    page = folder / "mine.html.j2"
    page.write_text('{% include "part.j2" %}')
    (folder / "part.j2").write_text("one")
    return page


def test_a_changed_template_or_a_file_that_it_includes_leads_to_a_new_computation(root: Path, tmp_path: Path) -> None:
    page = own_template(tmp_path)
    command = [*GREEDY, *SMALL, f"template={page}"]
    assert elicit(*command, cwd=root.parent)[1]["unchanged"] == []
    again = elicit(*command, cwd=root.parent)[1]
    assert again["unchanged"] == [group_of(root)] and (root / "comparisons" / group_of(root) / "report").is_dir()
    (tmp_path / "part.j2").write_text("two")
    lines: list[str] = []
    assert unchanged(planned(root, f"template={page}"), lines.append) == [] and lines[0].endswith(": data")


def test_a_changed_item_of_an_open_split_leads_to_a_new_computation(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    for split in ("test", "dev", "train"):
        comparison = planned(root)
        task = comparison.settings.task
        real = task.items

        def other(asked: str, *rest: Any, real: Any = real, split: str = split) -> list[Item]:
            items = real(asked, *rest)
            return [replace(items[0], cluster="other"), *items[1:]] if asked == split else items

        with monkeypatch.context() as patched:
            patched.setattr(type(task), "items", lambda _, *words, other=other: other(*words))
            assert unchanged(comparison, lines.append) == []
    assert [line.rsplit(" ", 1)[-1] for line in lines] == ["data"] * 3


def test_changed_weights_of_the_model_lead_to_a_new_computation(root: Path, tmp_path: Path) -> None:
    weights = Path(shutil.copytree(TWIN, tmp_path / "twin"))
    command = [*GREEDY, *SMALL, f"model.path={weights}", f"root={tmp_path / 'other'}"]
    assert elicit(*command, cwd=tmp_path)[0] == 0
    (comparison,) = plan([command])
    assert len(unchanged(comparison, print)) == 1
    next(weights.glob("*.safetensors")).touch()
    lines: list[str] = []
    assert unchanged(comparison, lines.append) == [] and lines[0].endswith(": model")


def test_an_unreadable_record_of_what_was_computed_leads_to_a_new_computation(root: Path) -> None:
    file = root / "comparisons" / group_of(root) / finished.FILE
    file.write_text(file.read_text()[:40])
    lines: list[str] = []
    assert unchanged(planned(root), lines.append) == [] and str(file) in lines[0]


def test_a_changed_version_or_line_of_code_leads_to_a_new_computation(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(finished, "_installed", lambda: ["torch-0.0.dist-info"])
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


def test_sentences_of_a_configuration_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text("{}")
    node = {
        "study": {"asked": "Who is compared with whom. " * 20, "short": "~nobody/x"},
        "path": str(tmp_path / "own.jsonl"),
    }
    assert list(named_files(node)) == [tmp_path / "own.jsonl"]
