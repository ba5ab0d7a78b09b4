"""The settings that every policy-gradient method shares. No torch: constructing them does no work.

What this module does not know: which parameters are trained (`training/trainable.py`), how (`grpo.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from elicit.errors import ConfigError, checked
from elicit.method import MethodBase, Work

ROLLOUTS = ("loop", "generate", "vllm")
UNLABELLED = ("certainty", "entropy", "log_likelihood", "self_verification")
"""rewards by which the model judges itself: rivals of the trained methods"""


@dataclass(frozen=True)
class GRPOSettings(MethodBase):
    """Group-relative policy gradient, strictly on-policy: one update per batch of rollouts, temperature 1."""

    steps: int = 200
    """updates; each draws prompts x samples rollouts"""
    prompts: int = 64
    """P: train items per update"""
    samples: int = 8
    """G: rollouts of one item; their mean reward is the baseline"""
    micro_batch: int = 16
    """rollouts in one forward and backward pass; divides prompts x samples. The first knob for memory"""
    learning_rate: float = 1e-6
    """constant, Adam without weight decay"""
    max_grad_norm: float = 1.0
    """gradients are clipped to this L2 norm"""
    max_new_tokens: int | None = None
    """tokens of a rollout; null: the task's own limit. Also the constant of the dr_grpo loss"""
    rewards: Mapping[str, float] = field(default_factory=lambda: {"correct": 1.0})
    """reward name -> weight; names in `elicit/training/rl/rewards.py`"""
    rollouts: str = "loop"
    """loop: the workbench's step loop; generate: transformers' generate; vllm: vLLM in this process (make vllm)"""
    vllm_server: str | None = None
    """base URL of a running TRL vLLM server, for trained weights; null: vLLM in this process"""
    train_items: int | None = None
    """train items to draw from; null: as many as the updates need. Drawn without replacement, epoch by epoch"""
    gradient_checkpointing: bool = True
    """recompute activations in the backward pass (non-reentrant): less memory, a third more work"""
    dev_every: int = 20
    """updates between dev scores (curves only; nothing is selected by them); 0: none"""
    dev_items: int = 32
    """dev items per dev score, booked as select bits"""
    kl_every: int = 5
    """updates between estimates of the KL to the base; 0: none"""
    kl_rows: int = 64
    """rollouts read by such an estimate"""
    save_every: int = 20
    """updates between checkpoints"""
    max_empty_steps: int = 5
    """training ends after this many updates in a row in which no group has two different rewards"""

    def __post_init__(self) -> None:
        at_least = {"steps": 1, "prompts": 1, "samples": 2, "micro_batch": 1, "dev_items": 1, "kl_rows": 1}
        at_least |= {"save_every": 1, "max_empty_steps": 1, "dev_every": 0, "kl_every": 0, "max_new_tokens": 1}
        above = {"learning_rate": 0, "max_grad_norm": 0}
        checked(self, at_least=at_least, above=above, one_of={"rollouts": ROLLOUTS})
        if self.batch % self.micro_batch:
            sizes = range(1, min(self.batch, self.micro_batch) + 1)
            raise ConfigError(
                f"micro_batch={self.micro_batch} does not divide the {self.batch} rollouts of an update "
                f"(prompts={self.prompts} x samples={self.samples}); "
                f"use {max(size for size in sizes if self.batch % size == 0)}"
            )
        if self.train_items is not None and self.train_items < self.prompts:
            raise ConfigError(f"train_items={self.train_items}: at least prompts={self.prompts}")
        if not self.rewards:
            raise ConfigError("rewards={}: at least one reward with its weight")

    @property
    def batch(self) -> int:
        """Rollouts of one update."""
        return self.prompts * self.samples

    def work(self, items: int, tokens: float) -> Work:
        """`steps` batches of rollouts, each trained on once, and the dev scores of the curve."""
        rollouts = self.steps * self.batch
        scores = self.steps // self.dev_every * self.dev_items if self.dev_every else 0
        return Work(rollouts + scores, rollouts)
