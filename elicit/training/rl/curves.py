"""The curves and the progress of a policy-gradient run, the same keys whatever is trained.

    rl/step rl/reward rl/reward/NAME rl/zero_variance rl/truncated rl/tokens rl/entropy rl/kl_sampler rl/kl_base
    rl/grad_norm rl/dev rl/seconds_rollouts rl/seconds and the sizes that the parameters report themselves

Entropy and KL are per token, estimated on the rollouts (Monte Carlo; k3 of Schulman's note for the KL).
Dev scores are curves: the last parameters are returned, whatever dev says.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import TrainerCallback

from elicit.sampling.likelihood import score
from elicit.training.rl.guards import check_signal

if TYPE_CHECKING:
    from elicit.training.rl.grpo import Batch, PolicyGradientTrainer

LINES = 10
"""progress lines of a whole run, about"""


class Curves(TrainerCallback):
    """Hears of every update: guards, curves, dev scores, checkpoints."""

    def __init__(self, trainer: PolicyGradientTrainer) -> None:
        self.trainer = trainer
        self.began = self.last = time.monotonic()
        self.first: int | None = None
        self.dev: float | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.first = state.global_step
        if state.global_step == 0 and self.trainer.run.settings.dev_every:
            self.trainer.run.context.log({"rl/step": 0, "rl/dev": self._dev_score()})

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        trainer, settings, step = self.trainer, self.trainer.run.settings, state.global_step
        assert trainer.batch is not None
        over = check_signal(trainer)
        if trainer.run.standing.updates:
            trainer.check_engine()
        last = step == settings.steps or over is not None
        row = self._row(trainer.batch, step)
        if settings.kl_every and (step % settings.kl_every == 0 or last):
            row["rl/kl_base"] = base_kl(trainer)
        if settings.dev_every and (step % settings.dev_every == 0 or last):
            row["rl/dev"] = self._dev_score()
        trainer.run.context.log(row)
        if step == 1 or last or step % max(1, settings.steps // LINES) == 0:
            self._say(row, step)
        if step % settings.save_every == 0 and not last:
            trainer.save()
        if over is not None:
            trainer.run.context.say(f"{trainer.run.name}: training ends at update {step}, {over}")
            control.should_training_stop = True

    def _row(self, batch: Batch, step: int) -> dict[str, float]:
        trainer = self.trainer
        logprobs = np.concatenate([rollout.path.logprobs for rollout in batch.rollouts])
        gap, count = trainer.sampler_gap
        trainer.sampler_gap = np.zeros(2)
        now = time.monotonic()
        row = {
            "rl/step": step,
            "rl/reward": float(np.nanmean(batch.totals_P_G)),
            "rl/zero_variance": float(batch.flat_P.mean()),
            "rl/truncated": batch.truncated,
            "rl/tokens": len(logprobs) / len(batch.rollouts),
            "rl/entropy": -float(logprobs.mean()),
            "rl/grad_norm": trainer.gradient_norm,
            "rl/seconds_rollouts": batch.seconds,
            "rl/seconds": now - self.last,
            **trainer.run.trainable.figures(),
        }
        self.last = now
        if count:
            row["rl/kl_sampler"] = gap / count
        for name, values in batch.columns.items():
            known = [value for value in values if value is not None]
            if known:
                row[f"rl/reward/{name}"] = float(np.mean(known))
        return row

    def _dev_score(self) -> float:
        """Accuracy of the model as it stands: its interventions are on already, so the policy is passed bare."""
        run = self.trainer.run
        standing = dataclasses.replace(run.policy, interventions=())
        with run.trainable.sampling():
            self.dev = run.context.dev_score(standing, run.settings.dev_items)
        return self.dev

    def _say(self, row: dict[str, float], step: int) -> None:
        run = self.trainer.run
        done = step - (self.first or 0)
        left = (time.monotonic() - self.began) / done * (run.settings.steps - step)
        dev = "" if self.dev is None else f", dev {self.dev:.2f}"
        run.context.say(
            f"{run.name} {step}/{run.settings.steps}: reward {row['rl/reward']:.3f}, entropy {row['rl/entropy']:.3f}, "
            f"{row['rl/tokens']:.0f} tokens, {row['rl/truncated']:.0%} truncated{dev}; about {left:.0f} s left"
        )


def base_kl(trainer: PolicyGradientTrainer) -> float:
    """KL of the sampler to the untrained policy, per token, on the first rollouts of the batch."""
    run, batch = trainer.run, trainer.batch
    assert batch is not None
    drawn = batch.rollouts[:: max(1, len(batch.rollouts) // run.settings.kl_rows)]
    pairs = [(rollout.prompt_ids, rollout.path.token_ids) for rollout in drawn]
    with run.trainable.base():
        base = np.concatenate([scored.logprobs for scored in score(trainer.model, pairs)])
    return k3(base - np.concatenate([rollout.path.logprobs for rollout in drawn]))


def k3(log_ratios: np.ndarray) -> float:
    """Mean of exp(d) - 1 - d: an unbiased, never negative estimate of KL(p || q) from d = log q - log p under p."""
    return float(np.mean(np.expm1(log_ratios) - log_ratios))
