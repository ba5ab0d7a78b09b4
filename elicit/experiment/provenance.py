"""What is recorded of a process so that its runs can be trusted and repeated: part of every `manifest.json`.

Versions, commit and diff, device. Everything here is read from the machine; nothing depends on it. No torch
unless it is loaded already.
"""

from __future__ import annotations

import hashlib
import inspect
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from elicit import ranks
from elicit.files import content_hash
from elicit.records import SCHEMA

PACKAGES = (
    *("elicit-workbench", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "sae-lens"),
    *("steering-vectors", "hydra-core", "omegaconf", "wandb", "numpy", "scipy", "pandas", "pyarrow", "math-verify"),
    "latex2sympy2_extended",
)
MAX_DIFF = 1_000_000
"""characters of a diff that are kept; a longer one is cut and marked"""


@dataclass(frozen=True)
class Provenance:
    """The part of a manifest that is the same for all runs of one process."""

    schema: int
    argv: list[str]
    python: str
    platform: str
    packages: dict[str, str | None]
    git: dict[str, Any]
    device: dict[str, Any]

    @property
    def command(self) -> str:
        """The command as it was typed."""
        return "elicit " + " ".join(self.argv)

    def manifest(self) -> dict[str, Any]:
        """JSON-able, for `RunFolder.update`."""
        return asdict(self)

    def shown(self, seconds: float) -> dict[str, Any]:
        """What a report prints."""
        return {
            "python": self.python,
            "packages": self.packages,
            "git": self.git,
            "device": self.device,
            "seconds": round(seconds, 1),
        }


def provenance(argv: Sequence[str]) -> Provenance:
    """Of this process, now."""
    return Provenance(
        schema=SCHEMA,
        argv=list(argv),
        python=platform.python_version(),
        platform=platform.platform(),
        packages=versions(),
        git=code_state(Path(__file__).parent),
        device=device(),
    )


def versions() -> dict[str, str | None]:
    """Installed versions; None for a package that is not installed."""
    out: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            out[package] = version(package)
        except PackageNotFoundError:
            out[package] = None
    return out


def code_state(folder: Path) -> dict[str, Any]:
    """Commit and diff of the checkout that contains `folder`: a commit alone is not the code that ran."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "diff": None}
    diff = _git(folder, "diff", "HEAD") or ""
    cut = len(diff) > MAX_DIFF
    untracked = (_git(folder, "ls-files", "--others", "--exclude-standard") or "").split("\n")
    return {
        "commit": commit.strip(),
        "diff": diff[:MAX_DIFF] + ("\n[cut]" if cut else ""),
        "untracked": [name for name in untracked if name],
    }


def code_hash(thing: Any) -> str:
    """Hash of the source files next to the file of `thing`'s class: if the code changes, fits are made again."""
    module = inspect.getmodule(type(thing))
    file = Path(inspect.getsourcefile(module) or "") if module else Path()
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(file.parent.glob("*.py")) if file.name else []:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def device() -> dict[str, Any]:
    """The device that tensors are computed on; the processor if torch is not loaded."""
    torch = sys.modules.get("torch")
    launched = {"processes": ranks.world()} if ranks.world() > 1 else {}
    if torch is None:
        return {"kind": "cpu", "processor": platform.processor() or platform.machine()}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        name, memory = properties.name, properties.total_memory
        return {
            "kind": "cuda",
            "name": name,
            "memory": memory,
            "cuda": torch.version.cuda,
            "threads": torch.get_num_threads(),
            **launched,
        }
    facts = {"processor": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
    return {"kind": "cpu", **facts, **launched}


def config_hash(node: dict[str, Any]) -> str:
    """Hash of a resolved configuration, without the settings that change no number."""
    quiet = ("root", "group", "output", "dry_run", "tracker", "experiment", "sweep", "template")
    return content_hash({key: value for key, value in node.items() if key not in quiet})


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
