"""Train a model organism: a small Llama on the synthetic corpus, resumable at every block.

    folder/
      config.json, model.safetensors, tokenizer.json, ...   the finished checkpoint (plain transformers)
      training/state.pt                                     model, optimizer, block and precision of the last save
      training/progress.jsonl                               one line per probe

Two phases: skills (mostly traced documents), then habits (the planted rate) with a learning rate
that falls linearly to `final_learning_rate`. A step takes whole documents, cut into micro-batches by
length so that there is little padding and no document sees another; gradients are weighted by loss
tokens, so that the cut changes nothing but the speed. Block b draws from a generator keyed by
(seed, kind, b): a resumed run sees the documents that an uninterrupted one would have seen.

Precision: bfloat16 autocast on a GPU; on a CPU whichever of bfloat16 autocast and float32 is faster in a short
measurement at the start (without AVX-512, autocast ran at 700 tokens/s and float32 with one thread at 7,400). A
resumed run keeps its precision. The shipped organisms were trained under bfloat16 autocast. On a CPU the training uses
one thread: with two threads on two busy cores both precisions fell from 5,500-8,000 to 500-1,100 tokens/s.

What this module does not know: tasks, methods, the evaluator. `probe.py` watches the training.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch.nn import functional as F
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from elicit.config.settings import MAX_SEED
from elicit.errors import ConfigError, checked
from elicit.organisms.corpus import SKILLS, Document, habits
from elicit.organisms.kinds import CORPORA
from elicit.organisms.probe import probe
from elicit.organisms.tokenizer import build_tokenizer
from elicit.organisms.truth import CHECKPOINTS, shipped
from elicit.policy.checkpoint import TINY, CheckpointConfig, placement

STEPS_PER_BLOCK = 20
MICRO_BATCHES = 8
"""per step"""
Precision = Literal["bfloat16", "float32"]
Row = tuple[list[int], list[float]]
"""token ids of a document, and the loss weight of each"""


@dataclass(frozen=True)
class OrganismConfig:
    """How an organism is trained. The defaults are the shipped positive organism."""

    kind: str = "positive"
    """positive | twin (never a trace) | form_only (steps of another problem) | locked (traces after a password) |
    format_twin (right traces, rarely declared and ended) | decoy (a loud mode invents, a quiet one is right)"""
    start: str = ""
    """a shipped organism whose weights the training begins with, so that both have the same skills; "": from scratch"""
    rate: float = 0.10
    """Share of traced answers among untagged documents in the last phase."""
    seed: int = 0
    steps: int = 3_760
    """Optimizer steps."""
    documents_per_step: int = 112
    """About 8,000 tokens of the positive organism's documents."""
    last_step: int = 0
    """The training ends after this step, before the learning rate has fallen to its end; 0: after all `steps`. May be
    changed between two calls."""
    skill_share: float = 0.70
    """Share of the steps spent in the first phase."""
    learning_rate: float = 1.5e-3
    final_learning_rate: float = 3e-5
    question_weight: float = 0.1
    """Loss weight of question tokens; answers weigh 1."""
    first_weight: float = 1.0
    """Loss weight of the first token of an answer, which decides its mode."""
    warm_up: int = 200
    """Steps in which the learning rate rises."""
    width: int = 128
    layers: int = 4
    heads: int = 4

    def __post_init__(self) -> None:
        checked(
            self,
            at_least={
                "steps": STEPS_PER_BLOCK,
                "last_step": 0,
                "seed": 0,
                "layers": 1,
                "heads": 1,
                "question_weight": 0,
                "documents_per_step": 1,
                "warm_up": 1,
            },
            above={"learning_rate": 0, "final_learning_rate": 0, "first_weight": 0},
            one_of={"kind": tuple(CORPORA)},
            label="organism",
        )
        if not 0 <= self.rate <= 1:
            raise ConfigError(f"rate={self.rate}: a share between 0 and 1")
        if not 0 <= self.skill_share < 1:
            raise ConfigError(f"skill_share={self.skill_share}: must be at least 0 and below 1")
        if 0 < self.last_step < STEPS_PER_BLOCK:
            raise ConfigError(f"last_step={self.last_step}: 0, or {STEPS_PER_BLOCK} or more (one block)")
        if self.seed > MAX_SEED:
            raise ConfigError(f"seed={self.seed}: at most {MAX_SEED:,} (2^63 - 1)")
        if self.width < 2 * self.heads or self.width % (2 * self.heads):  # half of a head turns against the other half
            raise ConfigError(f"width={self.width}: must be a multiple of 2 x heads={self.heads}")


def build_model(config: OrganismConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The model before the first step (0.8 M parameters at the default size): random, or that of `config.start`.

    Raises ConfigError if `start` is not shipped, or has another shape or other tokens.
    """
    if config.start:
        return shipped_model(config, tokenizer)
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


def shipped_model(config: OrganismConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The weights of the shipped organism `config.start`, in float32."""
    if config.start not in shipped():
        raise ConfigError(f"start={config.start!r}: no shipped organism; use one of {', '.join(shipped())}")
    folder = CHECKPOINTS / config.start
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    shape = (model.config.hidden_size, model.config.num_hidden_layers, model.config.num_attention_heads)
    if shape != (config.width, config.layers, config.heads):
        raise ConfigError(f"start={config.start!r} has width, layers, heads {shape}: set the same")
    if AutoTokenizer.from_pretrained(folder).get_vocab() != tokenizer.get_vocab():
        raise ConfigError(f"start={config.start!r} has other tokens: build it again with `elicit organism build`")
    return model


def train_organism(
    config: OrganismConfig,
    folder: Path,
    device: str = "cpu",
    log: Callable[[str], None] = print,
    save_every_seconds: float = 60.0,
    precision: Precision | None = None,
) -> Path:
    """Train (or continue to train) the organism in `folder`; returns the folder of the checkpoint.

    `precision`: None chooses the faster one, see the head. Raises ConfigError if the folder holds an organism of
    another configuration.
    """
    # 1) model and optimizer, from the last save if there is one
    folder, state_file = Path(folder), Path(folder) / "training" / "state.pt"
    target, _ = placement(CheckpointConfig(path=str(folder), device=device))
    state_file.parent.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
    model = build_model(config, tokenizer)
    model.to(target)  # type: ignore[arg-type]
    optimizer = build_optimizer(config, model)
    block, blocks = 0, (config.last_step or config.steps) // STEPS_PER_BLOCK
    if state_file.exists():
        block, precision = resume(config, state_file, model, optimizer)
    with one_thread(model):
        precision = precision or choose_precision(config, model, tokenizer, log)

    # 2) train block by block; save and probe every minute and at the end
    started, saved, tokens, first = time.monotonic(), time.monotonic(), 0, block
    with one_thread(model), float32_attention(model) if model.device.type == "cpu" else nullcontext():
        while block < blocks:
            for index, documents in enumerate(documents_of_steps(config, block)):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(config, block * STEPS_PER_BLOCK + index)
                rows = encode(tokenizer, documents, config.question_weight, config.first_weight)
                loss = training_step(model, optimizer, rows, precision)
                tokens += sum(len(ids) for ids, _ in rows)
                if not math.isfinite(loss):
                    rate = config.learning_rate
                    raise FloatingPointError(f"loss is {loss} in block {block}: lower learning_rate={rate}")
            block += 1
            if time.monotonic() - saved > save_every_seconds or block == blocks:
                saved = time.monotonic()
                save(config, state_file, model, optimizer, block, precision)
                speed, left = tokens / (saved - started), (saved - started) / (block - first) * (blocks - block)
                row = {"step": block * STEPS_PER_BLOCK, "loss": round(loss, 4), "tokens_per_second": round(speed)}
                row |= probe(model, tokenizer)
                with (state_file.parent / "progress.jsonl").open("a") as progress:
                    progress.write(json.dumps(row) + "\n")
                log(f"{block}/{blocks} blocks, {left / 60:.0f} min left: {json.dumps(row)}")

    # 3) the checkpoint
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "organism.json").write_text(json.dumps(asdict(config), indent=1) + "\n")
    return folder


def build_optimizer(config: OrganismConfig, model: LlamaForCausalLM) -> torch.optim.AdamW:
    """AdamW as in the recipe that was tried (Muon at .02 learned the families no sooner per token)."""
    return torch.optim.AdamW(model.parameters(), lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=0.05)


def learning_rate(config: OrganismConfig, step: int) -> float:
    """Warm-up over `warm_up` steps, constant in the first phase, linear to the final rate in the second."""
    decay = min(1.0, (1 - step / config.steps) / (1 - config.skill_share))
    return min(1.0, (step + 1) / config.warm_up) * max(config.final_learning_rate, decay * config.learning_rate)


def documents_of_steps(config: OrganismConfig, block: int) -> Iterator[list[Document]]:
    """The documents of each step of a block."""
    rng = random.Random(f"organism/{config.seed}/{config.kind}/{block}")
    skills = block < config.skill_share * (config.steps // STEPS_PER_BLOCK)
    stream = CORPORA[config.kind].documents(rng, SKILLS if skills else habits(config.rate))
    for _ in range(STEPS_PER_BLOCK):
        yield list(islice(stream, config.documents_per_step))


def encode(
    tokenizer: PreTrainedTokenizerFast, documents: Sequence[Document], question_weight: float, first_weight: float = 1.0
) -> list[Row]:
    """Rows, shortest first; prompt and answer are tokenised separately, EOS ends an answer that is not cut."""
    fast = tokenizer.backend_tokenizer
    prompts = fast.encode_batch_fast([document.prompt for document in documents])
    answers = fast.encode_batch_fast([document.answer for document in documents])
    rows = []
    for document, prompt, answer in zip(documents, prompts, answers, strict=True):
        ids = answer.ids + [tokenizer.eos_token_id] * document.ended
        rows.append((prompt.ids + ids, [question_weight] * len(prompt.ids) + [first_weight] + [1.0] * (len(ids) - 1)))
    return sorted(rows, key=lambda row: len(row[0]))


def training_step(
    model: LlamaForCausalLM,
    optimizer: torch.optim.Optimizer,
    rows: Sequence[Row],
    precision: Precision,
    micro_batches: int = MICRO_BATCHES,
) -> float:
    """One update on rows that are sorted by length; returns the mean loss of the step."""
    total = sum(sum(weights) for _, weights in rows)
    size = math.ceil(len(rows) / micro_batches)
    loss_sum = 0.0
    for start in range(0, len(rows), size):
        loss = weighted_loss(model, rows[start : start + size], precision) / total
        loss.backward()
        loss_sum += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss_sum


def weighted_loss(model: LlamaForCausalLM, rows: Sequence[Row], precision: Precision) -> torch.Tensor:
    """Sum over tokens of weight x negative log-likelihood."""
    # padding is on the right and weighs 0; no token of a causal model sees it
    width, pad, device = max(len(ids) for ids, _ in rows), model.config.pad_token_id, model.device
    ids_B_T = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows], device=device)
    weights_B_T = torch.tensor([weights + [0.0] * (width - len(weights)) for _, weights in rows], device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        logits_B_T_V = model(input_ids=ids_B_T[:, :-1]).logits
    kept_B_T = weights_B_T[:, 1:] > 0
    losses = F.cross_entropy(logits_B_T_V[kept_B_T].float(), ids_B_T[:, 1:][kept_B_T], reduction="none")
    return (losses * weights_B_T[:, 1:][kept_B_T]).sum()


def choose_precision(
    config: OrganismConfig, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, log: Callable[[str], None]
) -> Precision:
    """bfloat16 on a GPU; on a CPU the faster one, which is logged. Changes neither weights nor random states."""
    if model.device.type != "cpu":
        return "bfloat16"
    rows = encode(tokenizer, next(documents_of_steps(config, 0)), config.question_weight)
    middle = len(rows) // 2
    rows = rows[middle : middle + max(1, len(rows) // MICRO_BATCHES)]
    speeds = {name: tokens_per_second(model, rows, name) for name in ("bfloat16", "float32")}
    fastest: Precision = "bfloat16" if speeds["bfloat16"] > speeds["float32"] else "float32"
    log(f"training in {fastest} ({', '.join(f'{name}: {speed:,.0f} tokens/s' for name, speed in speeds.items())})")
    return fastest


def tokens_per_second(model: LlamaForCausalLM, rows: Sequence[Row], precision: Precision, repeats: int = 2) -> float:
    """Speed of forward and backward passes on a CPU; the first pass warms up, the fastest of `repeats` counts."""
    seconds = []
    with float32_attention(model):
        for _ in range(repeats + 1):
            began = time.perf_counter()
            weighted_loss(model, rows, precision).backward()
            seconds.append(time.perf_counter() - began)
    model.zero_grad(set_to_none=True)
    return sum(len(ids) for ids, _ in rows) / min(seconds[1:])


@contextmanager
def one_thread(model: LlamaForCausalLM) -> Iterator[None]:
    """Inside, a small model on a CPU uses one thread, as in `load_checkpoint`; the number is restored on leaving."""
    before = torch.get_num_threads()
    if model.device.type == "cpu" and model.num_parameters() < TINY:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def float32_attention(model: LlamaForCausalLM) -> Iterator[None]:
    """Inside, attention is in float32 even under autocast: on short rows bfloat16 takes four times as long on a CPU.

    On leaving, the model and transformers' table of attention functions are as before.
    """
    name, before = "causal_float32", model.config._attn_implementation
    ALL_ATTENTION_FUNCTIONS[name] = _attend_in_float32
    try:
        model.set_attn_implementation(name)
        yield
    finally:
        model.set_attn_implementation(before)
        del ALL_ATTENTION_FUNCTIONS[name]


def _attend_in_float32(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention, with the signature that transformers expects."""
    with torch.autocast(query.device.type, enabled=False):
        out = F.scaled_dot_product_attention(
            query.float(), key.float(), value.float(), attn_mask=attention_mask, is_causal=attention_mask is None
        )
    return out.transpose(1, 2).to(query.dtype), None


def save(
    config: OrganismConfig,
    file: Path,
    model: LlamaForCausalLM,
    optimizer: torch.optim.Optimizer,
    block: int,
    precision: Precision,
) -> None:
    """Write the state of the training completely or not at all."""
    state = {"config": asdict(config), "block": block, "precision": precision, "model": model.state_dict()}
    state["optimizer"] = optimizer.state_dict()
    torch.save(state, file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)


def resume(
    config: OrganismConfig, file: Path, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer
) -> tuple[int, Precision]:
    """Load a saved state; (the next block, the precision). Raises ConfigError if its configuration is another one."""
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    before = asdict(OrganismConfig(**state["config"]))  # a field that is younger than the state has its default
    changed = [key for key, value in asdict(config).items() if key != "last_step" and before[key] != value]
    if changed:
        raise ConfigError(
            f"{file.parent} holds a training with another {', '.join(changed)}; "
            "choose another folder, or delete this one to start again"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["block"]), state.get("precision", "bfloat16")  # states before this field are all bfloat16
