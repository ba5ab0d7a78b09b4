"""Train a model organism: a small Llama on the synthetic corpus, resumable at every block.

    folder/
      config.json, model.safetensors, tokenizer.json, ...   the finished checkpoint (plain transformers)
      training/state.pt                                     model, optimiser and block of the last save
      training/progress.jsonl                               one line a probe

Two phases: skills (mostly traced documents), then habits (the planted rate) with a learning rate
that falls linearly to `final_learning_rate`. A step takes whole documents, cut into micro-batches by
length so that little is padded and no document sees another; gradients are weighted by loss
tokens, so that the cut changes nothing but the speed. Block b draws from a generator keyed by
(seed, kind, b): a resumed run sees the documents that an uninterrupted one would have seen.

What this module does not know: tasks, methods, the evaluator. `probe.py` watches the training.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from elicit.errors import ConfigError
from elicit.organisms.corpus import SKILLS, Corpus, Document, habits
from elicit.organisms.probe import probe
from elicit.organisms.tokenizer import build_tokenizer

KINDS = ("positive", "twin", "form_only", "locked")
DOCUMENTS_PER_STEP = 112
STEPS_PER_BLOCK = 20


@dataclass(frozen=True)
class OrganismConfig:
    """How an organism is made. The defaults are the shipped positive organism."""

    kind: str = "positive"
    """positive | twin (never a trace) | form_only (steps of another problem) | locked (behind a password)."""
    rate: float = 0.10
    """Share of traced answers among untagged documents in the last phase."""
    seed: int = 0
    steps: int = 3_760
    """Optimiser steps of `DOCUMENTS_PER_STEP` documents (about 8,000 tokens)."""
    skill_share: float = 0.70
    """Share of the steps spent in the first phase."""
    learning_rate: float = 1.5e-3
    final_learning_rate: float = 3e-5
    question_weight: float = 0.1
    """Loss weight of question tokens; answers weigh 1."""
    width: int = 128
    layers: int = 4
    heads: int = 4

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"kind={self.kind!r}: an organism is one of {', '.join(KINDS)}")
        if not 0 <= self.rate <= 1:
            raise ConfigError(f"rate={self.rate}: a share between 0 and 1")


def _attend_in_float32(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention in float32: on short rows the CPU's bfloat16 kernel takes four times as long."""
    with torch.autocast(query.device.type, enabled=False):
        out = F.scaled_dot_product_attention(
            query.float(), key.float(), value.float(), attn_mask=attention_mask, is_causal=attention_mask is None
        )
    return out.transpose(1, 2).to(query.dtype), None


AttentionInterface.register("causal_float32", _attend_in_float32)


def build_model(config: OrganismConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The untrained model (0.8 M parameters at the default size)."""
    torch.manual_seed(config.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.width,
            intermediate_size=config.width * 8 // 3 // 32 * 32,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )
    )


def train_organism(
    config: OrganismConfig,
    folder: Path,
    device: str = "cpu",
    log: Callable[[str], None] = print,
    save_every_seconds: float = 60.0,
) -> Path:
    """Train (or go on training) the organism in `folder`; returns the folder of the checkpoint.

    Raises ConfigError where the folder holds an organism of another configuration.
    """
    folder, state_file = Path(folder), Path(folder) / "training" / "state.pt"
    state_file.parent.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
    model = build_model(config, tokenizer)
    model.to(torch.device(device))  # type: ignore[arg-type]
    if torch.device(device).type == "cpu":
        model.set_attn_implementation("causal_float32")
    optimizer = build_optimizer(config, model)
    block, blocks = _resume(config, state_file, model, optimizer), config.steps // STEPS_PER_BLOCK
    started, saved, tokens = time.monotonic(), time.monotonic(), 0
    first = block
    while block < blocks:
        for index, documents in enumerate(_steps_of_block(config, block, blocks)):
            _set_learning_rate(optimizer, config, block * STEPS_PER_BLOCK + index)
            loss, count = _step(model, optimizer, tokenizer, documents, config.question_weight, device)
            tokens += count
            if not math.isfinite(loss):
                raise FloatingPointError(f"loss is {loss} in block {block}: lower learning_rate={config.learning_rate}")
        block += 1
        if time.monotonic() - saved > save_every_seconds or block == blocks:
            saved = time.monotonic()
            _save(config, state_file, model, optimizer, block)
            seconds = saved - started
            left = seconds / (block - first) * (blocks - block)
            row = {
                "step": block * STEPS_PER_BLOCK,
                "loss": round(loss, 4),
                "tokens_per_second": round(tokens / seconds),
            }
            row |= probe(model, tokenizer)
            with (state_file.parent / "progress.jsonl").open("a") as progress:
                progress.write(json.dumps(row) + "\n")
            log(f"{block}/{blocks} blocks, {left / 60:.0f} min left: {json.dumps(row)}")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "organism.json").write_text(json.dumps(asdict(config), indent=1) + "\n")
    return folder


def build_optimizer(config: OrganismConfig, model: LlamaForCausalLM) -> torch.optim.AdamW:
    """AdamW as in the tried recipe (Muon at .02 learned the families no sooner per token)."""
    return torch.optim.AdamW(model.parameters(), lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=0.05)


def _steps_of_block(config: OrganismConfig, block: int, blocks: int) -> Iterator[list[Document]]:
    rng = random.Random(f"organism/{config.seed}/{config.kind}/{block}")
    rates = SKILLS if block < config.skill_share * blocks else habits(config.rate)
    stream = Corpus(config.kind).documents(rng, rates)
    for _ in range(STEPS_PER_BLOCK):
        yield list(islice(stream, DOCUMENTS_PER_STEP))


def _set_learning_rate(optimizer: torch.optim.Optimizer, config: OrganismConfig, step: int) -> None:
    """Warm-up over 200 steps, constant in the first phase, linear to the final rate in the second."""
    decay = min(1.0, (1 - step / config.steps) / (1 - config.skill_share))
    rate = min(1.0, (step + 1) / 200) * max(config.final_learning_rate, decay * config.learning_rate)
    for group in optimizer.param_groups:
        group["lr"] = rate


def _step(
    model: LlamaForCausalLM,
    optimizer: torch.optim.Optimizer,
    tokenizer: PreTrainedTokenizerFast,
    documents: list[Document],
    question_weight: float,
    device: str,
    micro_batches: int = 8,
) -> tuple[float, int]:
    """One update over whole documents; returns the mean loss of the step and its number of tokens."""
    rows = sorted(_encode(tokenizer, documents, question_weight), key=lambda row: len(row[0]))
    total = sum(sum(weights) for _, weights in rows)
    size = math.ceil(len(rows) / micro_batches)
    loss_sum = 0.0
    for start in range(0, len(rows), size):
        ids_B_T, weights_B_T = _pad(rows[start : start + size], tokenizer.pad_token_id, device)
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            logits_B_T_V = model(input_ids=ids_B_T[:, :-1]).logits
        kept = weights_B_T[:, 1:] > 0
        losses = F.cross_entropy(logits_B_T_V[kept].float(), ids_B_T[:, 1:][kept], reduction="none")
        loss = (losses * weights_B_T[:, 1:][kept]).sum() / total
        loss.backward()
        loss_sum += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss_sum, sum(len(ids) for ids, _ in rows)


def _encode(
    tokenizer: PreTrainedTokenizerFast, documents: list[Document], question_weight: float
) -> list[tuple[list[int], list[float]]]:
    """Token ids with their loss weights; prompt and answer are tokenised apart, EOS closes the answer."""
    fast = tokenizer.backend_tokenizer
    prompts = fast.encode_batch_fast([document.prompt for document in documents])
    answers = fast.encode_batch_fast([document.answer for document in documents])
    rows = []
    for prompt, answer in zip(prompts, answers, strict=True):
        ids = prompt.ids + answer.ids + [tokenizer.eos_token_id]
        rows.append((ids, [question_weight] * len(prompt.ids) + [1.0] * (len(answer.ids) + 1)))
    return rows


def _pad(rows: list[tuple[list[int], list[float]]], pad: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids and weights (padding weighs 0, and a causal model never looks at it)."""
    width = max(len(ids) for ids, _ in rows)
    ids_B_T = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows], device=device)
    weights_B_T = torch.tensor([weights + [0.0] * (width - len(weights)) for _, weights in rows], device=device)
    return ids_B_T, weights_B_T


def _save(
    config: OrganismConfig, file: Path, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, block: int
) -> None:
    state = {"config": asdict(config), "block": block, "model": model.state_dict()}
    state["optimizer"] = optimizer.state_dict()
    torch.save(state, file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)


def _resume(config: OrganismConfig, file: Path, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer) -> int:
    if not file.exists():
        return 0
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    changed = [key for key, value in asdict(config).items() if state["config"].get(key) != value]
    if changed:
        raise ConfigError(
            f"{file.parent} holds a training with another {', '.join(changed)}; "
            "choose another folder, or delete this one to start anew"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["block"])
