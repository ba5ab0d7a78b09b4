"""Run folders: one fit and its evaluation, on disk.

    <root>/<timestamp>-<method>-<task>-<id>/
      config.yaml            the resolved configuration, enough to start again
      manifest.json          provenance, role, status; rewritten at every step
      ledger.jsonl           what the fit used
      intervention/          spec.json, tensors.safetensors
      log.jsonl              what the method logged
      error.json             the fault and its traceback, if the run failed

The short id makes two runs of one second two folders. Knows neither models nor metrics; no torch.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elicit.errors import ConfigError, near
from elicit.files import read_json, write_json, write_text

PLANNED, FITTED, DONE, FAILED, INTERRUPTED = "planned", "fitted", "done", "failed", "interrupted"


class RunFolder:
    """One run folder; `manifest` holds the content of its manifest.json."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.manifest: dict[str, Any] = read_json(self.path / "manifest.json")

    @staticmethod
    def create(root: Path, name: str, task: str, node: Mapping[str, Any], manifest: Mapping[str, Any]) -> RunFolder:
        """Make the folder with its configuration and a first manifest."""
        import yaml

        stamp = time.strftime("%Y%m%d-%H%M%S")
        slug = re.sub(r"[^A-Za-z0-9_.+-]+", "-", f"{stamp}-{name}-{task}").strip("-")[:120]
        while True:
            path = Path(root) / f"{slug}-{secrets.token_hex(3)}"
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError:
                continue
        write_text(path / "config.yaml", yaml.safe_dump(dict(node), sort_keys=False, allow_unicode=True))
        write_json(path / "manifest.json", {**manifest, "status": PLANNED, "created": time.time()})
        return RunFolder(path)

    def update(self, **values: Any) -> None:
        """Change entries of the manifest, on disk too."""
        self.manifest.update(values)
        write_json(self.path / "manifest.json", self.manifest)

    def config(self) -> dict[str, Any]:
        """The resolved configuration that the run was planned with."""
        import yaml

        return yaml.safe_load((self.path / "config.yaml").read_text(encoding="utf-8"))

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one row to log.jsonl."""
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"time": round(time.time(), 3), **row}, ensure_ascii=False, default=_plain) + "\n")

    def failed(self, fault: BaseException) -> None:
        """Write error.json and set the status in the manifest."""
        text = "".join(traceback.format_exception(fault))
        write_json(self.path / "error.json", {"type": type(fault).__name__, "message": str(fault), "traceback": text})
        self.update(status=FAILED)

    @property
    def intervention(self) -> Path:
        return self.path / "intervention"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.jsonl"


def all_runs(root: Path) -> Iterator[RunFolder]:
    """The run folders under `root`, oldest first."""
    for manifest in sorted(Path(root).glob("*/manifest.json")):
        if (manifest.parent / "config.yaml").exists():
            yield RunFolder(manifest.parent)


def find_run(name: str, root: Path) -> RunFolder:
    """A run by its folder, or by its name (or the end of it) under `root`. Raises ConfigError with near matches."""
    if (Path(name) / "manifest.json").exists():
        return RunFolder(Path(name))
    runs = list(all_runs(root))
    matches = [run for run in runs if run.path.name == name or run.path.name.endswith(f"-{name}")]
    if len(matches) != 1:
        raise ConfigError(f"{name}: no run folder here or under {root}; {near(name, [run.path.name for run in runs])}")
    return matches[0]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
