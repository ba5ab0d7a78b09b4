"""Laws of a run: failures stay in their folder, what was done is not done again, gold of used items is closed.

Whole runs on the shipped twin, a few items each.
"""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from elicit.cli import main
from elicit.errors import ConfigError, MethodError
from elicit.experiment.run_folder import RunFolder, find_run
from elicit.files import read_json, shards, write_json

ROOT = Path(__file__).parents[1]
TWIN = ROOT / "elicit" / "organisms" / "checkpoints" / "twin"
SMALL = [
    *(f"model.path={TWIN}", "tracker=none", "output=json", "eval.prompts=[bare]", "eval.workers=1"),
    *("eval.limit=5", "eval.n=2", "eval.bootstrap_draws=50", "eval.ceilings=[C4]"),
]
GREEDY = ["method=decoding", "method/strategy=greedy"]


def elicit(*arguments: str, cwd: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON object on stdout; in this process, for torch is imported once."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    assert out.getvalue(), err.getvalue()
    return code, json.loads(out.getvalue())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one greedy run went through."""
    folder = tmp_path_factory.mktemp("finished")
    code, result = elicit(*GREEDY, *SMALL, cwd=folder)
    assert code == 0 and result["runs"][0]["status"] == "done"
    return folder


def run_of(folder: Path) -> RunFolder:
    (path,) = folder.glob("runs/*greedy*/manifest.json")
    return RunFolder(path.parent)


def test_a_run_folder_holds_what_repeats_it(finished: Path) -> None:
    run = run_of(finished)
    assert {"config.yaml", "manifest.json", "ledger.jsonl", "intervention"} <= {
        path.name for path in run.path.iterdir()
    }
    wanted = {
        "schema",
        "argv",
        "overrides",
        "config_hash",
        "git",
        "packages",
        "python",
        "device",
        "items",
        "seed",
        "seconds",
    }
    assert wanted <= set(run.manifest)
    assert (
        run.manifest["checkpoint"]["tokenizer_hash"]
        and run.manifest["prompt_hash"]
        and run.manifest["status"] == "done"
    )


def test_everything_that_is_written_lies_under_root(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == {"runs"}


def test_no_item_of_the_test_split_is_in_a_ledger(finished: Path) -> None:
    run = run_of(finished)
    used = {item for line in run.ledger.read_text().splitlines() for item in json.loads(line)["items"]}
    assert not used & set(run.manifest["items"])


def test_a_resumed_run_goes_on_in_its_folder_and_samples_nothing_again(finished: Path) -> None:
    run = run_of(finished)
    before = {path: path.stat().st_mtime_ns for path in finished.glob("runs/store/samples/*/*/shard-*")}
    run.update(status="interrupted")
    code, result = elicit("resume", str(run.path), "output=json", cwd=finished)
    assert code == 0 and result["runs"][0]["status"] == "done"
    assert {path: path.stat().st_mtime_ns for path in finished.glob("runs/store/samples/*/*/shard-*")} == before
    assert len(list(finished.glob("runs/*/config.yaml"))) == 1


def test_score_grades_again_and_samples_nothing(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.glob("runs/store/samples/*/*/shard-*")}
    grades = {path: path.stat().st_mtime_ns for path in finished.glob("runs/store/grades/*/*/shard-*")}
    old = read_json(next(finished.glob("runs/comparisons/*/comparison.json")))["lines"]
    code, result = elicit("score", run_of(finished).path.name, "output=json", cwd=finished)
    assert code == 0 and [line["values"] for line in result["comparison"]["lines"]] == [line["values"] for line in old]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert all(path.stat().st_mtime_ns > then for path, then in grades.items())


def test_a_changed_config_is_not_resumed(finished: Path, tmp_path: Path) -> None:
    run = run_of(finished)
    copy = tmp_path / "runs" / "copy"
    copy.mkdir(parents=True)
    write_json(copy / "manifest.json", run.manifest)
    (copy / "config.yaml").write_text((run.path / "config.yaml").read_text().replace("limit: 5", "limit: 6"))
    assert main(["resume", str(copy)]) == 1


def test_a_failing_job_writes_its_error_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from elicit.experiment import fit

    works = fit.fit_job

    def fails_with_seed_1(job: Any, *rest: Any) -> Any:
        if job.settings.seed == 1:
            raise MethodError("no difference to be found")
        return works(job, *rest)

    monkeypatch.setattr(fit, "fit_job", fails_with_seed_1)
    code, result = elicit("-m", *GREEDY, *SMALL, "seed=1,2", cwd=tmp_path)
    assert code == 3
    failed, done = result["runs"]
    assert (failed["status"], done["status"]) == ("failed", "done")
    error = read_json(tmp_path / failed["run"] / "error.json")
    assert error["type"] == "MethodError" and "Traceback" in error["traceback"]
    assert [line["seed"] for line in result["comparisons"][0]["lines"] if line["role"] == "method"] == [2]


def test_a_sweep_has_a_folder_for_each_job_and_one_policy_is_sampled_and_counted_once(tmp_path: Path) -> None:
    code, result = elicit("-m", *GREEDY, *SMALL, "seed=1,2", cwd=tmp_path)
    assert code == 0 and len({run["run"] for run in result["runs"]}) == 2
    folders = [shards(path) for path in tmp_path.glob("runs/store/samples/*/*")]
    assert len(folders) == 3 and all(len(found) == 1 for found in folders)  # base, forced opener, greedy
    assert len([line for line in result["comparisons"][0]["lines"] if line["role"] == "method"]) == 1


def test_an_interrupted_run_says_how_to_go_on_and_comes_out_the_same(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from elicit.experiment import bench

    def stops(*arguments: Any, **settings: Any) -> Any:
        raise KeyboardInterrupt

    err = io.StringIO()
    with monkeypatch.context() as patch, contextlib.chdir(tmp_path), contextlib.redirect_stderr(err):
        patch.setattr(bench, "grade", stops)
        assert main([*GREEDY, *SMALL]) == 130
    (run,) = tmp_path.glob("runs/*greedy*")
    assert f"elicit resume {run.relative_to(tmp_path)}" in err.getvalue()
    assert RunFolder(run).manifest["status"] == "interrupted"
    code, result = elicit("resume", run.name, "output=json", cwd=tmp_path)
    assert code == 0
    whole = read_json(next(finished.glob("runs/comparisons/*/comparison.json")))
    for ours, theirs in zip(result["comparisons"][0]["lines"], whole["lines"], strict=True):
        assert (ours["id"], ours["values"]["acc/strict"]) == (theirs["id"], theirs["values"]["acc/strict"])


def test_two_folders_of_one_second_do_not_collide(tmp_path: Path) -> None:
    made = [RunFolder.create(tmp_path, "m", "t", {"a": 1}, {"index": i}) for i in range(20)]
    assert len({run.path for run in made}) == 20
    assert find_run(made[3].path.name, tmp_path).path == made[3].path
    with pytest.raises(ConfigError, match="no run folder"):
        find_run("nothing", tmp_path)
