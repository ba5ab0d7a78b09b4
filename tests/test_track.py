"""Laws of tracking: the mode is resolved by us, everything stays in its folder, a failing sink fails nothing.

The real library writes, offline; its files are read back with its own reader.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from elicit import track
from elicit.track import NoTracker, WandbTracker, resolve_mode, summary_rows


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


OFFLINE = """
import sys
from pathlib import Path
from elicit.track import WandbTracker
folder = Path(sys.argv[1])
run = WandbTracker(mode="offline").start(folder, "fit", "a-s0", "group", {"method": {"items": 3}}, print)
print("id", run.id)
run.log({"step": 5, "loss": 0.5})
run.log({"step": 6, "loss": 0.25})
run.summary({"chain/bare/acc/strict": 0.75})
run.finish()
"""


def inspected(file: Path) -> list[dict[str, Any]]:
    """The records of an offline file, read by wandb's own reader."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def offline(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(folder)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    return next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("id"))


def test_offline_files_hold_rows_and_summary_stay_in_the_run_folder_and_a_resumed_run_keeps_its_id(
    tmp_path: Path,
) -> None:
    first = offline(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"wandb"}
    (file,) = (tmp_path / "wandb").rglob(f"run-{first}.wandb")
    rows = inspected(file)
    history = [row["history"]["item"] for row in rows if row["type"] == "history"]
    summary = {
        key: value for row in rows if row["type"] == "summary" for key, value in row["summary"]["update"].items()
    }
    assert [row["elicit/loss"] for row in history] == [0.5, 0.25]
    assert [row["elicit/step"] for row in history] == [5, 6]
    assert summary["chain/bare/acc/strict"] == 0.75
    assert offline(tmp_path) == first


def test_no_tracker_writes_nothing(tmp_path: Path) -> None:
    run = NoTracker().start(tmp_path, "fit", "a", "g", {}, print)
    run.log({"x": 1})
    run.summary({"y": 2})
    run.finish()
    assert list(tmp_path.iterdir()) == []


def test_every_policy_has_the_same_summary_keys_and_no_cell_is_empty() -> None:
    some = {"point": 0.5, "lo": 0.4, "hi": 0.6}
    base = {
        **{
            "name": "base",
            "role": "base",
            "prompt": "bare",
            "seeds": 1,
            "data_class": "Z",
            "acc": some,
            "lenient": some,
        },
        **{"cov": {"refused": "n = 1"}, "maj": {"k": [1], "point": [0.5], "lo": [0.4], "hi": [0.6]}, "noanswer": 0.0},
        **{
            "ef": {},
            "ctrl": None,
            "cost": {"tokens_per_answer": 5.0},
            "finish": {"eos": 1.0},
            "valid": None,
            "ledger": {},
        },
    }
    method = {
        **base,
        **{"name": "m", "role": "method", "ef": {"B0/C4": some, "B1/C4": {"refused": "gap too small"}}},
        **{"ctrl": {"gain": some, "specificity": {"refused": "gain not clear"}}, "valid": {"valid": 0.5}},
    }
    comparison = {
        "task": "chain",
        "ceilings": {"C1": {"refused": "no samples"}, "C4": some},
        "policies": [base, method],
    }
    rows = {name: values for name, _, values in summary_rows(comparison)}
    assert set(rows["base"]) == set(rows["m"])
    assert all(value is not None and value != "" for values in rows.values() for value in values.values())
    assert rows["m"]["chain/bare/ef/B0/C4/lo"] == 0.4
    assert rows["m"]["chain/bare/ef/B1/C4/point"] == "refused: gap too small"
