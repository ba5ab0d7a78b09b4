"""What stops a policy-gradient run, each with the setting to change.

Knows the trainer's state; changes nothing but the standing of the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from elicit.errors import ConfigError, MethodError
from elicit.policy.decoding import PathJob, PickRule
from elicit.policy.policy import Policy
from elicit.tasks.task import StopRules

if TYPE_CHECKING:
    from elicit.training.rl.grpo import PolicyGradientTrainer
    from elicit.training.rl.settings import GRPOSettings

PROBE_TOKENS = 8
NEVER_ENDS = 0.9
"""truncated share of the first rollouts from which it is said that they do not end"""


def check_settings(settings: GRPOSettings, policy: Policy, write: str | None) -> None:
    """Raises ConfigError for settings that this policy or these parameters can't be trained with."""
    vectors = write is not None
    edited = any(intervention.kind == "activations" for intervention in policy.interventions)
    if settings.gradient_checkpointing and (vectors or edited):
        what = "vectors" if vectors else "a policy with an activation edit"
        raise ConfigError(
            f"gradient_checkpointing=true with {what}: blocks that are computed again in the backward pass are not "
            "told their positions; set gradient_checkpointing=false and lower micro_batch instead"
        )
    if settings.rollouts == "vllm" and (vectors or edited):
        raise ConfigError("rollouts=vllm draws without the vectors (its loader drops them): use rollouts=loop")
    if settings.rollouts == "generate" and (edited or (vectors and write != "every")):
        raise ConfigError(f"rollouts=generate tells hooks no positions (write={write!r}): use rollouts=loop")


def check_gradients(trainer: PolicyGradientTrainer) -> float:
    """The L2 norm of the update's gradient. Raises MethodError where it is not finite, after saving what was good."""
    named = trainer.run.trainable.trained()
    gradients = {name: parameter.grad for name, parameter in named.items() if parameter.grad is not None}
    if not gradients:
        return 0.0
    norm = torch.nn.utils.get_total_norm(list(gradients.values())).item()
    if norm == norm and norm != float("inf"):
        return norm
    bad = next((name for name, gradient in gradients.items() if not bool(torch.isfinite(gradient).all())), "their norm")
    place = trainer.save()
    raise MethodError(
        f"update {trainer.state.global_step + 1}: the gradient of {bad} is not finite; the parameters before it are in "
        f"{place}. Lower learning_rate (now {trainer.args.learning_rate:g}) or load the checkpoint in float32"
    )


def check_hooks(trainer: PolicyGradientTrainer) -> None:
    """Raises MethodError where the engine's greedy log-probs are the same with and without the trained vectors."""
    run = trainer.run
    prompt = run.policy.prompt_ids(next(iter(run.items.values())).question)
    with run.trainable.sampling():
        steered = _greedy(trainer, prompt)
    with run.trainable.base():
        plain = _greedy(trainer, prompt)
    if steered == plain:
        raise MethodError(
            f"after {run.standing.updates} update the engine's log-probs are the same with and without the vectors: it "
            "ignores them, or the update vanishes in the checkpoint's dtype (raise learning_rate, or rollouts=loop)"
        )


def _greedy(trainer: PolicyGradientTrainer, prompt: tuple[int, ...]) -> list[float]:
    rule, stop = PickRule(temperature=0.0), StopRules((), PROBE_TOKENS)
    return list(trainer.run.engine.run([PathJob(prompt, 0)], rule, stop, trainer)[0].logprobs)


def check_signal(trainer: PolicyGradientTrainer) -> str | None:
    """Count updates without any group of two different rewards.

    None: go on. A sentence: training is over, nothing is left to learn (perhaps from the first). Raises MethodError
    where there was never, or is no longer, anything to learn from.
    """
    run, batch = trainer.run, trainer.batch
    assert batch is not None
    mean = float(torch.tensor(batch.totals_P_G).nanmean())
    standing = run.standing
    if standing.first_reward is None:
        standing.first_reward = mean
        _say_endless(trainer)
    empty = bool(batch.flat_P.all())
    standing.empty_in_a_row = standing.empty_in_a_row + 1 if empty else 0
    standing.updates += not empty
    if not empty:
        return None
    run.context.say(
        f"{run.name}: no group of update {trainer.state.global_step} has two different rewards (mean {mean:.3g}): "
        "nothing changes"
    )
    if standing.empty_in_a_row < run.settings.max_empty_steps:
        return None
    if not standing.updates and mean >= sum(weight for weight in run.settings.rewards.values() if weight > 0):
        return (
            f"the base earns the whole reward ({mean:.3g}) in every rollout: nothing to learn, it comes back unchanged"
        )
    if standing.updates and mean > standing.first_reward:
        return f"every group agrees at a mean reward of {mean:.3g} (first update: {standing.first_reward:.3g})"
    if standing.updates:
        raise MethodError(
            f"{standing.empty_in_a_row} updates in a row without two different rewards in any group, at a mean reward "
            f"of {mean:.3g} (first update: {standing.first_reward:.3g}): the policy has collapsed; lower learning_rate"
        )
    raise MethodError(
        f"{standing.empty_in_a_row} updates and not one group with two different rewards (mean {mean:.3g}): the base "
        f"never or always earns it in samples={run.settings.samples}; raise samples, take items of another difficulty, "
        "or add a reward such as rewards.format"
    )


def _say_endless(trainer: PolicyGradientTrainer) -> None:
    run, batch = trainer.run, trainer.batch
    if batch is not None and batch.truncated >= NEVER_ENDS:
        run.context.say(
            f"{run.name}: {batch.truncated:.0%} of the first rollouts reached the limit of {run.limit} tokens and "
            "count as unanswered: the base names no end (no EOS, no stop string); raise max_new_tokens, or reward "
            "finished answers (rewards.format)"
        )
