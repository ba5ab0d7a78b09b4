"""What the checkpoints of a policy-gradient fit hold besides tensors: which run this is, its counters, its account.

    checkpoint-000020/   ledger.jsonl      the rows of the ledger
                         progress.json     Progress: identity, state, spent

A checkpoint of other settings, another policy or another seed is set aside, never resumed. What this module does not
know: trainers, tensors (`training/checkpoints.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elicit import ranks
from elicit.files import read_json, write_json
from elicit.ledger import Spent, load_rows
from elicit.training import checkpoints
from elicit.training.rl.settings import GRPOSettings

if TYPE_CHECKING:
    from elicit.ledger import Ledger

PROGRESS = "progress.json"
LEDGER = "ledger.jsonl"


@dataclass(frozen=True)
class Identity:
    """Which run a checkpoint belongs to."""

    settings: GRPOSettings
    policy: str
    """id of the policy that is trained"""
    seed: int
    name: str

    def same(self, saved: object) -> bool:
        """Whether the identity in a file (plain JSON) is this one."""
        return json.loads(json.dumps(asdict(self))) == saved


@dataclass
class Standing:
    """State of a run beyond its tensors, saved with every checkpoint."""

    empty_in_a_row: int = 0
    """updates in a row without a gradient"""
    updates: int = 0
    """updates with a gradient"""
    first_reward: float | None = None
    """mean reward of the first update"""
    hooks_checked: bool = False
    """whether the engine is known to apply the vectors"""
    first_entropy: float | None = None
    """per token, of the first update's rollouts"""
    best_dev: float = 0.0
    """of the dev scores so far"""
    collapse: int | None = None
    """the update after which the policy counts as collapsed (`collapse.py`)"""


@dataclass(frozen=True)
class Progress:
    """The content of progress.json."""

    identity: Identity
    state: Standing
    spent: Spent


def write(folder: Path, progress: Progress, ledger: Ledger) -> None:
    """Write what the optimizer does not know: which run this is, its state, and the ledger's rows and spending."""
    ledger.save(folder / LEDGER)
    write_json(folder / PROGRESS, progress)


def latest(folder: Path, identity: Identity, say: Callable[[str], None]) -> Path | None:
    """This run's last checkpoint, found by rank 0 for all processes. Another run's checkpoints are moved aside."""
    return ranks.shared(_latest(folder, identity, say) if ranks.main() else None, "the last checkpoint")


def _latest(folder: Path, identity: Identity, say: Callable[[str], None]) -> Path | None:
    complete = checkpoints.complete(folder)
    if not complete:
        return None
    if identity.same(read_json(complete[-1] / PROGRESS)["identity"]):
        return complete[-1]
    aside = folder / f"aside-{len(list(folder.glob('aside-*')))}"
    aside.mkdir()
    for checkpoint in complete:
        checkpoint.rename(aside / checkpoint.name)
    say(f"checkpoints of other settings moved to {aside}: training starts again")
    return None


def restore(checkpoint: Path, ledger: Ledger) -> Standing:
    """Put the rows and the spending of the interrupted run back into the ledger; returns the run's state."""
    saved = read_json(checkpoint / PROGRESS)
    ledger.resume(load_rows(checkpoint / LEDGER), Spent(**saved["spent"]))
    return Standing(**saved["state"])
