"""TRL's SFTTrainer with a fixed plan of micro-batches, a guard against losses that are no numbers, and progress.

The loss is TRL's own: the mean negative log-likelihood over the loss tokens of an optimizer step. What a step sees
is decided beforehand (`sft_rows.micro_batches`), so a resumed run goes on with the very rows that come next.
One process; no model card, no hub, no logger of transformers'. Importing this module imports TRL.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from trl import SFTTrainer

from elicit.errors import MethodError
from elicit.training.sft.resume import remove_older
from elicit.training.sft.rows import Tokens


class PlannedTrainer(SFTTrainer):
    """Trains on `plan`: row numbers of every micro-batch, in order, a fixed number of them a step."""

    def __init__(self, *, rows: Sequence[Tokens], plan: Sequence[Sequence[int]], **options: Any) -> None:
        from datasets import Dataset

        self.rows = [{"input_ids": list(row.ids), "labels": list(row.labels)} for row in rows]
        self.plan = [list(part) for part in plan]
        super().__init__(train_dataset=Dataset.from_list(self.rows), **options)
        for noisy in (PrinterCallback, ProgressCallback):
            self.remove_callback(noisy)

    def get_train_dataloader(self) -> Any:
        """The plan as one epoch; accelerate can skip its first part on resuming."""
        from torch.utils.data import DataLoader

        loader: Any = DataLoader(self.rows, batch_sampler=self.plan, collate_fn=self.data_collator)  # type: ignore[arg-type]
        return self.accelerator.prepare(loader)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Raises MethodError at the first loss that is no number; the last checkpoint is from before it."""
        loss = super().training_step(*args, **kwargs)
        if not bool(torch.isfinite(loss)):
            raise MethodError(
                f"the loss of step {self.state.global_step + 1} is {loss.item()}: lower learning_rate, or raise "
                "warmup; nothing was kept"
            )
        return loss

    def forget(self) -> None:
        """Drop what trial passes have left in the running metrics."""
        for kept in self._metrics.values():
            kept.clear()
        self._total_train_tokens = 0

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None is written: a checkpoint of a fit in progress is for resuming only."""


class Report(TrainerCallback):
    """Progress lines with the time left, loss curves, and a call at chosen steps."""

    def __init__(
        self,
        say: Callable[[str], None],
        log: Callable[[dict[str, Any]], None],
        at: Mapping[int, Callable[[Any], None]],
        lines: int = 5,
    ) -> None:
        self.say, self.log, self.at, self.lines = say, log, at, lines
        self.began, self.first = 0.0, 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.began, self.first = time.monotonic(), state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" not in (logs or {}):
            return
        self.log({"sft/step": state.global_step, "sft/loss": logs["loss"], "sft/grad_norm": logs.get("grad_norm")})
        if state.global_step * self.lines // state.max_steps > (state.global_step - 1) * self.lines // state.max_steps:
            left = (time.monotonic() - self.began) * (state.max_steps - state.global_step)
            left /= max(1, state.global_step - self.first)
            self.say(f"sft: step {state.global_step} of {state.max_steps}, loss {logs['loss']:.3f}, {left:.0f} s left")

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        remove_older(Path(args.output_dir))

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step in self.at:
            self.at[state.global_step](model)
