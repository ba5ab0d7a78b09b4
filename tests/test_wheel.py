"""From a wheel, in an empty folder, without the checkout: configs and templates ride inside `elicit`."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_holds_what_is_read_at_run_time_and_no_training_state(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("elicit/_configs/config.yaml", "elicit/_templates/comparison.html.j2", "methods/decoding/method.py"):
        assert name in names
    assert any(name.startswith("elicit/organisms/checkpoints/") and name.endswith(".safetensors") for name in names)
    assert not [name for name in names if name.startswith("elicit/organisms/") and "/training/" in name]


def test_the_installed_wheel_works_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    for arguments, wanted in ((["list", "methods"], "contrastive"), (["show", "method=decoding"], "strategy")):
        command = [sys.executable, "-m", "elicit.cli", *arguments]
        done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert wanted in done.stdout
    assert list(empty.iterdir()) == []

    run = "method=decoding method/strategy=greedy eval.limit=4 eval.n=2 eval.prompt_limit=2 eval.prompt_n=1"
    command = [sys.executable, "-m", "elicit.cli", *run.split(), "eval.ceilings=[C4]", "tracker=none", "group=short"]
    done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (
        str(site)
        in subprocess.run(
            [sys.executable, "-c", "import elicit; print(elicit.__file__)"],
            cwd=empty,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    ), "the wheel and not the checkout was tested"
    assert (empty / "runs" / "comparisons" / "short" / "report" / "report.html").exists()
    assert [path.name for path in empty.iterdir()] == ["runs"], "nothing lands outside root"
