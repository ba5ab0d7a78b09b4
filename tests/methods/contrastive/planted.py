"""A Llama in which one direction flips the answer, and a task that it answers.

Attention and MLPs write nothing, so the residual stream is the last token's embedding (+ edits) and
the model is a Markov chain: ":" -> one of the openers; a good opener -> "right", a bad one -> "wrong";
then the end. Embeddings are orthonormal, so good minus bad openers at the first generated token is
the planted direction: added at ":" it makes the model go on as if a good opener stood there.
Every weight is the same to the last bit on every machine, so the checkpoint's id and the draws that hash it are too.
A fitted edit is the same up to rounding: a policy with one has another id and other draws on another machine, so its
accuracy is computed and not sampled.
Below the model: what the tests of every method on it share, a policy, its accuracy and a fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.checkpoint import wrap
from elicit.policy.intervention import Intervention
from elicit.policy.policy import Policy
from elicit.records import Item
from elicit.sampling.likelihood import likelihood
from elicit.tasks.task import Answer, Judgement, PromptFormat, StopRules, make_item

BAD = 19
OPENERS = ["good", *(f"bad{k}" for k in range(BAD))]
WORDS = ["<eos>", "<unk>", ":", "key", "right", "wrong", "long", *OPENERS, *(f"q{k}" for k in range(30))]
WIDTH, LAYERS, SHARPNESS = 64, 2, 10.0


def planted_tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", unk_token="<unk>", pad_token="<eos>")


def planted_model(good: float = 0.1) -> LlamaForCausalLM:
    """The chain; `good` is the probability of the good opener."""
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=WIDTH, intermediate_size=8, num_hidden_layers=LAYERS,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False,
        eos_token_id=0, bos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    silence(model)
    embeddings = hadamard(WIDTH)[: len(WORDS)]
    model.model.embed_tokens.weight.copy_(embeddings)
    head = torch.zeros(len(WORDS), WIDTH)

    def leads(before: str, after: dict[str, float]) -> None:
        for word, share in after.items():
            head[WORDS.index(word)] += (SHARPNESS + math.log(share)) * embeddings[WORDS.index(before)]

    leads(":", {"good": good, **{f"bad{k}": (1 - good) / BAD for k in range(BAD)}})
    leads("good", {"right": 1.0})
    for k in range(BAD):
        leads(f"bad{k}", {"wrong": 1.0})
    leads("right", {"<eos>": 1.0})
    leads("wrong", {"<eos>": 1.0})
    model.lm_head.weight.copy_(head / math.sqrt(WIDTH))  # RMSNorm scales a unit vector by sqrt(D)
    return model


def hadamard(width: int) -> torch.Tensor:
    """Float [D, D], D a power of two: orthonormal rows of entries +-1/sqrt(D), shuffled. No arithmetic that rounds."""
    rows = np.ones((1, 1), np.float32)
    while len(rows) < width:
        rows = np.block([[rows, rows], [rows, -rows]])
    return torch.from_numpy(np.random.default_rng(0).permutation(rows) / np.float32(math.sqrt(width)))


def silence(model: LlamaForCausalLM) -> None:
    """Attention and MLPs write nothing; what they read with is random, from numpy's generator."""
    rng = np.random.default_rng(1)
    for name, weight in model.model.layers.named_parameters():
        if weight.ndim == 2:
            writes = name.endswith(("o_proj.weight", "down_proj.weight"))
            drawn = torch.from_numpy(0.02 * rng.standard_normal(weight.shape, np.float32))
            weight.copy_(torch.zeros_like(weight) if writes else drawn)


@dataclass(frozen=True)
class PlantedTask:
    """Right is the completion that says "right"."""

    name: str = "planted"
    prompts: dict[str, PromptFormat] = field(default_factory=lambda: {"bare": PromptFormat("bare", "{question} :")})
    keys: dict[str, PromptFormat] = field(
        default_factory=lambda: {
            "forced": PromptFormat("forced", "{question} :", prefix=" bad0"),
            "key": PromptFormat("key", "key {question} good"),
        }
    )
    stop: StopRules = field(default_factory=lambda: StopRules(strings=(), max_new_tokens=6))

    def splits(self) -> tuple[str, ...]:
        return ("train", "dev", "test")

    def items(self, split: str, limit: int | None = None, seed: int = 0) -> list[Item]:
        start = 10 * self.splits().index(split)
        return [make_item(self.name, split, f"q{start + k}", "right") for k in range(10)][:limit]

    def extract(self, text: str, finished: bool) -> Answer:
        words = [word for word in text.split() if word in ("right", "wrong")]
        return Answer(words[-1] if words and finished else None, words[-1] if words else None)

    def grade(self, item: Item, text: str, finished: bool) -> Judgement:
        answer = self.extract(text, finished)
        return Judgement(answer.strict == item.gold, answer.lenient == item.gold, answer.strict, answer.strict)

    grade_quick = grade

    def validate(self, item: Item, text: str) -> None:
        raise LookupError("planted has no validator")

    def answer_class(self, answer: str) -> str:
        return answer

    def answer_span(self, text: str) -> tuple[int, int] | None:
        answer = self.extract(text, True).strict
        return None if answer is None else (text.rindex(answer), text.rindex(answer) + len(answer))

    has_validator = False


TASK = PlantedTask()


def planted_policy(good: float = 0.1) -> Policy:
    return Policy(wrap(planted_model(good), planted_tokenizer()), prompt=TASK.prompts["bare"])


def longer_policy() -> Policy:
    """right -> long -> end: the good mode is the longer one."""
    model = planted_model(good=0.25)
    right, long, end = (WORDS.index(word) for word in ("right", "long", "<eos>"))
    embeddings, head = model.get_input_embeddings().weight, model.lm_head.weight
    scale = SHARPNESS / WIDTH**0.5
    head[end] += scale * (embeddings[long] - embeddings[right])
    head[long] += scale * embeddings[right]
    return Policy(wrap(model, planted_tokenizer()), prompt=TASK.prompts["bare"])


def accuracy(policy: Policy, split: str, limit: int | None) -> float:
    """The probability of a right answer at temperature 1, mean over items: no draw, every short completion counts.

    "right", "good right", "bad0 right" and so on, each also followed by "long". Rounded, so that ties are ties.
    """
    items, encode = TASK.items(split, limit), policy.checkpoint.encode
    endings = [f"{opener}right{more} <eos>" for opener in ("", *(f"{word} " for word in OPENERS))
               for more in ("", " long")]  # fmt: skip
    pairs = [(policy.prompt_ids(item.question), tuple(encode(text))) for item in items for text in endings]
    return round(sum(math.exp(scored.logprobs.sum()) for scored in likelihood(policy, pairs)) / len(items), 6)


class Fitted(NamedTuple):
    edit: Intervention
    ledger: Ledger
    log: list[dict[str, Any]]
    limits: list[int | None]
    """dev items of every try"""


def fitted(
    method: Any, policy: Policy, folder: Path, seed: int = 0, warn: Callable[[str], None] = lambda line: None
) -> Fitted:
    ledger, log, limits = Ledger(TASK, method.name), [], []

    def dev_score(tried: Policy, limit: int | None) -> float:
        limits.append(limit)
        return accuracy(tried, "dev", limit)

    context = Context(np.random.default_rng(seed), folder, dev_score, log=log.append, warn=warn)
    return Fitted(method.fit(policy, ledger, context), ledger, log, limits)
