"""The checkpoints of a fit in progress: which one is whole, and how old ones are removed.

    folder/checkpoint-STEP/{model or adapter, optimizer, scheduler, random states, trainer_state.json}

transformers writes `trainer_state.json` last, so a checkpoint without a readable one was cut off and does not count.
Knows no trainer.
"""

from __future__ import annotations

from pathlib import Path

from elicit.errors import DataError
from elicit.files import read_json, remove_tree


def last_whole(folder: Path) -> str | None:
    """The last checkpoint that was written to its end; None: begin anew."""
    for path in reversed(checkpoints(folder)):
        if _readable(path / "trainer_state.json"):
            return str(path)
    return None


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoint folders in the order of their steps."""
    return sorted(Path(folder).glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))


def remove_older(folder: Path) -> None:
    """Remove all checkpoints but the last whole one (and what comes behind it, which is being written)."""
    whole = last_whole(folder)
    for path in checkpoints(folder):
        if str(path) == whole:
            return
        remove_tree(path)


def _readable(path: Path) -> bool:
    try:
        return bool(read_json(path))
    except DataError:
        return False
