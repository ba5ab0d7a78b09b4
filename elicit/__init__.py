"""How much reasoning is latent in a base checkpoint, which method elicits it, and at what price?

    comparison = elicit.run("experiment=demo", "eval.limit=40")     what `elicit experiment=demo eval.limit=40` does
    comparison = elicit.load("runs/comparisons/demo")               a finished one
    comparison.table()                                              a pandas frame, one row per policy

docs/api.md has examples. Nothing heavy is imported before one of these is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elicit.commands.api import Loaded

__all__ = ["load", "run"]


def run(*overrides: str, quiet: bool = False) -> Loaded:
    """Run a command line and return its comparison: `elicit.commands.api.run`."""
    from elicit.commands import api

    return api.run(*overrides, quiet=quiet)


def load(path: Path | str, root: Path | str = "runs") -> Loaded:
    """Read a comparison by folder or name: `elicit.commands.api.load`."""
    from elicit.commands import api

    return api.load(path, root)
