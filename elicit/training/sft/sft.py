"""Supervised fine-tuning of a policy on rows of text; the result is a `WeightEdit`, the policy is not touched.

    minimise  - sum over loss tokens of log p(token | before) / number of loss tokens of the step,  by AdamW

TRL's SFTTrainer on a deep copy of the model (TRL replaces the model's forward), full or LoRA (arXiv 2106.09685), in
float32 masters on any device; bf16 autocast on a GPU that has it. Deterministic: rows, order and adapter start from
`seed`, the process's own random states are put back. Killed and resumed = uninterrupted: trainable tensors, optimizer
and random states lie in a folder named by the hash of everything that decides the run, so no other run takes them up.
Knows no critiques, no rewards and no tasks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from elicit.errors import ConfigError, MethodError
from elicit.files import content_hash
from elicit.policy.weights import WeightEdit
from elicit.training.restore import own_environment, own_randomness
from elicit.training.sft.resume import last_whole, remove_tree
from elicit.training.sft.rows import Row, Tokens, encode_all, micro_batches, steps_of

if TYPE_CHECKING:
    from elicit.policy.policy import Policy

LEARNING_RATES = {"full": 5e-6, "lora": 1e-4}


@dataclass(frozen=True)
class SftConfig:
    """How rows are trained on. The defaults are those of critique fine-tuning on a 7B base (arXiv 2501.17703)."""

    update: Literal["full", "lora"] = "full"
    """which parameters: all of them, or LoRA pairs on every linear layer but the head"""
    learning_rate: float | None = None
    """null: 5e-6 full, 1e-4 LoRA; a model below 10 M parameters wants about 3e-4"""
    epochs: float = 1.0
    """ignored where `steps` is set"""
    steps: int | None = None
    """optimizer steps; null: from `epochs`"""
    batch: int = 512
    """rows an optimizer step"""
    micro_rows: int = 32
    """rows a forward pass: memory, not the result"""
    warmup: float = 0.1
    """share of the steps"""
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    max_tokens: int = 2048
    """prompt, completion and EOS; longer rows are never cut"""
    too_long: Literal["refuse", "drop"] = "refuse"
    packing: bool = False
    """lay the rows of a micro-batch end to end instead of padding them; refused where the model would see across"""
    lora_rank: int = 16
    lora_alpha: int = 32
    gradient_checkpointing: bool = False
    save_every: int = 50
    """steps between checkpoints for resuming; 0: none"""

    def __post_init__(self) -> None:
        low = [n for n in ("batch", "micro_rows", "max_tokens", "lora_rank") if getattr(self, n) < 1]
        low += [n for n in ("warmup", "weight_decay", "save_every") if getattr(self, n) < 0]
        low += [n for n in ("epochs", "max_grad_norm", "lora_alpha") if not getattr(self, n) > 0]
        low += [n for n in ("steps", "learning_rate") if getattr(self, n) is not None and not getattr(self, n) > 0]
        if low:
            shown = ", ".join(f"{name}={getattr(self, name)}" for name in low)
            raise ConfigError(f"sft: {shown}: too small")

    @property
    def rate(self) -> float:
        """The learning rate at its peak."""
        return LEARNING_RATES[self.update] if self.learning_rate is None else self.learning_rate


@dataclass(frozen=True)
class Trained:
    """What came out of one run."""

    edit: WeightEdit
    steps: int
    rows: int
    dropped: int
    """rows with more than `max_tokens` tokens, where they may be dropped"""
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
) -> Trained:
    """Fine-tune on `rows`, on top of the policy's weight edits. `at` maps steps to what is done with the edit so far.

    Raises MethodError for a policy with activation edits or a strategy, for rows that can't be encoded or are too
    long, for a loss that is no number, and where the memory does not suffice (naming the setting to change).
    """
    refuse_other_edits(policy)
    encoded, dropped = encode_all(policy.checkpoint, rows, config.max_tokens, config.too_long)
    if dropped:
        say(f"sft: {len(dropped)} of {len(rows)} rows dropped, longer than max_tokens={config.max_tokens}")
    steps = config.steps or steps_of(len(encoded), config.batch, config.epochs)
    begun = Path(folder) / f"sft-{content_hash([policy.checkpoint.id, policy.id, vars(config), seed, encoded])}"
    with own_randomness(seed), own_environment():
        edit = _run(policy, encoded, config, steps, seed, begun, say, log, at or {})
    remove_tree(begun)
    return Trained(edit, steps, len(encoded), len(dropped), sum(row.loss_tokens for row in encoded))


def _run(
    policy: Policy,
    rows: Sequence[Tokens],
    config: SftConfig,
    steps: int,
    seed: int,
    begun: Path,
    say: Callable[[str], None],
    log: Callable[[dict[str, Any]], None],
    at: Mapping[int, Callable[[WeightEdit], None]],
) -> WeightEdit:
    from elicit.training.sft.trainer import PlannedTrainer, Report

    model, before = trainable_copy(policy, config)
    edit_of = _edit_of(before, config)
    plan = micro_batches([len(row.ids) for row in rows], config.batch, steps, config.micro_rows, seed)
    say(_announcement(model, config, steps, len(rows)))
    calls = {step: _reading(edit_of, do) for step, do in at.items()}
    report = Report(say, log, calls)
    trainer = PlannedTrainer(
        rows=rows, plan=plan, model=model, processing_class=copy.deepcopy(policy.checkpoint.tokenizer),
        args=arguments(config, steps, len(plan) // steps, seed, begun, policy.checkpoint.device),
        data_collator=collator(policy.checkpoint.pad_id, config.packing), callbacks=[report],
    )  # fmt: skip
    if config.packing:
        refuse_leaks(trainer, rows[: min(4, len(rows))], policy.checkpoint.pad_id)
    try:
        trainer.train(resume_from_checkpoint=last_whole(begun))
    except torch.OutOfMemoryError as fault:
        raise MethodError(
            f"out of memory in training ({fault}): lower sft.micro_rows (now {config.micro_rows}; the result stays the "
            "same), set sft.gradient_checkpointing=true, or sft.update=lora"
        ) from None
    return edit_of(trainer.model)


def _reading(edit_of: Callable[[Any], WeightEdit], do: Callable[[WeightEdit], None]) -> Callable[[Any], None]:
    return lambda model: do(edit_of(model))


def refuse_other_edits(policy: Policy) -> None:
    """Raises MethodError where the policy has anything but weight edits: the trainer would not see it."""
    other = [intervention.kind for intervention in policy.interventions if intervention.kind != "weights"]
    if other:
        raise MethodError(f"fine-tuning on a policy with {', '.join(other)}: fit without them and stack them after")


def trainable_copy(policy: Policy, config: SftConfig) -> tuple[Any, dict[str, torch.Tensor]]:
    """(a copy of the policy's model whose trainable parameters are float32, those parameters as they start)."""
    with policy.applied():
        model = copy.deepcopy(policy.checkpoint.model)
    model.config.use_cache = False
    if config.update == "full":
        model.float().requires_grad_(True)
        return model, {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(
        r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )  # type: ignore[arg-type]
    return get_peft_model(model, lora), {}


def _edit_of(before: Mapping[str, torch.Tensor], config: SftConfig) -> Callable[[Any], WeightEdit]:
    """How the edit is read off the model in training."""

    def full(model: Any) -> WeightEdit:
        return WeightEdit.between(before, {name: p.detach() for name, p in model.named_parameters()})

    def lora(model: Any) -> WeightEdit:
        from peft import get_peft_model_state_dict

        tensors = get_peft_model_state_dict(model)
        return WeightEdit.from_peft_tensors(tensors, config.lora_alpha / config.lora_rank)

    return full if config.update == "full" else lora


def arguments(config: SftConfig, steps: int, accumulation: int, seed: int, folder: Path, device: torch.device) -> Any:
    """TRL's arguments: everything that has a surprising default is stated."""
    from trl import SFTConfig

    half = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return SFTConfig(
        output_dir=str(folder), max_steps=steps, gradient_accumulation_steps=accumulation, seed=seed % 2**32,
        per_device_train_batch_size=config.micro_rows, learning_rate=config.rate, lr_scheduler_type="cosine",
        warmup_steps=int(np.ceil(config.warmup * steps)), weight_decay=config.weight_decay, optim="adamw_torch",
        max_grad_norm=config.max_grad_norm, bf16=half, use_cpu=device.type == "cpu", max_length=None,
        gradient_checkpointing=config.gradient_checkpointing, logging_steps=1, logging_nan_inf_filter=False,
        save_strategy="steps" if config.save_every else "no", save_steps=config.save_every or 1, save_total_limit=None,
        report_to="none", disable_tqdm=True, dataloader_pin_memory=False, shuffle_dataset=False,
    )  # fmt: skip


def collator(pad_id: int, packing: bool) -> Any:
    """TRL's collator: right-padded rows, or rows laid end to end with positions that begin anew."""
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    return DataCollatorForLanguageModeling(pad_token_id=pad_id, padding_free=packing)


def refuse_leaks(trainer: Any, rows: Sequence[Tokens], pad_id: int) -> None:
    """Raises MethodError where packed rows do not have the loss of padded ones, or can't be run at all."""
    examples = [{"input_ids": list(row.ids), "labels": list(row.labels)} for row in rows]
    losses = []
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
    if not abs(losses[1] - losses[0]) <= 1e-3 * max(1.0, abs(losses[0])):
        raise MethodError(
            f"{type(trainer.model).__name__} can't take packed rows ({reason}; loss {losses[0]:.4f} padded, "
            f"{losses[1]:.4f} packed): set sft.packing=false"
        )


def _announcement(model: Any, config: SftConfig, steps: int, rows: int) -> str:
    """What is about to be trained, with the memory of weights, starting weights, gradients and AdamW's two moments."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    held = sum(p.numel() * p.element_size() for p in model.parameters()) + 16 * trained
    return (
        f"sft: {config.update}, {trained:,} trainable parameters (about {held / 2**30:.2f} GiB with gradients and "
        f"moments), {rows} rows, {steps} steps of {config.batch} rows at {config.rate:g}"
    )
