"""RLVR: policy gradient on the weights, rewarded by the evaluator's own grader (class R).

    theta <- theta + Adam( grad 1/(P G L) sum_i A_i sum_t log p_theta(y_it | x_i, y_i<t) ),   A_i = r_i - group mean

Dr. GRPO (arXiv 2503.20783) of GRPO (2402.03300): P items, G rollouts each, no scaling by length or variance, no
KL term, one update per batch (`elicit/training/rl/grpo.py`). All text is the base's own; the only outside information
is one label bit per rollout. Published lifts shrink against a random reward (2506.10947) and against large k
(2504.13837), which is why every table has the placebo and the coverage rows next to it.
Left out: several updates per batch, clipping, a KL penalty, curricula, tool use.
Cost: steps x prompts x samples rollouts and label bits, and one forward and backward pass over the rollouts whose
group disagrees. Full training keeps float32 masters, gradients and two moments: 16 bytes per parameter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from elicit.errors import checked
from elicit.training.rl.settings import GRPOSettings
from methods.rlvr import controls

if TYPE_CHECKING:
    from collections.abc import Callable

    from elicit.ledger import Ledger
    from elicit.method import Context, Method
    from elicit.policy.policy import Policy
    from elicit.policy.weights import WeightEdit
    from elicit.records import Item
    from elicit.training.trainable import Trainable


@dataclass(frozen=True)
class RLVR(GRPOSettings):
    """Reinforcement learning from verifiable rewards. The defaults are full fine-tuning of a base of 0.5 to 1.5 B."""

    parameters: Literal["full", "lora"] = "full"
    """full: every weight, in float32 masters; lora: pairs of low-rank matrices on the linear layers"""
    lora_rank: int = 32
    lora_alpha: int = 64
    """the update is lora_alpha / lora_rank times B A"""
    lora_targets: tuple[str, ...] = ()
    """names of linear layers, such as q_proj; (): all but the head"""
    name: str = "rlvr"

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, at_least={"lora_rank": 1}, above={"lora_alpha": 0})

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> WeightEdit:
        """The trained difference, or the trained pairs. Raises what `elicit.training.rl.fit.fit` raises."""
        from elicit.training.rl.fit import fit
        from elicit.training.trainable import FullWeights, Lora

        def trainable(items: list[Item], seed: int) -> Trainable:
            if self.parameters == "full":
                return FullWeights()
            return Lora(self.lora_rank, self.lora_alpha, self.lora_targets, seed)

        choose = self.chooser(policy, ledger, context)
        return fit(self, self.name, policy, ledger, context, trainable, choose)  # type: ignore[return-value]

    def chooser(self, policy: Policy, ledger: Ledger, context: Context) -> Callable[[], list[Item]] | None:
        """How the train items are chosen; None: a seeded draw from the train split."""
        return None

    def placebos(self) -> dict[str, Method]:
        """The same training on a coin."""
        return {name: replace(self, rewards=rewards) for name, rewards in controls.PLACEBOS.items()}

    def rivals(self) -> dict[str, Method]:
        """Spurious rewards with information about form or about the base's own majority."""
        return {name: replace(self, rewards=rewards) for name, rewards in controls.RIVALS.items()}
