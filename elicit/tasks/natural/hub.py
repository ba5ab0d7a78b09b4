"""Rows of a data set on the Hugging Face hub, with errors that name the remedy if there is no network."""

from __future__ import annotations

from typing import Any

from elicit.errors import DataError


def hub_rows(name: str, config: str | None, split: str, revision: str | None = None) -> list[dict[str, Any]]:
    """All rows of one split. Raises DataError if the hub can't be reached or has no such set."""
    from datasets import load_dataset

    try:
        rows = load_dataset(name, config, split=split, revision=revision)
    except (OSError, ValueError) as fault:  # datasets wraps its network and name faults in these two
        reason = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise DataError(
            f"{name} ({config or 'default'}, {split}) can't be read from the hub: {reason}; "
            "set task.path to a local file, or ELICIT_DATA to a folder that holds it"
        ) from None
    return [dict(row) for row in rows]
