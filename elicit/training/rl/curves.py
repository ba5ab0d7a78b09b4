"""The curves and the progress of a policy-gradient run, the same keys whatever is trained.

    rl/step rl/reward rl/reward/NAME rl/zero_variance rl/truncated rl/tokens rl/entropy rl/kl_sampler rl/kl_base
    rl/grad_norm rl/dev rl/seconds_rollouts rl/seconds and the sizes that the trained parameters report (`figures`);
    rl/collapse_step once, if there is one (`collapse.py`)

Entropy and KL are per token, estimated on the rollouts (Monte Carlo; k3 of Schulman's note for the KL).
Dev scores are curves: the last parameters are returned, whatever the dev score is.
"""

from __future__ import annotations

import dataclasses
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from elicit.sampling.engine import step_loop
from elicit.sampling.likelihood import score
from elicit.training.rl.collapse import collapse
from elicit.training.rl.guards import check_hooks, check_sampler, check_signal
from elicit.training.rl.rollouts import greedy_logprobs
from elicit.training.rl.run import RolloutBatch, Run

if TYPE_CHECKING:
    from elicit.training.rl.grpo import PolicyGradientTrainer

LINES = 10
"""progress lines of a run, about"""


class Curves(TrainerCallback):
    """Called after every update: guards, curves, dev scores, checkpoints."""

    def __init__(self, trainer: PolicyGradientTrainer) -> None:
        self.trainer = trainer
        self.began = self.last = time.monotonic()
        self.first = 0
        """updates done before this process began"""
        self.dev: float | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.first = state.global_step
        run = self.trainer.run
        if state.global_step == 0 and run.settings.dev_every:
            run.standing.best_dev = self._dev_score()
            run.context.log({"rl/step": 0, "rl/dev": run.standing.best_dev})

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        trainer, run, batch, step = self.trainer, self.trainer.run, self.trainer.batch, state.global_step
        settings = run.settings
        assert batch is not None

        # 1) is there anything left to learn? after the first update: does the engine draw with the vectors?
        over = check_signal(run, batch, step)
        if run.standing.updates and not run.standing.hooks_checked:
            if run.trainable.write is not None:
                prompt_ids = run.policy.prompt_ids(next(iter(run.items.values())).question)
                draw = partial(greedy_logprobs, run.engine, prompt_ids, trainer)
                check_hooks(run.trainable, draw, run.standing.updates)
            run.standing.hooks_checked = True
        last = step == settings.steps or over is not None

        # 2) the row of curves; KL to the base and dev score every few updates
        now = time.monotonic()
        row = {
            "rl/step": step,
            **rollout_curves(batch),
            "rl/grad_norm": trainer.gradient_norm,
            "rl/seconds": now - self.last,
            **run.trainable.figures(),
        }
        self.last = now
        if trainer.sampler_gap[1]:
            row["rl/kl_sampler"] = trainer.sampler_gap[0] / trainer.sampler_gap[1]
            check_sampler(row["rl/kl_sampler"], step)
        trainer.sampler_gap = np.zeros(2)
        if settings.kl_every and (step % settings.kl_every == 0 or last):
            row["rl/kl_base"] = base_kl(run, batch, run.policy.checkpoint.model)
        if settings.dev_every and (step % settings.dev_every == 0 or last):
            row["rl/dev"] = self._dev_score()
        if (reason := collapse(run.standing, step, row["rl/entropy"], row.get("rl/dev"))) is not None:
            row["rl/collapse_step"] = step
            run.context.say(f"{run.name}: collapse step {step}: {reason}")
        run.context.log(row)

        run.context.progress(step, settings.steps)
        # 3) a progress line now and then, a checkpoint, and the early end
        if step == 1 or last or step % max(1, settings.steps // LINES) == 0:
            left = (time.monotonic() - self.began) / (step - self.first) * (settings.steps - step)
            dev = "" if self.dev is None else f", dev {self.dev:.2f}"
            run.context.say(
                f"{run.name} {step}/{settings.steps}: reward {row['rl/reward']:.3f}, entropy {row['rl/entropy']:.3f}, "
                f"{row['rl/tokens']:.0f} tokens, {row['rl/truncated']:.0%} truncated{dev}; about {left:.0f} s left"
            )
        if step % settings.save_every == 0 and not last:
            trainer.save()
        if last and run.standing.collapse is None:
            run.context.say(f"{run.name}: no collapse in {step} updates")
        if over is not None:
            run.context.say(f"{run.name}: training ends at update {step}, {over}")
            control.should_training_stop = True

    def _dev_score(self) -> float:
        """Accuracy of the model in its present state: its interventions are on already, so the policy is bare."""
        run = self.trainer.run
        bare = dataclasses.replace(run.policy, interventions=())
        with run.trainable.sampling(), step_loop(bare.checkpoint):
            self.dev = run.context.dev_score(bare, run.settings.dev_items)
        return self.dev


def rollout_curves(batch: RolloutBatch) -> dict[str, float]:
    """What the rollouts of one update show; the mean of a reward that never applies is left out."""
    logprobs = np.concatenate([rollout.path.logprobs for rollout in batch.rollouts])
    row = {
        "rl/reward": batch.mean,
        "rl/zero_variance": float(batch.flat_P.mean()),
        "rl/truncated": batch.truncated,
        "rl/tokens": len(logprobs) / len(batch.rollouts),
        "rl/entropy": -float(logprobs.mean()),
        "rl/seconds_rollouts": batch.seconds,
    }
    for name, values in batch.columns.items():
        applies = [value for value in values if value is not None]
        if applies:
            row[f"rl/reward/{name}"] = float(np.mean(applies))
    return row


def base_kl(run: Run, batch: RolloutBatch, model: torch.nn.Module) -> float:
    """KL of the sampler to the untrained policy, per token, on about `kl_rows` rollouts of the batch."""
    drawn = batch.rollouts[:: max(1, len(batch.rollouts) // run.settings.kl_rows)]
    with run.trainable.base():
        scored = score(model, [(rollout.prompt_ids, rollout.path.token_ids) for rollout in drawn])
    base = np.concatenate([one.logprobs for one in scored])
    return k3(base - np.concatenate([rollout.path.logprobs for rollout in drawn]))


def k3(log_ratios: np.ndarray) -> float:
    """Mean of exp(d) - 1 - d: an unbiased, never negative estimate of KL(p || q) from d = log q - log p under p."""
    return float(np.mean(np.expm1(log_ratios) - log_ratios))
