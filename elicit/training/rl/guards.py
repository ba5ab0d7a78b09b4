"""What stops a policy-gradient run, each with the setting to change.

    check_settings     before training    combinations that cannot work
    check_gradients    every update       the gradient is finite
    check_hooks        first update       the engine draws with the trained vectors
    check_sampler      every update       the engine draws from the model that is differentiated
    check_signal       every update       some group has two different rewards

Each guard takes what it reads. What this module does not know: the trainer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from elicit.errors import ConfigError, MethodError
from elicit.policy.policy import Policy
from elicit.training.rl.run import RolloutBatch, Run
from elicit.training.rl.settings import GRPOSettings
from elicit.training.trainable import Trainable

SAMPLER_GAP = 0.05
"""nats per token between sampler and trainer, at most: rounding to bfloat16 gives some 1e-3"""
NEVER_ENDS = 0.9
"""warn if at least this share of the first rollouts is truncated"""


def check_settings(settings: GRPOSettings, policy: Policy, write: str | None) -> None:
    """Raises ConfigError for settings that do not work with this policy or these parameters.

    `write`: positions of the trained vectors; None if weights are trained.
    """
    vectors = write is not None
    edited = any(intervention.kind == "activations" for intervention in policy.interventions)
    if settings.gradient_checkpointing and (vectors or edited):
        what = "vectors" if vectors else "a policy with an activation edit"
        raise ConfigError(
            f"gradient_checkpointing=true with {what}: a block that is computed again in the backward pass does not "
            "know its positions; set gradient_checkpointing=false and lower micro_batch instead"
        )
    if settings.rollouts == "vllm" and settings.vllm_server and (vectors or edited):
        raise ConfigError("vllm_server: TRL's server draws without vectors: leave vllm_server away, or rollouts=loop")
    if settings.rollouts == "generate" and (edited or (vectors and write != "every")):
        raise ConfigError(f"rollouts=generate gives hooks no positions (write={write!r}): use rollouts=loop")


def check_gradients(
    named: Mapping[str, torch.Tensor], save: Callable[[], Path], learning_rate: float, update: int
) -> float:
    """The L2 norm of an update's gradient over the parameters `named`; 0 if none has a gradient.

    Raises MethodError if it is not finite, after `save` has written the parameters from before the update.
    """
    gradients = {name: parameter.grad for name, parameter in named.items() if parameter.grad is not None}
    if not gradients:
        return 0.0
    norm = torch.nn.utils.get_total_norm(list(gradients.values())).item()
    if math.isfinite(norm):
        return norm
    bad = next((name for name, gradient in gradients.items() if not bool(torch.isfinite(gradient).all())), "their norm")
    raise MethodError(
        f"update {update}: the gradient of {bad} is not finite; the parameters from before it are in {save()}. "
        f"Lower learning_rate (now {learning_rate:g}) or load the checkpoint in float32"
    )


def check_hooks(trainable: Trainable, logprobs: Callable[[], Sequence[float]], updates: int) -> None:
    """Raises MethodError if the engine's log-probs are the same with and without the trained vectors.

    `logprobs` draws a few greedy tokens with the engine; `updates`: how many had a gradient so far.
    """
    with trainable.sampling():
        steered = list(logprobs())
    with trainable.base():
        plain = list(logprobs())
    if steered == plain:
        raise MethodError(
            f"after {updates} update the engine's log-probs are the same with and without the vectors: it "
            "ignores them, or the update vanishes in the checkpoint's dtype (raise learning_rate, or rollouts=loop)"
        )


def check_sampler(gap: float, update: int) -> None:
    """Raises MethodError if the sampler is not the model that is trained. `gap`: KL per token, in nats."""
    if not gap <= SAMPLER_GAP:
        raise MethodError(
            f"update {update}: rollouts come from another distribution than the one that is differentiated (KL "
            f"{gap:.3g} nats per token, at most {SAMPLER_GAP:g}): what was learned did not reach the engine, or its "
            "rounding is too coarse; use rollouts=loop, or load the checkpoint in float32"
        )


def check_signal(run: Run, batch: RolloutBatch, update: int) -> str | None:
    """Count updates in which no group has two different rewards (in `run.standing`).

    None: training continues. A sentence: training is over, because nothing is left to learn (or there never was).
    Raises MethodError if there was never anything to learn from, or if the policy has collapsed.
    """
    standing, settings, mean = run.standing, run.settings, batch.mean

    # 1) the first update: remember its reward, and warn if rollouts do not end
    if standing.first_reward is None:
        standing.first_reward = mean
        if batch.truncated >= NEVER_ENDS:
            ends = bool(run.policy.checkpoint.eos_ids)
            why = "it rarely ends an answer, or the limit is too low" if ends else "the base has no end token"
            run.context.say(
                f"{run.name}: {batch.truncated:.0%} of the first rollouts reached the limit of {run.limit} tokens and "
                f"count as unanswered: {why}; raise max_new_tokens, or reward finished answers (rewards.format)"
            )

    # 2) count
    empty = bool(batch.flat_P.all())
    standing.empty_in_a_row = standing.empty_in_a_row + 1 if empty else 0
    standing.updates += not empty
    if not empty:
        return None
    run.context.say(
        f"{run.name}: no group of update {update} has two different rewards (mean {mean:.3g}): nothing changes"
    )
    if standing.empty_in_a_row < settings.max_empty_steps:
        return None

    # 3) too many in a row: solved from the start, solved by training, collapsed, or never earned
    whole = sum(weight for weight in settings.rewards.values() if weight > 0)
    if not standing.updates and mean >= whole:
        return f"the base earns the whole reward ({mean:.3g}) in every rollout: nothing to learn, it stays unchanged"
    if standing.updates and (mean >= whole or mean > standing.first_reward):
        return f"every group agrees at a mean reward of {mean:.3g} (first update: {standing.first_reward:.3g})"
    if standing.updates:
        raise MethodError(
            f"{standing.empty_in_a_row} updates in a row without two different rewards in any group, at a mean reward "
            f"of {mean:.3g} (first update: {standing.first_reward:.3g}): the policy has collapsed; lower learning_rate"
        )
    raise MethodError(
        f"{standing.empty_in_a_row} updates and not one group with two different rewards (mean {mean:.3g}): the base "
        f"never or always earns it in samples={settings.samples}; raise samples, use items of another difficulty, "
        "or add a reward such as rewards.format"
    )
