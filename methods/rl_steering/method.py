"""RL steering: the policy gradient of RLVR on one vector per layer, the base frozen (class R).

    h_l <- h_l + v_l  at the write positions,    v_l = R_l u_l,    u trained by Dr. GRPO from zero

h_l is the output of block l, R_l the coordinate RMS of the residual stream there, so the learning rate is in units
of it. After arXiv 2505.18706 (bias-only adaptation: 88 to 94 % of full RL on Qwen2.5 and Llama-3.1) and
2509.06608 (a vector of the last layer mostly substitutes the first token; middle ones do more). A vector can
select what the base already does and has no capacity to store anything else, which makes it the sharpest of the
trained tests of latency. The result is an `ActivationEdit`, exported as `SteeringVector`.
Left out: learned gates, sites inside a block, low-rank changes.
Cost: rollouts as RLVR; the backward pass computes no weight gradients and stops at the earliest vector;
optimizer state for the vectors alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from elicit.errors import checked
from elicit.training.rl.settings import UNLABELLED, GRPOSettings

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context, Method, Parameters
    from elicit.policy.activations import ActivationEdit
    from elicit.policy.policy import Policy
    from elicit.records import Item
    from elicit.training.trainable import Trainable

LAST = 1.0
"""the last layer as a fraction of the depth"""


@dataclass(frozen=True)
class RLSteering(GRPOSettings):
    """One trained vector per layer. The defaults are for a base of 0.5 to 1.5 B."""

    samples: int = 16
    learning_rate: float = 0.001
    """in units of the residual RMS of each layer, per Adam step"""
    max_grad_norm: float = 2.0
    gradient_checkpointing: bool = False
    layers: tuple[int | float, ...] = ()
    """0-based layers, or fractions of the depth (with a decimal point); (): all"""
    write: str = "every"
    """positions written to: every | onward | last_prompt | prompt | completion"""
    rms_prompts: int = 32
    """train prompts on which the residual RMS is measured"""
    after: Literal["as_trained", "sign_flipped", "random_directions"] = "as_trained"
    """what is done to the trained vectors (controls.py); set by `placebos` and `rivals`, not by hand"""
    name: str = "rl_steering"

    def __post_init__(self) -> None:
        from elicit.policy.positions import check_write

        super().__post_init__()
        check_write(self.write)
        checked(self, at_least={"rms_prompts": 1})

    @property
    def parameters(self) -> Parameters:
        """The vectors alone."""
        return "vectors"

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> ActivationEdit:
        """The trained vectors. Raises what `elicit.training.rl.fit.fit` raises."""
        from elicit.policy.layers import width
        from elicit.policy.residuals import layer_numbers
        from elicit.training.rl.fit import fit
        from elicit.training.rl.vectors import Vectors, residual_rms
        from methods.rl_steering.controls import changed

        def vectors(items: list[Item], seed: int) -> Trainable:
            numbers = layer_numbers(policy, self.layers)
            prompts = [policy.prompt_ids(item.question) for item in items[: self.rms_prompts]]
            ledger.activations(sum(map(len, prompts)))
            rms_L = residual_rms(policy, prompts, numbers)
            context.log({f"vectors/residual_rms/{layer}": rms for layer, rms in zip(numbers, rms_L, strict=True)})
            return Vectors(numbers, width(policy.checkpoint.model), rms_L, self.write)

        edit = fit(self, self.name, policy, ledger, context, vectors)
        return changed(edit, self.after, context.rng)  # type: ignore[arg-type]

    def placebos(self) -> dict[str, Method]:
        """The same training on a coin; random directions with the norms of the trained vectors."""
        return {
            "random_reward": replace(self, rewards={"random": 1.0}),
            "random_directions": replace(self, after="random_directions"),
        }

    def rivals(self) -> dict[str, Method]:
        """Spurious rewards, the vectors' negatives, the last layer's first-token bias, and rewards without labels."""
        paid = {name: replace(self, rewards={name: 1.0}) for name in ("format", "wrong", "majority", *UNLABELLED)}
        return {
            **{f"{name}_reward": paid[name] for name in ("format", "wrong", "majority")},
            "sign_flipped": replace(self, after="sign_flipped"),
            "last_layer": replace(self, layers=(LAST,), write="last_prompt"),
            **{f"{name}_reward": paid[name] for name in UNLABELLED},
        }
