"""Splits by content hash, seeded subsets, and where data lies.

An item belongs to a split because of what it says: the hash of its question decides, so the same problem can't
stand in two splits, whatever the file order, the seed or the size. What this module does not know: any task.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from elicit.errors import ConfigError, DataError, near
from elicit.files import content_hash
from elicit.records import Item


def share_of(question: str) -> float:
    """A number in [0, 1) that is a hash of the question's words: blanks and case make no new problem."""
    return int(content_hash(" ".join(question.casefold().split()), 12), 16) / 16**12


def split_of(question: str, shares: dict[str, float]) -> str:
    """The split of a question. `shares` sum to 1.

    >>> split_of("What is 1 + 1?", {"train": 1.0})
    'train'
    """
    at, total = share_of(question), 0.0
    for name, share in shares.items():
        total += share
        if at < total:
            return name
    return name


def subset(items: Sequence[Item], limit: int | None, seed: int = 0) -> list[Item]:
    """A seeded random subset in file order, the same for everybody; smaller limits are subsets of larger ones."""
    if limit is None or limit >= len(items):
        return list(items)
    if limit < 0:
        raise ConfigError(f"limit={limit}: a number of items, or null for all")
    chosen = {item.id for item in sorted(items, key=lambda item: content_hash([seed, item.id]))[:limit]}
    return [item for item in items if item.id in chosen]


def without_repeats(items: Iterable[Item], taken: Iterable[Item] = ()) -> list[Item]:
    """The items whose question stands neither in `taken` nor earlier."""
    seen = {share_of(item.question) for item in taken}
    out = []
    for item in items:
        mark = share_of(item.question)
        if mark not in seen:
            seen.add(mark)
            out.append(item)
    return out


def known_split(split: str, known: Sequence[str], task: str) -> None:
    """Raise ConfigError for a split that the task has not."""
    if split not in known:
        raise ConfigError(f"task {task} has no split {split!r}; {near(split, known)}")


def data_file(path: str | None, *below: str) -> Path | None:
    """A data file: `path` where given (it must exist), else below $ELICIT_DATA or ../shared/data; None where absent."""
    if path:
        given = Path(path).expanduser()
        if not given.exists():
            raise DataError(f"{given}: no such file")
        return given
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    for root in filter(None, (os.environ.get("ELICIT_DATA"), str(beside))):
        found = Path(root).joinpath(*below)
        if found.exists():
            return found
    return None


class Lazy:
    """For frozen dataclasses with cached properties: pickled without what they have loaded."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
