"""What our two trainers share: they train the parameters of a `Trainable`, are silent, and resume to the same bits.

TRL's own checkpoints hold the whole model; ours hold the trained tensors only (`checkpoints.py`). What this module
does not know: losses, rewards, rows. Importing it imports transformers' Trainer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, ProgressCallback, Trainer

from elicit.training import checkpoints
from elicit.training.trainable import Trainable


class Resumable(Trainer):
    """Mixin, to be named before the TRL trainer: `class OurTrainer(Resumable, SFTTrainer)`."""

    trainable: Trainable
    """attached to `self.model` as long as the trainer lives"""

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

        return checkpoints.save(folder, self.state.global_step, self.trainable.trained(), state)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load the trained tensors; the Trainer itself loads the optimizer and the generators."""
        checkpoints.load_tensors(Path(resume_from_checkpoint), self.trainable.trained())
