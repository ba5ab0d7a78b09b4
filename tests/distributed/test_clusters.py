"""Sweeps under hydra's own launchers: the same command again skips finished jobs and continues the others in place.

hydra's basic launcher is always there; submitit's local executor and joblib are tried if they are installed
(extras submitit and joblib).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from elicit.commands.hydra_app import named
from elicit.experiment.run_folder import DONE, INTERRUPTED, RunFolder
from tests.distributed.launch import ROOT
from tests.test_run import SMALL

SWEEP = ["method=decoding", "method/strategy=greedy,low_temperature", "group=sweep"]
SWEEP += [f"++{word}" if word.startswith(("eval.", "model.")) else word for word in SMALL]
LAUNCHERS = {
    "basic": ["hydra/launcher=basic"],
    "submitit": ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=20", "hydra.launcher.cpus_per_task=1"],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"],
}


def installed(name: str) -> bool:
    if name == "basic":
        return True
    return find_spec("hydra_plugins") is not None and find_spec(f"hydra_plugins.hydra_{name}_launcher") is not None


def swept(name: str, folder: Path) -> tuple[str, dict[str, str]]:
    """What the sweep printed, jobs that submitit ran elsewhere included; hydra's numbers of the jobs."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = ["-m", *LAUNCHERS[name], "hydra.sweep.dir=sweep", *SWEEP]
    command = [sys.executable, "-m", "elicit.commands.hydra_app", *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=550, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    text = done.stdout + done.stderr + "".join(path.read_text() for path in folder.rglob("*_log.err"))
    return text, dict(re.findall(r"#(\d+) : (.*)", done.stdout))


def runs(folder: Path) -> list[RunFolder]:
    return [RunFolder(path.parent) for path in sorted(folder.glob("runs/*/manifest.json"))]


@pytest.mark.parametrize("name", [name for name in LAUNCHERS if installed(name)])
def test_a_sweep_is_continued_by_the_same_command(name: str, tmp_path: Path) -> None:
    _, numbers = swept(name, tmp_path)
    first = {run.path.name: (run.manifest["status"], run.manifest["group"]) for run in runs(tmp_path)}
    groups = {group for _, group in first.values()}
    assert len(groups) == 2 and {status for status, _ in first.values()} == {DONE}
    assert set(numbers) == {"0", "1"}
    results = {
        path.parent.name: path.stat().st_mtime_ns for path in tmp_path.glob("runs/comparisons/*/comparison.json")
    }
    # one job was interrupted before its comparison was written
    broken = runs(tmp_path)[-1]
    broken.update(status=INTERRUPTED)
    (tmp_path / "runs" / "comparisons" / broken.manifest["group"] / "comparison.json").unlink()
    text, again = swept(name, tmp_path)
    # the finished job is skipped, the other one goes on in its own folder; hydra's numbers are the same
    (other,) = groups - {broken.manifest["group"]}
    assert f"{other}: finished before, skipped" in text
    assert {run.path.name: (run.manifest["status"], run.manifest["group"]) for run in runs(tmp_path)} == first
    for group in groups:
        file = tmp_path / "runs" / "comparisons" / group / "comparison.json"
        assert (file.stat().st_mtime_ns == results[group]) == (group == other) and json.loads(file.read_text())["lines"]
    assert again == numbers


def test_jobs_of_a_sweep_have_groups_of_their_own() -> None:
    one, other = named(["a=1", "group=g"], True), named(["a=2", "group=g"], True)
    assert one[0] == "a=1" and one[-1].startswith("group=g-") and one[-1] != other[-1]
    assert named(["group=g", "a=1"], True)[-1] == one[-1], "the order of words does not count"
    assert named(["a=1", "group=g"], False) == ["a=1", "group=g"]
    assert named(["a=1"], False)[-1].startswith("group=hydra-")
