"""The shared store of a root: which folder holds what, and the frame that every stage writes in.

    <root>/store/
      pools/<policy without its strategy>/<regime>/       chains that strategies share (sampling/pool.py)
      samples/<policy>/<regime>-<task>/                   SampleFolder
        fingerprint.json         hashes of what decides the rows; a stage with other inputs refuses the folder
        shard-<keys>.parquet     rows; written whole and renamed
        chains-<keys>.parquet    all paths of the rows of a shard, if a strategy has more than one
        timings-<keys>.json      when and how long
        manifest.json            settings in the clear, complete item sets; written last
      grades/<policy>/<regime>-<task>/                    shards of the same names, fingerprint, manifest
      annotations/<policy>/<regime>-<task>/               the same, and prompts.parquet
      probes/<policy>/<regime>-<task>/<lens>/             shards named after their plan, fingerprint, manifest

A stage is always the same four steps: take the folder's lock, compare its fingerprint with the inputs of now, write
the shards that are missing, write the manifest. Knows paths and these steps, not what a row means. No torch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from elicit import files
from elicit.records import SCHEMA

MANIFEST, FINGERPRINT = "manifest.json", "fingerprint.json"


class StageFolder:
    """The folder that one stage writes and others read."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @property
    def finished(self) -> bool:
        """True if a stage wrote its manifest here."""
        return (self.path / MANIFEST).exists()

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest; empty before the stage finished for the first time."""
        return files.read_json(self.path / MANIFEST) if self.finished else {}

    @property
    def fingerprint(self) -> dict[str, str] | None:
        """Named hashes of what the rows were made from; None for a folder without one."""
        path = self.path / FINGERPRINT
        return files.read_json(path) if path.exists() else None

    @property
    def shards(self) -> list[Path]:
        """The finished shards, in name order."""
        return files.shards(self.path)

    @contextmanager
    def writing(self, redo: str, **inputs: Any) -> Iterator[dict[str, Any]]:
        """One process at a time; yields the manifest of the last time (empty if it never finished).

        Raises StageError if the folder was begun with other `inputs`; the message names them and `redo`, the way out.
        """
        with files.locked(self.path):
            files.check_fingerprint(self.path, files.fingerprint(**inputs), redo)
            yield self.manifest

    def finish(self, **content: Any) -> None:
        """Write the manifest: everything before it is whole."""
        files.write_json(self.path / MANIFEST, {"schema": SCHEMA, **content})


class ItemSet(NamedTuple):
    """Items that were sampled together, complete to `n` samples each."""

    items: list[str]
    n: int


@dataclass(frozen=True)
class Timing:
    """When one shard was sampled, how long that took, and what it made."""

    begun: float
    """epoch seconds of `files.ordered_time`: after everything that was dated before, also if the clock was set back"""
    seconds: float
    """of sampling; chains that were read from a pool count as if they had been drawn"""
    samples: int
    tokens: int
    items: tuple[str, ...]
    peak_bytes: int | None = None
    """most memory that the process had held by then; None in the oldest folders"""
    paths: int | None = None
    """chains of these samples, or the samples themselves if they have no others; None in older folders, where only the
    chains' own file says so"""


class SampleFolder(StageFolder):
    """The samples of one policy in one regime on one task. Rows only ever get more."""

    @property
    def sets(self) -> list[ItemSet]:
        """The item sets that are complete."""
        return [ItemSet(**part) for part in self.manifest.get("sets", {}).values()]

    @property
    def items(self) -> set[str]:
        """Ids of the items that are complete to some n."""
        return {item for part in self.sets for item in part.items}

    @property
    def largest_n(self) -> int | None:
        """The most samples per item that any set has; None before the first set is complete."""
        return max((part.n for part in self.sets), default=None)

    def samples_of(self, wanted: Collection[str]) -> int | None:
        """Samples per item that every one of `wanted` has; None if one of them is in no complete set."""
        known: dict[str, int] = {}
        for part in self.sets:
            known.update({item: max(part.n, known.get(item, 0)) for item in part.items})
        return min((known.get(item, 0) for item in wanted), default=0) or None

    @property
    def timings(self) -> list[Timing]:
        """One record per finished shard that has one."""
        paths = [self.next_to(shard, "timings").with_suffix(".json") for shard in self.shards]
        return [files.read_record(Timing, path) for path in paths if path.exists()]

    @staticmethod
    def next_to(shard: Path, kind: str) -> Path:
        """The file of another kind ("chains", "timings") that belongs to a shard."""
        return shard.with_name(shard.name.replace("shard-", f"{kind}-", 1))

    @property
    def store(self) -> Path:
        """<root>/store."""
        return self.path.parent.parent.parent

    def sibling(self, stage: str) -> Path:
        """The folder in which another stage ("grades", "annotations", "probes") keeps what it made of these samples."""
        return self.store / stage / self.path.parent.name / self.path.name
