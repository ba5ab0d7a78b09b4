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
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from elicit import ranks
from elicit.config.build import REMOTE_CODE, allowed_prefixes, trusted
from elicit.console import masked
from elicit.errors import ConfigError, DataError, near, segment, system_fault
from elicit.files import content_hash, read_json, read_yaml, write_json, write_text
from elicit.reading import check_types, yaml_text

if TYPE_CHECKING:
    from elicit.config import Settings
    from elicit.records import LedgerRow

PLANNED, FITTED, DONE, FAILED, INTERRUPTED = "planned", "fitted", "done", "failed", "interrupted"
ERROR = "error.json"
CLAIM = "claimed"
"""file with the lease and the id of the process that does a run (`workers.claim`)"""


class Manifest(TypedDict, total=False):
    """Types of the keys of manifest.json that commands rely on; a folder that is only planned lacks the later ones."""

    status: Literal["planned", "fitted", "done", "failed", "interrupted"]
    role: Literal["method", "placebo", "rival", "base", "ceiling"]
    name: str
    method: str | None
    parent: str | None
    twin: str | None
    arm: str | None
    group: str
    invocation: str
    index: int
    of: int
    working_directory: str
    seed: int
    argv: list[str]
    overrides: list[str]
    config_hash: str
    items: list[str]
    used_items: list[str] | None
    entries: list[dict[str, Any]]
    checkpoint: dict[str, Any] | None
    created: float


class RunFolder:
    """One run folder; `manifest` holds the content of its manifest.json."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.manifest: dict[str, Any] = {}
        self._logged: int | None = None
        self.read()

    def read(self) -> None:
        """Read the manifest. Raises DataError for a value of a wrong type, or for a group that is no folder's name."""
        file = self.path / "manifest.json"
        content = read_json(file)
        check_types(Manifest, content, file)
        try:
            segment(content.get("group", "none"), "group")
        except ConfigError as fault:
            raise DataError(f"{file}: {fault}") from None
        self.manifest = content

    @staticmethod
    def complete(path: Path) -> bool:
        """Whether a folder has what makes it a run."""
        return all((path / part).exists() for part in ("manifest.json", "config.yaml"))

    @staticmethod
    def create(root: Path, name: str, task: str, node: Mapping[str, Any], manifest: Mapping[str, Any]) -> RunFolder:
        """Make the folder with its configuration and a first manifest."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        slug = re.sub(r"[^A-Za-z0-9_.+-]+", "-", f"{stamp}-{name}-{task}").strip("-")[:120]
        while True:
            path = Path(root) / f"{slug}-{secrets.token_hex(3)}"
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError as fault:
                if not Path(root).is_dir():
                    raise ConfigError(
                        f"root={str(root)!r}: a file, not a folder; choose another root=FOLDER"
                    ) from fault
                continue
            except OSError as fault:
                raise system_fault(fault, path) or fault from None
        write_text(path / "config.yaml", yaml_text(node))
        write_json(path / "manifest.json", {**manifest, "status": PLANNED, "created": time.time()})
        return RunFolder(path)

    def update(self, **values: Any) -> None:
        """Change entries of the manifest, on disk too; what another process wrote since (a worker its fit) stays.

        Of several processes that run one command, rank 0 alone writes.
        """
        if ranks.main():
            self.read()
        self.manifest.update(values)
        if ranks.main():
            write_json(self.path / "manifest.json", self.manifest)

    def config(self) -> dict[str, Any]:
        """The resolved configuration that the run was planned with."""
        return read_yaml(self.path / "config.yaml")

    def settings(self) -> Settings:
        """The settings of `config`. Raises ConfigError that names the file.

        The folder may come from a stranger: its classes are those of the workbench, of installed plug-ins and of the
        packages that the command line trusts; its own `allow_classes` allows nothing.
        """
        from elicit.config.compose import build_settings

        node, file = self.config(), self.path / "config.yaml"
        asked = node.get("allow_classes") or []
        wanted = (
            [str(name) for name in asked if f"{name}." not in allowed_prefixes()] if isinstance(asked, list) else []
        )
        remedy = "; a run folder can't allow code by itself: if you trust it, repeat the command with allow_classes="
        try:
            settings = build_settings(node)
        except ConfigError as fault:
            raise ConfigError(f"{file}: {fault}" + (f"{remedy}[{','.join(wanted)}]" if wanted else "")) from None
        if settings.model.trust_remote_code and REMOTE_CODE not in trusted():
            raise ConfigError(f"{file}: model.trust_remote_code=true runs code of the model{remedy}[{REMOTE_CODE}]")
        return settings

    def log(self, row: Mapping[str, Any]) -> int:
        """Append one row to log.jsonl; returns its number, from 1. A resumed run continues the count."""
        if not ranks.main():
            return 0
        text = json.dumps({"time": round(time.time(), 3), **row}, ensure_ascii=False, default=_plain) + "\n"
        if self._logged is None:
            self._logged = len(self.logged())
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(text)
        self._logged += 1
        return self._logged

    def logged(self) -> list[dict[str, Any]]:
        """The rows of log.jsonl, in order. A last row that was cut when its process was killed is removed.

        Raises DataError with the line of a broken row. Not the strict reader: a curve may hold NaN.
        """
        file = self.path / "log.jsonl"
        written = file.read_bytes() if file.exists() else b""
        whole = written[: written.rfind(b"\n") + 1]
        if len(whole) < len(written):
            file.write_bytes(whole)
        rows = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                rows.append(dict(json.loads(line)))
            except (ValueError, TypeError, RecursionError):
                raise DataError(f"{file}, line {number}: no row of a log; delete the line and resume") from None
        return rows

    def failed(self, fault: BaseException) -> None:
        """Write error.json and set the status in the manifest."""
        text = masked("".join(traceback.format_exception(fault)))
        message = masked(str(fault))
        if ranks.main():
            write_json(self.path / ERROR, {"type": type(fault).__name__, "message": message, "traceback": text})
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
        if RunFolder.complete(manifest.parent):
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


def ledger_rows(run: RunFolder) -> list[LedgerRow]:
    """The rows of the run's ledger; none if nothing was fitted.

    The data class follows from them, so a file that is gone, emptied or changed since the fit is no smaller ledger: a
    row is added that makes the data class "unaccounted". Raises DataError if the file can't be read.
    """
    from elicit.ledger import load_rows
    from elicit.records import LedgerRow

    rows = load_rows(run.ledger) if run.ledger.exists() else []
    if written := run.manifest.get("ledger_hash"):
        changed = content_hash(rows) != written
    else:  # fitted before the hash was written
        changed = not rows and run.manifest.get("data_class") not in (None, "Z")
    if changed:
        why = f"unaccounted: {run.ledger.name} was changed or removed after the fit"
        rows.append(LedgerRow(str(run.manifest.get("name")), "train", why, "unknown", "-", 0, 0, 0, 0, 0))
    return rows


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
