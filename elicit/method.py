"""The method protocol: how an intervention is found.

A method owns neither model loading, prompts, stop rules, grading, files, logging, seeds nor the
command line; everything it may touch comes in through `fit`'s three arguments. It imports from
`elicit.policy`, `elicit.sampling`, `elicit.training` and below, never from `elicit.evaluate`,
`elicit.track`, hydra or wandb, and never from another method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy


@dataclass(frozen=True)
class Context:
    """What a fit is given besides the policy and the ledger."""

    rng: np.random.Generator
    folder: Path
    """for resuming and for artifacts of the method's own"""
    dev_score: Callable[[Policy, int | None], float]
    """strict accuracy of a policy on (a seeded subset of) dev in regime `compare`; its bits are booked as select"""
    log: Callable[[dict[str, Any]], None] = field(default=lambda row: None)
    """one flat dict of curves or tables; a sink, it never fails a fit"""
    say: Callable[[str], None] = field(default=lambda line: None)
    """one line for the terminal"""
    seed: int = 0
    """the run's seed, for draws that a method shares with its placebos; `rng` is this fit's alone"""


class Method(Protocol):
    """A dataclass whose fields are the method's schema; the defaults are the truth, YAML states differences."""

    @property
    def name(self) -> str: ...

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> Intervention: ...

    def placebos(self) -> dict[str, Method]:
        """Methods without information about the items, with the same compute, knobs and tries."""
        ...

    def rivals(self) -> dict[str, Method]:
        """Informative alternatives: rows of their own, never subtracted."""
        ...
