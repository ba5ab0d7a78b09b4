"""What our two trainers share: they train the parameters of a `Trainable`, are silent, and resume to the same bits.

Several processes (`elicit/ranks.py`) divide the micro-batches of an update:

    g = sum over ranks r of  sum over i = r, r + n, ... of  grad loss_i         n processes, micro-batches i

Every process has the whole model, holds the same rows and computes the losses of its own micro-batches; the gradients
are summed before they are clipped, and all take the same step. So the update is that of one process but for the order
of the sum, also if some micro-batches have no gradient, for which DDP's hooks would wait. Data parallel, as in Li et
al., PyTorch Distributed, arXiv 2006.15704, without its overlap of sums and backward passes.

TRL's own checkpoints hold the whole model; ours hold the trained tensors only (`checkpoints.py`). What this module
does not know: losses, rewards, rows. Importing it imports transformers' Trainer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, ProgressCallback, Trainer

from elicit import ranks
from elicit.training import checkpoints
from elicit.training.trainable import Trainable


class Resumable(Trainer):
    """Mixin, to be named before the TRL trainer: `class OurTrainer(Resumable, SFTTrainer)`."""

    trainable: Trainable
    """attached to `self.model` as long as the trainer lives"""

    part = 0
    """micro-batches of the running update that are done"""
    own_losses = 0.0
    """sum of those that this process has computed"""

    @property
    def ours(self) -> bool:
        """Whether this process computes the running micro-batch."""
        return self.part % ranks.world() == ranks.rank()

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One micro-batch; after the last one of an update every process has the whole gradient, and its loss."""
        loss = super().training_step(*args, **kwargs)
        if ranks.world() == 1:
            return loss
        self.part += 1
        self.own_losses += float(loss)
        if not self.accelerator.sync_gradients:
            return loss
        others = sum(ranks.gathered(self.own_losses, "losses")) - self.own_losses
        ranks.sum_gradients(list(self.trainable.trained().values()))
        self.part, self.own_losses = 0, 0.0
        return loss + others

    def silence(self) -> None:
        """Remove the callbacks that print: progress lines go through the caller's own callback."""
        for callback in (PrinterCallback, ProgressCallback):
            self.remove_callback(callback)

    def write_checkpoint(self, folder: Path, rest: Callable[[Path], None] = lambda unfinished: None) -> Path:
        """Write the trained tensors, optimizer, scheduler, generators and counters, and what `rest` adds."""

        def state(unfinished: Path) -> None:
            self._save_optimizer_and_scheduler(str(unfinished))
            self._save_rng_state(str(unfinished))
            self.state.save_to_json(str(unfinished / "trainer_state.json"))
            rest(unfinished)

        step = self.state.global_step
        trained = self.trainable.trained()
        ranks.by_main(lambda: checkpoints.save(folder, step, trained, state), f"the checkpoint of step {step}")
        return checkpoints.folder_of(folder, step)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load the trained tensors; the Trainer itself loads the optimizer and the generators."""
        checkpoints.load_tensors(Path(resume_from_checkpoint), self.trainable.trained())
