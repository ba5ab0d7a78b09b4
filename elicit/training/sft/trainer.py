"""TRL's SFTTrainer with a fixed plan of micro-batches, a guard against losses that are not finite, and progress lines.

The loss is TRL's own: the mean negative log-likelihood over the loss tokens of an optimizer step. What a step sees
is decided beforehand (`rows.micro_batches`), so a resumed run continues with exactly the rows that come next. Several
processes divide the micro-batches of a step (resumable.py). No model card, no hub, none of transformers' loggers.
Importing this module imports TRL.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import SFTTrainer

from elicit import ranks
from elicit.console import Progress, unseen
from elicit.errors import MethodError
from elicit.policy.weights import WeightEdit
from elicit.training.labelled_head import head_of_labelled_tokens
from elicit.training.resumable import Resumable
from elicit.training.sft.rows import Tokens
from elicit.training.trainable import Trainable


class PlannedTrainer(Resumable, SFTTrainer):
    """Trains attached `trainable` parameters on `plan`: the row numbers of every micro-batch, in order.

    Every optimizer step has the same number of micro-batches.
    """

    def __init__(
        self, trainable: Trainable, rows: Sequence[Tokens], plan: Sequence[Sequence[int]], **options: Any
    ) -> None:
        from datasets import Dataset

        self.trainable = trainable
        self.rows = [{"input_ids": list(row.ids), "labels": list(row.labels)} for row in rows]
        self.plan = [list(part) for part in plan]
        super().__init__(train_dataset=Dataset.from_list(self.rows), **options)
        head_of_labelled_tokens(self.model)
        self.silence()

    def get_train_dataloader(self) -> Any:
        """The plan as one epoch; accelerate can skip its first part on resuming."""
        from torch.utils.data import DataLoader

        loader: Any = DataLoader(self.rows, batch_sampler=self.plan, collate_fn=self.data_collator)  # type: ignore[arg-type]
        return self.accelerator.prepare(loader)

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """TRL's loss of a micro-batch; zero for one that another process computes."""
        if self.ours:
            return super().compute_loss(*args, **kwargs)
        return torch.zeros((), device=self.args.device, requires_grad=True)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Raises MethodError at the first loss that is not finite; the last checkpoint is from before it. Several
        processes see it together, after the last micro-batch of the step."""
        loss = super().training_step(*args, **kwargs)
        due = ranks.world() == 1 or self.accelerator.sync_gradients
        if due and not bool(torch.isfinite(loss)):
            raise MethodError(
                f"the loss of step {self.state.global_step + 1} is {loss.item()}: lower learning_rate, or raise "
                "warmup; nothing was kept"
            )
        return loss

    def forget(self) -> None:
        """Clear what trial passes have left in the running metrics."""
        for values in self._metrics.values():
            values.clear()
        self._total_train_tokens = 0

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """The Trainer's moment of saving, after the step was logged; a finished run needs no checkpoint."""
        if self.state.global_step < self.state.max_steps:
            self.write_checkpoint(Path(str(self.args.output_dir)))


class Report(TrainerCallback):
    """Progress lines with the time left, loss curves, and calls with the edit at chosen steps."""

    def __init__(
        self,
        say: Callable[[str], None],
        log: Callable[[dict[str, Any]], None],
        at: Mapping[int, Callable[[WeightEdit], None]],
        edit: Callable[[], WeightEdit],
        progress: Progress = unseen,
        lines: int = 5,
    ) -> None:
        self.say, self.log, self.at, self.edit, self.progress, self.lines = say, log, at, edit, progress, lines
        self.began, self.first = 0.0, 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.began, self.first = time.monotonic(), state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.progress(state.global_step, state.max_steps)
        if state.global_step in self.at:
            self.at[state.global_step](self.edit())

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if logs is None or "loss" not in logs:
            return
        step, steps = state.global_step, state.max_steps
        self.log({"sft/step": step, "sft/loss": logs["loss"], "sft/grad_norm": logs.get("grad_norm")})
        if step * self.lines // steps > (step - 1) * self.lines // steps:
            left = (time.monotonic() - self.began) * (steps - step) / max(1, step - self.first)
            self.say(f"sft: step {step} of {steps}, loss {logs['loss']:.3f}, {left:.0f} s left")
