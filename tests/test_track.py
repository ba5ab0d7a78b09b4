"""Laws of tracking: the mode is resolved by us, everything stays in its folder, a failing sink fails nothing.

The real library writes: offline, its files read back with its own reader; online, to a server on this machine
(`wandb_stub`), which keeps what arrives.
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from elicit.files import read_json, write_rows
from elicit.results import Column, Comparison, Estimate, write_comparison
from elicit.track import NoTracker, WandbTracker, resolve_mode
from elicit.track import sink as track
from elicit.track.scores import score_runs, track_comparison
from tests import wandb_stub
from tests.report.example import comparison
from tests.wandb_stub import Stub

ROOT = Path(__file__).parents[1]
YESTERDAY = ROOT / "tests" / "fixtures" / "yesterday"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no_netrc"))


@pytest.fixture
def server() -> Iterator[str]:
    """A server that answers every request with an error: present, and no wandb."""

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(400)
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *arguments: Any) -> None: ...

    stub = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=stub.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{stub.server_port}"
    stub.shutdown()
    stub.server_close()


def test_an_explicit_setting_goes_over_wandb_mode_and_that_over_reachability(
    monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server)
    assert resolve_mode("auto")[0] == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    assert resolve_mode("auto")[0] == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert resolve_mode("auto")[0] == "disabled"
    assert resolve_mode("offline")[0] == "offline"


def test_a_key_without_a_reachable_server_is_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    mode, why = resolve_mode("auto", 0.5)
    assert mode == "offline" and "does not answer" in why


def test_a_sink_that_fails_never_fails_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*arguments: Any) -> Any:
        raise RuntimeError("no such thing")

    said: list[str] = []
    monkeypatch.setattr(track, "_init", broken)
    run = WandbTracker(mode="offline").start(tmp_path, "fit", "a", "g", {}, said.append)
    run.log({"x": 1})
    run.finish()
    assert len(said) == 1 and "no such thing" in said[0]

    class Failing:
        id = "x"

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("the sink is gone")

    live = track.WandbRun(Failing(), said.append)
    live.log({"x": 1})
    live.summary({"x": 1})
    live.artifact("a", "b", tmp_path)
    live.finish()
    assert sum("the sink is gone" in line for line in said) == 1


ONE_RUN = """
import sys
from pathlib import Path
from elicit.track import WandbTracker
folder = Path(sys.argv[1])
run = WandbTracker(mode=sys.argv[2], tags=("demo",)).start(folder, "fit", "a-s0", "group", {"method": {"k": 3}}, print)
print("id", run.id)
run.log({"step": 5, "loss": 0.5})
run.log({"step": 6, "loss": 0.25})
run.summary({"chain/bare/acc/strict": 0.75, "refused": "NaN"})
run.table("items", ["item", "right"], [["a", 1], ["b", 0]])
(folder / "vectors.txt").write_text("1 2 3")
run.artifact("intervention-1", "intervention", folder / "vectors.txt")
run.finish()
"""


def inspected(file: Path) -> list[dict[str, Any]]:
    """The records of an offline file, read by wandb's own reader."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def one_run(folder: Path, mode: str, **environment: str) -> str:
    """Track one run in a process of its own; its wandb id."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_RUN, str(folder), mode],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("id"))


def offline(folder: Path) -> str:
    return one_run(folder, "offline")


@pytest.fixture
def stub() -> Iterator[Stub]:
    with wandb_stub.running() as server:
        yield server


def online(stub: Stub) -> dict[str, str]:
    return {"WANDB_BASE_URL": stub.url, "WANDB_API_KEY": "k" * 40}


def test_offline_files_hold_rows_and_summary_stay_in_the_run_folder_and_a_resumed_run_keeps_its_id(
    tmp_path: Path,
) -> None:
    first = offline(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"wandb", "vectors.txt"}
    (file,) = (tmp_path / "wandb").rglob(f"run-{first}.wandb")
    rows = inspected(file)
    history = [row["history"]["item"] for row in rows if row["type"] == "history"]
    history = [row for row in history if "elicit/loss" in row]
    summary = {
        key: value for row in rows if row["type"] == "summary" for key, value in row["summary"]["update"].items()
    }
    assert [row["elicit/loss"] for row in history] == [0.5, 0.25]
    assert [row["elicit/step"] for row in history] == [row["_step"] for row in history] == [5, 6]
    assert summary["chain/bare/acc/strict"] == 0.75
    assert offline(tmp_path) == first


def test_no_tracker_writes_nothing(tmp_path: Path) -> None:
    run = NoTracker().start(tmp_path, "fit", "a", "g", {}, print)
    run.log({"x": 1})
    run.summary({"y": 2})
    run.finish()
    assert list(tmp_path.iterdir()) == []


def test_an_online_run_arrives_whole_and_goes_on_under_its_id(stub: Stub, tmp_path: Path) -> None:
    first = one_run(tmp_path, "online", **online(stub))
    run = stub.runs[first]
    assert (run.project, run.group, run.job_type, run.display, run.tags) == ("elicit", "group", "fit", "a-s0", ["demo"])
    assert run.config["elicit"]["value"] == {"method": {"k": 3}}
    assert [row["elicit/loss"] for row in run.rows if "elicit/loss" in row] == [0.5, 0.25]
    assert [row["elicit/step"] for row in run.rows if "elicit/loss" in row] == [5, 6]
    assert run.summary["chain/bare/acc/strict"] == 0.75 and run.summary["refused"] == "NaN"
    told = json.dumps(run.config["_wandb"]["value"]["m"])
    assert "elicit/*" in told and "elicit/step" in told  # define_metric: every curve over elicit/step
    assert stub.artifacts["intervention/intervention-1"]["committed"]
    assert stub.files["intervention/intervention-1/vectors.txt"] == b"1 2 3"
    (table,) = [body for path, body in stub.files.items() if path.startswith(f"{first}/media/table/items")]
    assert json.loads(table)["data"] == [["a", 1], ["b", 0]]
    assert run.exit_code == 0

    assert one_run(tmp_path, "online", **online(stub)) == first
    assert list(stub.runs) == [first] and run.begun == 2
    # rows that wandb has are not logged again
    assert [(row["_step"], row["elicit/loss"]) for row in run.rows if "elicit/loss" in row] == [(5, 0.5), (6, 0.25)]


def test_wandb_sync_uploads_what_was_tracked_offline(stub: Stub, tmp_path: Path) -> None:
    first = offline(tmp_path)
    (folder,) = tmp_path.glob("wandb/wandb/offline-run-*")
    subprocess.run(
        [sys.executable, "-m", "wandb", "sync", "--yes", str(folder)],
        env={**os.environ, **online(stub), "WANDB_CACHE_DIR": str(tmp_path / "cache"), "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=120,
    )
    run = stub.runs[first]
    assert (run.group, run.job_type, run.display) == ("group", "fit", "a-s0")
    assert run.summary["chain/bare/acc/strict"] == 0.75
    losses = [(row["elicit/step"], row["elicit/loss"]) for row in run.rows if "elicit/loss" in row]
    assert losses == [(5, 0.5), (6, 0.25)]


def compared(folder: Path) -> Comparison:
    """A comparison as it is on disk: refusals, a policy at two prompts, a deterministic one."""
    out = comparison(n_items=6)
    out.lines = [*out.lines[:4], out.lines[12], replace(out.lines[3], id="again", prompt="think")]
    write_comparison(out, folder / "comparison.json")
    rows = [{"policy": line.id, "role": line.role, "name": line.name, "prompt": line.prompt, "seed": 1, "item": item,
             "cluster": item, "right": 3, "n": 16, "tokens": 20.0}
            for line in out.lines for item in out.solves.items]  # fmt: skip
    write_rows(folder / "per_item.parquet", rows)
    return out


TRACKED = """
import sys
from pathlib import Path
from elicit.track.scores import track_comparison
from elicit.track import WandbTracker
folder = Path(sys.argv[1])
track_comparison(folder / "comparison.json", folder, WandbTracker(mode=sys.argv[2]), print)
"""


def test_the_runs_table_of_a_comparison_has_no_empty_cell(stub: Stub, tmp_path: Path) -> None:
    given = compared(tmp_path)

    def tracked() -> None:
        command = [sys.executable, "-c", TRACKED, str(tmp_path), "online"]
        environment = {**os.environ, **online(stub)}
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True, timeout=300)

    tracked()
    columns, table = stub.runs_table("score")
    assert len(table) == len(given.lines) and len(columns) > 100
    empty = [(name, column) for name, row in table.items() for column in columns if row[column] in (None, "")]
    assert not empty
    for name, row in table.items():
        for column in columns:
            if isinstance(row[column], str) and row[column] != "NaN":
                assert column.rsplit("/", 1)[-1] in ("why", "class", "role", "policy", "prompt"), (name, column)
    bare = next(row for row in table.values() if row["policy"] == "rlvr" and row["prompt"] == "bare")
    assert bare["ef/B1/C1/point"] == "NaN" and bare["ef/B1/C1/why"].startswith("refused: gap too small")
    assert bare["chain/bare/acc/strict"] == bare["acc/strict"] == bare["chain/think/acc/strict"]
    assert {run.group for run in stub.runs.values()} == {given.group}
    items = [body for path, body in stub.files.items() if "media/table/items" in path]
    assert len(items) == len(given.lines) and all(len(json.loads(body)["data"]) == 6 for body in items)
    (compare,) = [run for run in stub.runs.values() if run.job_type == "compare"]
    assert {"scorecard", "solves", "traces"} <= set(compare.summary)
    assert {"comparison/comparison-comparison", "comparison/comparison-per_item"} <= set(stub.artifacts)
    before = {name: len(run.rows) for name, run in stub.runs.items() if run.job_type == "score"}
    tracked()
    assert {name: len(run.rows) for name, run in stub.runs.items() if run.job_type == "score"} == before


def test_every_policy_has_the_same_summary_keys_and_a_refusal_says_why(tmp_path: Path) -> None:
    scores = score_runs(compared(tmp_path))
    assert len({frozenset(score.values) for score in scores}) == 1
    assert len({score.folder for score in scores}) == len(scores) == len({score.name for score in scores})
    for score in scores:
        for key, value in score.values.items():
            assert value is not None and value != ""
            if key.endswith("/why"):
                assert value == "measured" or value.startswith(("refused: ", "not measured"))


def test_the_summary_of_a_file_of_schema_1_has_the_keys_and_values_of_the_first_version() -> None:
    """wandb_summary.json was written by the tracker of schema 1; rates over items differ in their last bit only."""
    known = read_json(YESTERDAY / "wandb_summary.json")
    runs = {run["folder"]: dict(zip(known["keys"], run["values"], strict=True)) for run in known["runs"]}
    scores = score_runs(YESTERDAY / "comparison_schema1.json")
    assert [(score.name, score.folder) for score in scores] == [(run["name"], run["folder"]) for run in known["runs"]]
    for score, run in zip(scores, known["runs"], strict=True):
        expected = dict(zip(("role", "policy", "prompt"), run["head"], strict=True)) | runs[score.folder]
        for prompt, folder in run["at"].items():
            here = runs[folder] if folder else {key: unmeasured(key) for key in known["keys"]}
            expected |= {f"{known['task']}/{prompt}/{key}": value for key, value in here.items()}
        assert set(score.values) == set(expected)
        for key, value in score.values.items():
            close = pytest.approx(expected[key], rel=1e-12) if isinstance(value, float) else expected[key]
            assert value == close, (score.name, key)


def unmeasured(key: str) -> str:
    """What a summary holds for a policy that was not run at a prompt."""
    return "not measured" if key.endswith(("/why", "class")) else "NaN"


def test_a_column_that_no_code_knows_is_in_every_summary_under_its_key() -> None:
    given = comparison(n_items=6)
    given.columns = (*given.columns, Column("toy/score", "Toy score", "percent", "a toy", "figures", ("method",)))
    given.lines[3].values["toy/score"] = Estimate(0.43, 0.38, 0.48)
    given.lines[6].values["toy/score"] = Estimate(refused="one sample")
    base, _, _, measured, _, _, refused, *_ = (score.values for score in score_runs(given))
    keys = ("toy/score", "toy/score/lo", "toy/score/hi", "toy/score/why")
    assert [measured[key] for key in keys] == [0.43, 0.38, 0.48, "measured"]
    assert [refused[key] for key in keys] == ["NaN", "NaN", "NaN", "refused: one sample"]
    assert [base[key] for key in keys] == ["NaN", "NaN", "NaN", "not measured"]


def test_a_tracker_changes_no_file(tmp_path: Path) -> None:
    given = compared(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    track_comparison(given, tmp_path / "a", NoTracker(), print)
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == before
    write_comparison(replace(given, lines=given.lines[:1]), tmp_path / "b" / "comparison.json")
    before["comparison.json"] = (tmp_path / "b" / "comparison.json").read_bytes()
    command = [sys.executable, "-c", TRACKED, str(tmp_path / "b"), "offline"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=120)
    assert {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir() if path.is_file()} == before
    assert {path.name for path in (tmp_path / "b").iterdir() if path.is_dir()} == {"tracked"}
