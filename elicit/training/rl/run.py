"""What the modules of policy-gradient training share: the run, and the rollouts of one update.

    Run             what a fit consists of; fixed, except for `standing` (progress.py)
    RolloutBatch    the rollouts of one update with their rewards

What this module does not know: the trainer. So guards and curves can be tested without one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from elicit.records import Finish, Item
from elicit.training.rl.progress import Identity, Standing
from elicit.training.rl.rewards import Values
from elicit.training.rl.rollouts import Engine, Rollout
from elicit.training.rl.settings import GRPOSettings
from elicit.training.trainable import Trainable

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.policy import Policy


@dataclass
class RolloutBatch:
    """The rollouts of one update, P groups of G, with their rewards."""

    rollouts: list[Rollout]
    """P x G, the rollouts of one item in a row"""
    columns: dict[str, Values]
    """reward name -> one value per rollout; None: does not apply"""
    totals_P_G: np.ndarray
    """weighted sums; NaN if no reward applies"""
    seconds: float
    """spent on drawing and judging"""

    @property
    def flat_P(self) -> np.ndarray:
        """Bool [P]: groups without two different rewards, which have no gradient."""
        return np.array([len(set(row[~np.isnan(row)].tolist())) < 2 for row in self.totals_P_G])

    @property
    def centred_P_G(self) -> np.ndarray:
        """Rewards minus their group's mean, exactly 0 in flat groups.

        TRL subtracts the mean once more, in float32: for equal rewards such as .1 that would leave rounding noise,
        which Adam would blow up to a full step.
        """
        counts_P_1 = (~np.isnan(self.totals_P_G)).sum(1, keepdims=True)
        means_P_1 = np.nansum(self.totals_P_G, axis=1, keepdims=True) / np.maximum(counts_P_1, 1)
        return np.where(self.flat_P[:, None] & ~np.isnan(self.totals_P_G), 0.0, self.totals_P_G - means_P_1)

    @property
    def mean(self) -> float:
        """Mean reward of the rollouts to which a reward applies; NaN if there are none."""
        return float(np.nanmean(self.totals_P_G))

    @property
    def truncated(self) -> float:
        """Share of rollouts that reached the token limit."""
        return float(np.mean([rollout.path.finish == Finish.LENGTH for rollout in self.rollouts]))


@dataclass
class Run:
    """What one fit consists of."""

    settings: GRPOSettings
    trainable: Trainable
    policy: Policy
    ledger: Ledger
    context: Context
    engine: Engine
    items: dict[str, Item]
    """train items by id"""
    seed: int
    limit: int
    """tokens of a rollout, at most"""
    identity: Identity
    """a checkpoint with another identity is not resumed"""
    name: str
    standing: Standing = field(default_factory=Standing)
