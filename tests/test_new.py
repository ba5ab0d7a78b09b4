"""Laws of `elicit new`: what it writes passes its own test and is one more choice once its package is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from elicit.cli import main
from elicit.commands.new import KINDS

ROOT = Path(__file__).parents[1]


def python(folder: Path, *words: str, paths: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *paths))), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_scaffold_passes_its_test_and_is_a_choice(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", kind, "my_own"]) == 0
    folder = tmp_path / "elicit_my_own"
    tested = python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert tested.returncode == 0 and "3 passed" in tested.stdout, tested.stdout
    # installed: its entry point is on the path
    info = tmp_path / "site" / "elicit_my_own-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elicit-my-own\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[elicit.configs]\nelicit_my_own = elicit_my_own.configs\n")
    words = {"method": ["method=my_own", "placebos=all"], "task": ["method=contrastive", "task=my_own"],
             "strategy": ["method=decoding", "method/strategy=my_own"]}[kind]  # fmt: skip
    planned = python(tmp_path, "-m", "elicit.cli", *words, "dry_run=true", paths=(folder, info.parent))
    assert planned.returncode == 0 and "elicit_my_own." in planned.stdout, planned.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["metod", "x"], "did you mean method"),
        (["method"], "no name"),
        (["method", "My-Own"], "small letters"),
        (["method", "rlvr"], "there is a method of this name"),
        (["strategy", "greedy"], "there is a strategy of this name"),
    ],
)
def test_a_name_that_can_not_be_is_refused(
    words: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", *words]) == 2
    assert reason in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_folder_that_exists_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert main(["new", "task", "mine", "out=mine"]) == 2 and not list((tmp_path / "mine").iterdir())
