"""inputs.json: what a comparison was computed from, enough to compute it again offline.

    {"schema", "entries", "items", "config", "checkpoint", "commands", "provenance"}

Written by `compare` before it measures anything, read by the commands that compare again. Knows no metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from elicit.errors import ConfigError, DataError
from elicit.evaluate.entry import Entry
from elicit.evaluate.metrics.table import CompareConfig
from elicit.files import read_json, record, write_json
from elicit.reading import check_types

FILE = "inputs.json"
SCHEMA = 1


class _Types(TypedDict):
    entries: list[dict[str, Any]]
    items: list[str]
    config: dict[str, Any]


@dataclass(frozen=True)
class Inputs:
    """The entries and settings of one comparison."""

    entries: Sequence[Entry]
    items: Sequence[str]
    """ids of the test items, in their order"""
    config: CompareConfig
    checkpoint: dict[str, Any] = field(default_factory=dict)
    """facts about the model, as `Checkpoint.info` lists them"""
    commands: Sequence[str] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path, name: str = FILE) -> None:
        """Write inputs.json into the folder of a comparison, or under another name those of an unfinished one."""
        plain = {**vars(self), "entries": [entry.plain() for entry in self.entries]}
        write_json(Path(folder) / name, {"schema": SCHEMA, **plain})

    @staticmethod
    def read(folder: Path, name: str = FILE) -> Inputs:
        """The inputs of <root>/comparisons/GROUP, with the folders of today if the root was moved."""
        file = Path(folder) / name
        root, saved = Path(folder).resolve().parent.parent, read_json(file)
        check_types(_Types, saved, file)
        saved.pop("schema", None)
        try:
            entries = [Entry.of(plain, root) for plain in saved.pop("entries")]
        except (ConfigError, TypeError) as fault:
            raise DataError(f"{file}: {fault}; was it edited?") from None
        config = record(CompareConfig, saved["config"], file)
        return Inputs(**{**saved, "entries": entries, "config": config})
