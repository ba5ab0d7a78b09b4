"""How fast this machine was with this model before: from the files of earlier runs under the same root.

    speed       timings-*.json next to the shards of the store: seconds, tokens, paths
    fit_seconds manifest.json of runs whose method has the same fields (but the seed)

Only samples of the same checkpoint count: the runs' manifests hold its path and its id. The speed of another
model is not guessed, except for the shipped organisms (`ORGANISM`). Knows no configuration and no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elicit.experiment.run_folder import RunFolder, all_runs
from elicit.files import fingerprint, read_json

SHARDS = 1_000
"""shards that are read, at most"""


@dataclass(frozen=True)
class Speed:
    """Speed of sampling."""

    tokens_per_second: float
    """of one process, prompt tokens not counted"""
    tokens_per_path: float | None
    """None: this task has not been sampled yet"""
    source: str
    """origin of the figures, printed in the plan"""


ORGANISM = Speed(5_000, 15, "the shipped organism on two busy cores")
"""measured on the demonstration, rounded to the slower side; used until the store has samples of its own"""


def measured(root: Path, path: str, task: str) -> Speed | None:
    """Of this checkpoint under this root; tokens per path of this task only. None if nothing was sampled."""
    name = fingerprint(task=task)["task"]
    folders = sorted(_folders(root, path), key=lambda found: found[1] != name)  # this task's first
    seconds, tokens, left = 0.0, 0, SHARDS
    same_seconds, same_tokens, same_paths = 0.0, 0, 0
    for folder, of_task in folders:
        for file in sorted(folder.glob("timings-*.json"))[:left]:
            row, left = read_json(file), left - 1
            seconds, tokens = seconds + row["seconds"], tokens + row["tokens"]
            if of_task == name:
                same_seconds, same_tokens = same_seconds + row["seconds"], same_tokens + row["tokens"]
                same_paths += row.get("paths") or _chains(file) or row["samples"]
    if not seconds:
        return None
    length = same_tokens / same_paths if same_paths and same_seconds else None
    return Speed(tokens / seconds, length, "measured in this root")


def fit_seconds(root: Path, path: str) -> dict[str, float]:
    """Arm -> seconds of its last fit on this checkpoint."""
    runs = _runs(root, path)
    return {run.manifest["arm"]: run.manifest["fit_seconds"] for run in runs if run.manifest.get("fit_seconds")}


def _runs(root: Path, path: str) -> Iterator[RunFolder]:
    return (run for run in all_runs(root) if (run.manifest.get("checkpoint") or {}).get("path") == path)


def _folders(root: Path, path: str) -> Iterator[tuple[Path, str]]:
    """Sample folders of this checkpoint, each with the hash of its task."""
    ids = {fingerprint(checkpoint=run.manifest["checkpoint"]["id"])["checkpoint"] for run in _runs(root, path)}
    for file in sorted((root / "store" / "samples").glob("*/*/fingerprint.json")):
        parts = read_json(file)
        if parts["checkpoint"] in ids:
            yield file.parent, parts["task"]


def _chains(timings: Path) -> int:
    """Paths of a shard whose timings do not count them (older folders): the rows of its chains, 0 without any."""
    file = timings.with_name(timings.stem.replace("timings", "chains") + ".parquet")
    if not file.exists():
        return 0
    from pyarrow import parquet  # a quarter of a second: newer folders do without

    return int(parquet.read_metadata(file).num_rows)
