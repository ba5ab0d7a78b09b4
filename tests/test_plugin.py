"""A third party adds a method with one class, one YAML and one entry point: proven by a whole run of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGIN = Path(__file__).parent / "fixtures" / "plugin"


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a process in which the plug-in is installed (its dist-info on the path)."""
    info = tmp_path / "site" / "toy_elicit-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-elicit\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[elicit.configs]\ntoy = toy_elicit.configs\n")
    paths = os.pathsep.join([str(ROOT), str(PLUGIN), str(info.parent)])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def elicit(environment: dict[str, str], cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "elicit.cli", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_a_plug_in_is_listed_shown_and_checked_like_our_own(installed: dict[str, str], tmp_path: Path) -> None:
    assert "Greedy decoding, from a plug-in." in elicit(installed, tmp_path, "list", "methods").stdout
    assert "0 is greedy" in elicit(installed, tmp_path, "show", "method=toy").stdout
    typo = elicit(installed, tmp_path, "method=toy", "method.temprature=1", "dry_run=true")
    assert typo.returncode == 2 and "did you mean temperature" in typo.stderr


def test_without_its_entry_point_a_plug_in_is_unknown(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(PLUGIN)])}
    done = elicit(environment, tmp_path, "method=toy", "dry_run=true")
    assert done.returncode == 2 and "method=toy" in done.stderr


def test_a_plug_in_s_method_runs_from_fit_to_report(installed: dict[str, str], tmp_path: Path) -> None:
    checkpoint = ROOT / "elicit" / "organisms" / "checkpoints" / "twin"
    small = ["eval.limit=6", "eval.n=2", "eval.bootstrap_draws=50", "eval.prompts=[bare]", "eval.workers=1"]
    done = elicit(
        installed,
        tmp_path,
        "method=toy",
        f"model.path={checkpoint}",
        "tracker=none",
        "placebos=one",
        "output=json",
        *small,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [run["status"] for run in result["runs"]] == ["done", "done"]
    lines = {line["name"]: line for line in result["comparisons"][0]["lines"]}
    assert lines["toy"]["data_class"] == "Z" and lines["toy/hotter"]["role"] == "placebo"
    assert list(tmp_path.glob("runs/comparisons/*/report/report.html"))
