"""The cache folder: $ELICIT_CACHE or ~/.cache/elicit. It holds fetched models and dequantised weights."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from elicit.errors import CheckpointError


def cache_root(cache: str | None) -> tuple[Path, list[str]]:
    """The cache folder, created and writable, and a note if it had to be a temporary one.

    A folder that the user set (argument or $ELICIT_CACHE) is never replaced: CheckpointError if it can't be written.
    """
    asked = cache or os.environ.get("ELICIT_CACHE")
    wanted = Path(asked).expanduser() if asked else Path("~/.cache/elicit").expanduser()
    if _writable(wanted):
        return wanted, []
    if asked:
        raise CheckpointError(f"cache folder {wanted} can't be written; set model.cache or ELICIT_CACHE to another")
    spare = Path(tempfile.gettempdir()) / f"elicit-cache-{os.getuid()}"
    if not _writable(spare) or spare.stat().st_uid != os.getuid():
        raise CheckpointError(f"neither {wanted} nor {spare} can be written; set ELICIT_CACHE to a folder that can")
    return spare, [f"{wanted} can't be written: weights are kept in {spare}; set ELICIT_CACHE to choose another"]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
