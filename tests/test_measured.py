"""Laws of the words that work on stored samples, from the command line: compare of runs, export, Ctrl-C and resume."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from elicit.cli import main
from elicit.experiment.run_folder import RunFolder
from elicit.files import read_json, read_rows, shards, write_json
from tests.test_run import ROOT, SMALL, TWIN, elicit


def run_folder(root: Path, group: str) -> RunFolder:
    """The only run of a method in this group."""
    runs = [RunFolder(path.parent) for path in root.glob("*/manifest.json")]
    (run,) = (one for one in runs if (one.manifest["group"], one.manifest["role"]) == (group, "method"))
    return run


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which three commands went through: two strategies on chain, one of them on walk."""
    folder = tmp_path_factory.mktemp("measured")
    greedy = ["method/strategy=greedy", "method.name=greedy"]
    cool = ["method/strategy=low_temperature", "method.name=cool", "eval.limit=4"]
    for group, more in (("a", greedy), ("b", cool), ("c", [*greedy, "task=walk", "root=other"])):
        code, _ = elicit("method=decoding", *SMALL, f"group={group}", *more, cwd=folder)
        assert code == 0
    return folder


def test_runs_of_two_commands_are_compared_in_pairs_on_the_items_they_share(
    measured: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(measured)
    names = [run_folder(Path("runs"), group).path.name for group in ("a", "b")]
    assert main(["compare", *names, "group=both"]) == 0
    out = capsys.readouterr().out
    result = read_json(Path("runs/comparisons/both/comparison.json"))
    assert result["setup"]["n_items"] == 4  # b saw four items of the five
    assert [line["name"] for line in result["lines"] if line["role"] == "method"] == ["greedy", "cool"]
    (pair,) = result["pairs"]
    rows = read_rows([Path("runs/comparisons/both/per_item.parquet")])
    share = {name: sum(r["right"] / r["n"] for r in rows if r["name"] == name) / 4 for name in ("greedy", "cool")}
    assert pair["difference"]["point"] == pytest.approx(share["greedy"] - share["cool"])
    assert "Paired differences" in out and "greedy − cool" in out
    assert main(["compare", "both"]) == 0  # the new comparison is one like any other


def test_runs_of_different_tasks_are_refused_and_both_are_named(
    measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [run_folder(measured / "runs", "a").path, run_folder(measured / "other", "c").path]
    assert main(["compare", *map(str, names), f"root={measured / 'runs'}"]) == 1
    err = capsys.readouterr().err
    assert all(path.name in err for path in names) and "task chain" in err and "task walk" in err


@pytest.mark.parametrize(
    ("file", "key", "message"),
    [
        ("samples/manifest.json", "prompt", "prompt 'bare' differs"),
        ("grades/fingerprint.json", "grader", "grader differs"),
    ],
)
def test_other_prompts_or_another_grader_are_refused_and_both_are_named(
    measured: Path, tmp_path: Path, file: str, key: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(measured / "runs", tmp_path / "runs")
    runs = [run_folder(tmp_path / "runs", group) for group in ("a", "b")]
    moved = runs[1].manifest["entries"]
    for entry in moved:
        for stage in ("samples", "grades"):
            entry[stage] = str(tmp_path / entry[stage])
    stage, name = file.split("/")
    path = Path(moved[0][stage]) / name
    saved = read_json(path)
    saved.get("settings", saved)[key] = "another"
    write_json(path, saved)
    runs[1].update(entries=moved)
    with contextlib.chdir(tmp_path):
        assert main(["compare", *(str(run.path) for run in runs), "root=runs"]) == 1
    err = capsys.readouterr().err
    assert message in err and "'base'" in err and "'cool'" in err


def test_an_export_holds_what_a_reader_of_the_harness_looks_for(measured: Path, tmp_path: Path) -> None:
    code, result = elicit("export", "a", "format=lm-eval", f"out={tmp_path}", "output=json", cwd=measured)
    assert code == 0
    comparison = read_json(measured / "runs" / "comparisons" / "a" / "comparison.json")
    scored = [line for line in comparison["lines"] if line["role"] != "ceiling"]
    assert len(result["files"]) == len(scored) == len(list(tmp_path.glob("*/results_*.json")))
    for line in scored:
        (file,) = [Path(name) for name in result["files"] if line["id"][:8] in name]
        found = read_json(file)
        assert set(found) >= {"results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better",
                              "n-samples", "config", "git_hash", "date", "task_hashes", "model_source", "model_name",
                              "model_name_sanitized"}  # fmt: skip
        scores = found["results"]["chain"]
        assert scores["exact_match,strict-match"] == pytest.approx(line["values"]["acc/strict"]["point"])
        assert scores["exact_match,flexible-extract"] == pytest.approx(line["values"]["acc/lenient"]["point"])
        assert isinstance(scores["exact_match_stderr,strict-match"], float | str)
        assert found["n-samples"]["chain"] == {"original": 5, "effective": 5} and found["n-shot"] == {"chain": 0}
        assert found["elicit"]["data_class"] == line["data_class"]
        (samples,) = file.parent.glob("samples_chain_*.jsonl")
        rows = [json.loads(row) for row in samples.read_text().splitlines()]
        assert [row["doc_id"] for row in rows] == list(range(5))
        assert sum(row["exact_match"] for row in rows) / 5 == pytest.approx(line["values"]["acc/strict"]["point"])
        assert all(row["arguments"]["gen_args_0"]["arg_0"].startswith("Question: ") for row in rows)
        assert all(len(row["resps"][0]) == line["n"] for row in rows)


def test_an_unknown_format_names_the_known_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "a", "format=lmeval"]) == 2
    assert "did you mean lm-eval" in capsys.readouterr().err


def rows_of(root: Path) -> dict[tuple[str, str, str, int], tuple[str, list[float]]]:
    """(policy, regime, item, j) -> (text, log-probs) of everything sampled under `root`."""
    found = [row for folder in (root / "store" / "samples").glob("*/*") for row in read_rows(shards(folder))]
    return {(r["policy"], r["regime"], r["item"], r["j"]): (r["text"], r["logprobs"]) for r in found}


def test_ctrl_c_keeps_the_shard_says_how_to_go_on_and_resuming_gives_the_rows_of_an_uninterrupted_run(
    tmp_path: Path,
) -> None:
    words = ["method=decoding", "method/strategy=low_temperature", f"model.path={TWIN}", "tracker=none",
             "eval.prompts=[bare]", "eval.workers=1", "eval.limit=48", "eval.n=16", "eval.bootstrap_draws=50",
             "eval.ceilings=[]"]  # fmt: skip
    command = [sys.executable, "-m", "elicit.cli", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/store/samples/*/*/shard-*")):  # the first shard of three is written: in the loop
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    kept = rows_of(tmp_path / "runs")
    assert kept and "samples, kept in" in out and "Traceback" not in err
    (run,) = (path.parent for path in tmp_path.glob("runs/*/config.yaml"))
    assert f"elicit resume {run.relative_to(tmp_path)}" in out
    assert RunFolder(run).manifest["status"] == "interrupted"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/store/samples/*/*/shard-*")}

    code, result = elicit("resume", str(run), "output=json", cwd=tmp_path)
    assert code == 0 and result["runs"][0]["status"] == "done"
    assert {path: path.stat().st_mtime_ns for path in before} == before
    resumed = rows_of(tmp_path / "runs")
    assert kept.items() < resumed.items()

    code, _ = elicit(*words, "output=json", "root=whole", cwd=tmp_path)
    whole = rows_of(tmp_path / "whole")
    assert code == 0 and whole.keys() == resumed.keys()
    # a shard of its own process has a cache of another size, so sums differ in their last bits on some machines; a draw
    # in a million then falls on the other side
    same = [key for key in whole if whole[key][0] == resumed[key][0]]
    assert len(same) > 0.99 * len(whole)
    assert all(resumed[key][1] == pytest.approx(whole[key][1], abs=1e-3) for key in same)


def test_a_root_that_was_moved_is_scored_compared_exported_and_reported(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_json(measured / "runs" / "comparisons" / "a" / "comparison.json")["lines"]
    shutil.copytree(measured / "runs", tmp_path / "there" / "results")
    monkeypatch.chdir(tmp_path)
    where = f"root={tmp_path / 'there' / 'results'}"
    run = run_folder(tmp_path / "there" / "results", "a").path.name
    for words in (["score", "a"], ["compare", "a"], ["compare", run, run_of_b(tmp_path), "group=both"]):
        assert main([*words, where]) == 0
    for words in (["export", "a"], ["report", "a"], ["lens", "a", "length"]):
        assert main([*words, where]) == 0
    after = read_json(tmp_path / "there" / "results" / "comparisons" / "a" / "comparison.json")["lines"]
    assert [line["values"]["acc/strict"] for line in after] == [line["values"]["acc/strict"] for line in before]
    assert {path.name for path in tmp_path.iterdir()} == {"there"}


def run_of_b(tmp_path: Path) -> str:
    return run_folder(tmp_path / "there" / "results", "b").path.name


def test_runs_are_compared_together_with_the_placebos_of_their_comparison(tmp_path: Path) -> None:
    words = ["method=decoding", "method/strategy=self_consistency", "method.strategy.n=2", "placebos=one"]
    code, result = elicit(*words, *SMALL, "group=p", cwd=tmp_path)
    assert code == 0
    (method, placebo) = (RunFolder(Path(tmp_path / run["run"])) for run in result["runs"])
    code, other = elicit("compare", str(method.path), str(method.path), "group=again", "output=json", cwd=tmp_path)
    assert code == 0
    shown = [(line["role"], line["name"]) for line in other["comparison"]["lines"]]
    assert ("placebo", placebo.manifest["name"]) in shown
    values = [next(line for line in one["lines"] if line["role"] == "method")["values"]["ctrl/gain"]
              for one in (result["comparisons"][0], other["comparison"])]  # fmt: skip
    assert values[0] == values[1] and values[0]["refused"] is None


def test_samples_of_the_base_do_not_make_a_later_plan_exploratory(measured: Path) -> None:
    for group in ("a", "b"):
        assert read_json(measured / "runs" / "comparisons" / group / "comparison.json")["frozen"] == "before"


def test_samples_at_temperature_1_are_graded_by_the_run_and_again_by_score(tmp_path: Path) -> None:
    sizes = ["eval.annotate=true", "eval.annotate_limit=3", "eval.annotate_n=2", "eval.limit=3"]
    code, _ = elicit("method=decoding", "method/strategy=greedy", *SMALL, *sizes, "group=t", cwd=tmp_path)
    assert code == 0
    (grades,) = tmp_path.glob("runs/store/grades/*/support-chain")
    made = read_json(grades / "fingerprint.json")
    write_json(grades / "fingerprint.json", {**made, "grader": "another"})
    code, _ = elicit("score", "t", "output=json", cwd=tmp_path)
    assert code == 0 and read_json(grades / "fingerprint.json") == made
