"""Laws of `make bench`: a done row is not run again, a failed one does not stop the others, the page hides nothing."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

from benchmarks import bench
from benchmarks.page import page
from benchmarks.rows import ROWS, Line, Row

SCRIPT = """
import json, pathlib, sys
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--value", type=float)
parser.add_argument("--out")
args = parser.parse_args()
print("measuring")
with open("calls", "a") as calls:
    calls.write(f"{args.out} {args.value}\\n")
assert args.value, "nothing to measure"
file = pathlib.Path("benchmarks/results", args.out + ".json")
speeds = {"ours": {"median": 2.0, "runs": [args.value, 4.0, 1.0]}, "peer": {"median": 1.0, "runs": [1.0, 1.0, 1.0]}}
machine = {"cpu": "c", "cores": 2, "torch": "t", "transformers": "f"}
file.write_text(json.dumps({"speeds": speeds, "machine": machine}))
"""


def row(name: str, value: float, target: float | None = 3.0, cost: bool = False) -> Row:
    line = Line(f"the work of {name}", "ours", "peer", "a peer", target, cost)
    return Row(name, "example.py", f"--value {value}", "--value 7", (line,), 1)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "benchmarks" / "example.py").write_text(SCRIPT)
    monkeypatch.setattr(bench, "HOUSE", tmp_path)
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "benchmarks" / "results")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, rows: tuple[Row, ...], *words: str) -> int:
    for module in ("benchmarks.bench", "benchmarks.page"):
        monkeypatch.setattr(sys.modules[module], "ROWS", rows)
    monkeypatch.setattr(sys, "argv", ["bench.py", *words])
    return bench.main()


def calls(house: Path) -> list[str]:
    return (house / "calls").read_text().splitlines() if (house / "calls").exists() else []


def test_a_row_that_is_done_is_not_run_again_until_its_arguments_change(
    house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (row("a", 2), row("b", 3))
    assert run(monkeypatch, rows, "--only", "a") == 0 and run(monkeypatch, rows) == 0
    assert calls(house) == ["bench/a 2.0", "bench/b 3.0"]
    assert run(monkeypatch, (row("a", 5), rows[1])) == 0 and calls(house)[2:] == ["bench/a 5.0"]
    assert run(monkeypatch, rows, "--list") == 0 and len(calls(house)) == 3
    assert run(monkeypatch, rows, "--again", "--only", "b") == 0 and calls(house)[3:] == ["bench/b 3.0"]


def test_a_row_that_fails_is_named_and_the_others_are_measured(
    house: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, (row("broken", 0), row("b", 3))) == 1
    assert "failed: broken: AssertionError: nothing to measure" in capsys.readouterr().out
    assert calls(house)[-1] == "bench/b 3.0"
    assert "| the work of broken | a peer |  |  | not run yet |" in (house / "docs" / "benchmarks.md").read_text()


def test_a_ratio_is_the_median_of_paired_ratios_and_what_falls_short_is_said(
    house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, (row("a", 2), row("b", 2, 1.5))) == 0
    written = (house / "docs" / "benchmarks.md").read_text()
    assert "| the work of a | a peer | 2 | 1 | 2x [1x, 4x] | ≥ 3x | **no** |" in written
    assert "| the work of b | a peer | 2 | 1 | 2x [1x, 4x] | ≥ 1.5x | yes |" in written
    short = written.split("## What falls short")[1].split("##")[0]
    assert "the work of a: 2x against a peer; target 3x" in short and "work of b" not in short
    assert "c, 2 cores, torch t, transformers f" in written
    assert set(json.loads((house / "benchmarks" / "results" / "bench.json").read_text())) == {"a", "b"}


def test_a_cost_is_what_is_lost_and_its_target_is_an_upper_bound() -> None:
    speeds = {"ours": {"median": 99, "runs": [99.0]}, "peer": {"median": 100, "runs": [100.0]}}
    steering = next(one for one in ROWS if one.name == "steering_organism")
    [line] = steering.lines
    machine = {"cpu": "c", "cores": 2, "torch": "t", "transformers": "f", "other processes, cores": 1.3}
    result = {"speeds": {line.ours: speeds["ours"], line.theirs: speeds["peer"]}, "machine": machine}
    written = page({"steering_organism": result})
    assert "| 1.0% | ≤ 2.0% | yes |" in written and "other processes took up to 1.3 cores" in written


def test_quick_figures_reach_no_page(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, (row("a", 2),), "--quick") == 0 and calls(house) == ["quick/a 7.0"]
    assert not (house / "docs" / "benchmarks.md").exists()
    assert run(monkeypatch, (row("a", 2),)) == 0 and calls(house)[1:] == ["bench/a 2.0"]


def test_an_unknown_row_is_refused_with_the_rows_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="no row nothing; there are grading, "):
        run(monkeypatch, ROWS, "--only", "nothing,grading")


@pytest.mark.parametrize("entry", ROWS, ids=lambda entry: entry.name)
def test_a_row_names_a_script_its_options_and_its_arms(entry: Row) -> None:
    source, shared = ((bench.HOUSE / "benchmarks" / name).read_text() for name in (entry.script, "common.py"))
    for option in re.findall(r"--([a-z-]+)", f"{entry.full} {entry.quick}"):
        word = option.replace("-", "_")
        assert f'"--{option}"' in source + shared or re.search(rf'["\s(]{word}["=]', source + shared), option
    for line in entry.lines:
        for arm in (line.ours, line.theirs):
            assert arm in source or arm.partition(": ")[2] in source, arm


@pytest.mark.parametrize("script", sorted({entry.script for entry in ROWS}))
def test_the_script_of_a_row_finds_everything_that_it_imports(script: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{script.removesuffix('.py')}").main)
