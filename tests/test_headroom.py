"""Laws of `elicit headroom`: the gap is what the stored dev samples say, and no test item is read."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path

import pytest

from elicit.cli import main
from elicit.config.compose import build_settings, compose
from elicit.files import read_rows, shards

WORDS = (
    *("model=organism", "task=chain", "tracker=none", "eval.prompts=[bare,step_by_step]", "eval.prompt_limit=6"),
    *("eval.prompt_n=2", "eval.limit=4", "eval.support_n=8", "eval.max_new_tokens=40", "eval.workers=1"),
)


def test_the_gap_is_c1_minus_the_best_prompt_of_the_stored_dev_samples(tmp_path: Path) -> None:
    assert main(["headroom", *WORDS, f"root={tmp_path}"]) == 0
    (written,) = (tmp_path / "headroom").glob("*.json")
    (row,) = json.loads(written.read_text())["tasks"]
    grades = {
        folder: list(read_rows(shards(folder))) for folder in (tmp_path / "store/grades").glob("*/*") if folder.is_dir()
    }
    # 1) the best prompt: the largest share of strictly right samples
    prompts = [rows for folder, rows in grades.items() if folder.name.startswith("compare")]
    assert len(prompts) == 2 and all(len(rows) == 12 for rows in prompts)
    b1 = max(sum(bool(one["strict"]) for one in rows) / len(rows) for rows in prompts)
    # 2) C1: by counting, the chance that 4 of an item's 8 samples hold a right one with a valid trace
    (support,) = [rows for folder, rows in grades.items() if folder.name.startswith("support")]
    covered = []
    for item in sorted({one["item"] for one in support}):
        solved = sum(bool(one["lenient"] and one["valid"]) for one in support if one["item"] == item)
        covered.append(1 - comb(8 - solved, 4) / comb(8, 4))
    assert row["c1_prompt"] == "bare" and list(row["c1_at"]) == ["bare"]
    assert row["c1_at"]["bare"]["k"] == 4 and row["c1"] == pytest.approx(sum(covered) / 4)
    assert row["gap"] == pytest.approx(row["c1"] - b1)


def test_c1_at_the_best_prompt_is_of_samples_drawn_there_and_next_to_the_bare_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("elicit.commands.headroom.choose_b1", lambda on_dev: "step_by_step")
    assert main(["headroom", *WORDS, "eval.c1_prompt=best", f"root={tmp_path}"]) == 0
    (written,) = (tmp_path / "headroom").glob("*.json")
    (row,) = json.loads(written.read_text())["tasks"]
    assert row["c1_prompt"] == "step_by_step" and set(row["c1_at"]) == {"step_by_step", "bare"}
    assert row["c1"] == row["c1_at"]["step_by_step"]["c1"]
    assert row["gap"] == pytest.approx(row["c1"] - row["prompts"]["step_by_step"]["strict"])
    drawn = {folder.parent.name for folder in (tmp_path / "store/samples").glob("*/support-*")}
    asked = {folder.parent.name for folder in (tmp_path / "store/samples").glob("*/compare-*")}
    assert len(drawn) == 2 and drawn == asked, "C1 is drawn from the policies of both prompts"
    shown = capsys.readouterr()
    assert "C1 at step_by_step" in shown.out + shown.err and "C1 at bare" in shown.out + shown.err


def test_headroom_reads_no_test_item(tmp_path: Path) -> None:
    main(["headroom", *WORDS, f"root={tmp_path}"])
    dev = {item.id for item in build_settings(compose(WORDS)).task.items("dev")}
    read = {one["item"] for folder in (tmp_path / "store/samples").glob("*/*") for one in read_rows(shards(folder))}
    assert read and read <= dev


def test_headroom_without_samples_for_c1_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["headroom", "model=organism", "task=chain", "tracker=none", f"root={tmp_path}"]) == 2
    assert "eval.support_n=64" in capsys.readouterr().err


def test_a_base_that_is_compared_at_another_prompt_needs_no_bare_one_for_its_headroom(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = ("eval.prompt=step_by_step", "eval.prompts=[step_by_step]")
    assert main(["headroom", *WORDS, *alone, f"root={tmp_path}"]) == 0
    (written,) = (tmp_path / "headroom").glob("*.json")
    (row,) = json.loads(written.read_text())["tasks"]
    assert row["c1_prompt"] == row["best"] == "step_by_step" and list(row["c1_at"]) == ["step_by_step"]
    shown = capsys.readouterr()
    assert "chain: step_by_step" in shown.out + shown.err
