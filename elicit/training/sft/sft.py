"""Supervised fine-tuning of a policy on rows of text; the result is a `WeightEdit`, the policy is not touched.

    minimise  - sum over loss tokens of log p(token | before) / number of loss tokens of the step,  by AdamW

    rows -> tokens and plan (rows.py) -> copy of the model, parameters attached (training/trainable.py) -> trainer.py

TRL's SFTTrainer on a deep copy of the model (TRL replaces its forward, and dev scores need the original meanwhile),
all weights or LoRA pairs (arXiv 2106.09685), in float32 masters on any device; bf16 autocast on a GPU that has it.
Deterministic: rows, order and adapter start from `seed`; the global generators are put back. Killed and resumed =
uninterrupted: checkpoints are in a folder named by the hash of everything that decides the run, so no other run
resumes from them. What this module does not know: critiques, rewards, tasks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from elicit import ranks
from elicit.console import Progress, unseen
from elicit.errors import MethodError, checked
from elicit.files import content_hash, remove_tree
from elicit.policy.weights import WeightEdit
from elicit.training import checkpoints, memory
from elicit.training.restore import decoder_found, own_environment, own_randomness
from elicit.training.sft.rows import Row, Tokens, encode_all, micro_batches, steps_of
from elicit.training.trainable import FullWeights, Lora

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from trl import SFTConfig
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from elicit.policy.policy import Policy
    from elicit.training.sft.trainer import PlannedTrainer

LEARNING_RATES = {"full": 5e-6, "lora": 1e-4}


@dataclass(frozen=True)
class SftConfig:
    """How rows are trained on. The defaults are those of critique fine-tuning on a 7B base (arXiv 2501.17703)."""

    update: Literal["full", "lora"] = "full"
    """which parameters: all of them, or LoRA pairs on every linear layer but the head"""
    learning_rate: float | None = None
    """null: 5e-6 full, 1e-4 LoRA; a model below 10 M parameters needs about 3e-4"""
    epochs: float = 1.0
    """ignored if `steps` is set"""
    steps: int | None = None
    """optimizer steps; null: from `epochs`"""
    batch: int = 512
    """rows per optimizer step"""
    micro_rows: int = 32
    """rows per forward pass: affects memory, not the result"""
    warmup: float = 0.1
    """share of the steps in which the learning rate rises"""
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    max_tokens: int = 2048
    """prompt, completion and EOS; longer rows are never truncated"""
    too_long: Literal["refuse", "drop"] = "refuse"
    packing: bool = False
    """lay the rows of a micro-batch end to end instead of padding them; refused if rows attend to each other"""
    lora_rank: int = 16
    lora_alpha: int = 32
    gradient_checkpointing: bool = False
    save_every: int = 50
    """steps between checkpoints for resuming; 0: none"""

    def __post_init__(self) -> None:
        at_least = dict.fromkeys(("batch", "micro_rows", "max_tokens", "lora_rank", "steps"), 1)
        at_least |= dict.fromkeys(("warmup", "weight_decay", "save_every"), 0)
        above = dict.fromkeys(("epochs", "max_grad_norm", "lora_alpha", "learning_rate"), 0)
        checked(self, at_least=at_least, above=above, label="sft")

    @property
    def rate(self) -> float:
        """The learning rate at its peak."""
        return LEARNING_RATES[self.update] if self.learning_rate is None else self.learning_rate


@dataclass(frozen=True)
class Trained:
    """The result of one run."""

    edit: WeightEdit
    steps: int
    rows: int
    dropped: int
    """rows with more than `max_tokens` tokens, if they may be dropped"""
    loss_tokens: int
    """of all rows once, EOS included"""


def train(
    policy: Policy,
    rows: Sequence[Row],
    config: SftConfig,
    seed: int,
    folder: Path,
    say: Callable[[str], None] = lambda line: None,
    log: Callable[[dict[str, Any]], None] = lambda row: None,
    at: Mapping[int, Callable[[WeightEdit], None]] | None = None,
    progress: Progress = unseen,
) -> Trained:
    """Fine-tune on `rows`, on top of the policy's weight edits. `at`: step -> what is called with the edit so far.

    Raises MethodError for a policy with activation edits or a strategy, for rows that cannot be encoded or are too
    long, for a loss that is not finite, and if the memory is too small (naming the setting to change).
    """
    from elicit.training.sft.trainer import PlannedTrainer, Report

    # 1) rows to tokens, and the rows of every micro-batch
    refuse_other_edits(policy)
    encoded, dropped = encode_all(policy.checkpoint, rows, config.max_tokens, config.too_long)
    if dropped:
        say(f"sft: {len(dropped)} of {len(rows)} rows dropped, longer than max_tokens={config.max_tokens}")
    steps = config.steps or steps_of(len(encoded), config.batch, config.epochs)
    lengths = [len(row.ids) for row in encoded]
    plan = micro_batches(lengths, config.batch, steps, config.micro_rows, seed)

    # 2) a copy of the model, its parameters, and the memory that they take
    model, parameters = copy_of(policy), parameters_of(config, seed)
    say(f"sft: {config.update}, {len(encoded)} rows, {steps} steps of {config.batch} rows at {config.rate:g}")
    trained = parameters.size(model)
    needed = memory.estimate_sft(model, config, trained, max(lengths), policy.checkpoint.dtype)
    advice = "use sft.update=lora" if config.update == "full" else "use a smaller base"
    memory.announce(needed, trained, policy.checkpoint, "sft", advice, say)
    # 3) attach and train, from this run's last checkpoint if there is one
    unfinished = Path(folder) / f"sft-{content_hash([policy.checkpoint.id, policy.id, vars(config), seed, encoded])}"
    with own_randomness(seed), own_environment(), decoder_found(model), parameters.attached(model):
        trainer = PlannedTrainer(
            parameters,
            encoded,
            plan,
            model=model,
            processing_class=copy.deepcopy(policy.checkpoint.tokenizer),
            args=arguments(config, steps, len(plan) // steps, seed, unfinished, policy.checkpoint.device),
            data_collator=collator(policy.checkpoint.pad_id, config.packing),
            callbacks=[Report(say, log, at or {}, parameters.edit, progress)],
        )
        if config.packing:
            refuse_leaks(trainer, encoded[:4], policy.checkpoint.pad_id)
        last = ranks.shared(checkpoints.complete(unfinished)[-1:], "the last checkpoint")
        with memory.explained(
            f"lower sft.micro_rows (now {config.micro_rows}; the result is the same), set "
            "sft.gradient_checkpointing=true, or sft.update=lora"
        ):
            trainer.train(resume_from_checkpoint=str(last[0]) if last else None)
        edit = parameters.edit()

    # 4) the checkpoints are for resuming only
    ranks.by_main(lambda: remove_tree(unfinished), "the end of a supervised fit")
    return Trained(edit, steps, len(encoded), len(dropped), sum(row.loss_tokens for row in encoded))


def refuse_other_edits(policy: Policy) -> None:
    """Raises MethodError if the policy has anything but weight edits: the trainer would not apply it."""
    other = [intervention.kind for intervention in policy.interventions if intervention.kind != "weights"]
    if other:
        raise MethodError(f"fine-tuning on a policy with {', '.join(other)}: fit without them and stack them after")


def copy_of(policy: Policy) -> PreTrainedModel:
    """A deep copy of the policy's model, its weight edits applied, set up for training."""
    with policy.applied():
        model = copy.deepcopy(policy.checkpoint.model)
    model.config.use_cache = False
    return model


def parameters_of(config: SftConfig, seed: int) -> FullWeights | Lora:
    """What is trained, not attached yet."""
    return FullWeights() if config.update == "full" else Lora(config.lora_rank, config.lora_alpha, (), seed)


def arguments(
    config: SftConfig, steps: int, accumulation: int, seed: int, folder: Path, device: torch.device
) -> SFTConfig:
    """TRL's arguments; `accumulation`: micro-batches per step. Everything with a surprising default is stated."""
    from trl import SFTConfig

    half = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return SFTConfig(
        output_dir=str(folder), max_steps=steps, gradient_accumulation_steps=accumulation, seed=seed % 2**32,
        per_device_train_batch_size=config.micro_rows, learning_rate=config.rate, lr_scheduler_type="cosine",
        warmup_steps=int(np.ceil(config.warmup * steps)), weight_decay=config.weight_decay, optim="adamw_torch",
        max_grad_norm=config.max_grad_norm, bf16=half, use_cpu=device.type == "cpu", max_length=None,
        gradient_checkpointing=config.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False}, logging_steps=1, logging_nan_inf_filter=False,
        save_strategy="steps" if config.save_every else "no", save_steps=config.save_every or 1, save_total_limit=None,
        report_to="none", disable_tqdm=True, dataloader_pin_memory=False, shuffle_dataset=False,
    )  # fmt: skip


def collator(pad_id: int, packing: bool) -> DataCollatorForLanguageModeling:
    """TRL's collator: right-padded rows, or rows laid end to end with positions that restart at 0."""
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    return DataCollatorForLanguageModeling(pad_token_id=pad_id, padding_free=packing)


def refuse_leaks(trainer: PlannedTrainer, rows: Sequence[Tokens], pad_id: int) -> None:
    """Raises MethodError if packed rows do not have the loss of padded ones, or cannot be run at all."""
    examples = [{"input_ids": list(row.ids), "labels": list(row.labels)} for row in rows]
    losses = []
    trainer.part = ranks.rank()  # every process computes the trial
    try:
        with torch.no_grad():
            for packing in (False, True):
                batch = trainer._prepare_inputs(collator(pad_id, packing)(examples))
                losses.append(float(trainer.compute_loss(trainer.model, batch)))
    except TypeError as fault:
        losses.append(float("nan"))
        reason = str(fault)
    else:
        reason = "its attention sees across rows"
    trainer.forget()
    trainer.part = 0
    if not abs(losses[1] - losses[0]) <= 1e-3 * max(1.0, abs(losses[0])):
        raise MethodError(
            f"{type(trainer.model).__name__} can't take packed rows ({reason}; loss {losses[0]:.4f} padded, "
            f"{losses[1]:.4f} packed): set sft.packing=false"
        )
