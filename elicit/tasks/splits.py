"""Splits by content hash, seeded subsets, and the paths of data files.

The hash of its question decides the split of an item, so the same problem can't be in two splits, whatever the file
order, the seed or the size. What this module does not know: any task.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from elicit.errors import ConfigError, DataError, near
from elicit.files import content_hash
from elicit.records import Item

PATIENCE = 20


def share_of(question: str) -> float:
    """A number in [0, 1) that is a hash of the question's words: blanks and case do not matter."""
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
    """A seeded random subset in file order, the same on every machine; smaller limits are subsets of larger ones."""
    if limit is None or limit >= len(items):
        return list(items)
    if limit < 0:
        raise ConfigError(f"limit={limit}: a number of items, or null for all")
    kept = {item.id for item in sorted(items, key=lambda item: content_hash([seed, item.id]))[:limit]}
    return [item for item in items if item.id in kept]


def without_repeats(items: Iterable[Item], taken: Iterable[Item] = ()) -> list[Item]:
    """The items whose question is neither in `taken` nor earlier in `items`."""
    seen = {share_of(item.question) for item in taken}
    out = []
    for item in items:
        mark = share_of(item.question)
        if mark not in seen:
            seen.add(mark)
            out.append(item)
    return out


def distinct_items(
    task: str, split: str, wanted: int, shares: dict[str, float], draw: Callable[[], Item | None]
) -> list[Item]:
    """`wanted` generated items of a split, no question twice, in the order in which they were first drawn.

    `draw` gives the next item, or None for one that is no item of the task. Raises ConfigError once the generator seems
    exhausted: the number of draws in a row that bring nothing new exceeds `PATIENCE` times the number of items so far.
    """
    found: dict[str, Item] = {}
    in_vain = 0
    while len(found) < wanted:
        item = draw()
        in_vain += 1
        if item is not None and item.question not in found and split_of(item.question, shares) == split:
            found[item.question] = item
            in_vain = 0
        if in_vain > PATIENCE * (len(found) + 200):
            raise ConfigError(f"task {task}: {wanted} {split} items asked for, {len(found)} exist: lower n_{split}")
    return list(found.values())


def filled(items: list[Item], split: str, task: str, use: str) -> list[Item]:
    """The items of a split that is needed. Raises DataError if there are none; `use` says what needs them."""
    if not items:
        raise DataError(
            f"task {task}: its split {split} has no items, and {use} needs some; add rows of that split (in your own "
            "file: rows without `split` are shared out by the hash of their question)"
        )
    return items


def known_split(split: str, splits: Sequence[str], task: str) -> None:
    """Raise ConfigError for a split that the task does not have."""
    if split not in splits:
        raise ConfigError(f"task {task} has no split {split!r}; {near(split, splits)}")


def data_file(path: str | None, *below: str) -> Path | None:
    """A data file: `path` if given (it must exist), else below $ELICIT_DATA or ../shared/data; None if absent."""
    if path:
        given = Path(path).expanduser()
        if not given.exists():
            raise DataError(f"{given}: no such file")
        return given
    shared = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    for root in filter(None, (os.environ.get("ELICIT_DATA"), str(shared))):
        path_below = Path(root).joinpath(*below)
        if path_below.exists():
            return path_below
    return None


class Lazy:
    """For frozen dataclasses with cached properties: pickled without the data that they have loaded."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
