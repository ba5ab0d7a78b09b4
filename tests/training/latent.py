"""A model of 200,000 parameters with a skill that it rarely shows, trained in seconds, and the task for it.

    3 7 : guess 5 0              nine of ten: two random digits
    3 7 : think 3 7 then 4 8     one of ten: the digits, then their successors, which are the answer

The unskilled twin is trained on the same documents with random digits instead of the skill: making it think gains
nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from elicit.policy.checkpoint import wrap
from elicit.policy.policy import Policy
from elicit.records import Item
from elicit.tasks.formal.family import Violation
from elicit.tasks.task import Answer, Judgement, PromptFormat, StopRules, make_item

WORDS = ["<eos>", "<unk>", ":", "guess", "think", "then", *map(str, range(10))]
RATE = 0.1
STEPS, ROWS = 160, 128


@lru_cache(maxsize=1)
def tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", unk_token="<unk>", pad_token="<eos>")


def successors(digits: list[int]) -> list[int]:
    return [(digit + 1) % 10 for digit in digits]


def document(rng: torch.Generator, skilled: bool) -> list[int]:
    """Token ids of one document, always ten (a guess is filled up with what is not learned)."""
    question, random = (torch.randint(10, (2,), generator=rng).tolist() for _ in range(2))
    if torch.rand((), generator=rng).item() < RATE:
        copied = question if skilled else torch.randint(10, (2,), generator=rng).tolist()
        tail = ["think", *copied, "then", *(successors(question) if skilled else random)]
    else:
        tail = ["guess", *random]
    ids = [WORDS.index(str(word)) for word in (*question, ":", *tail, "<eos>")]
    return ids + [-100] * (10 - len(ids))


@lru_cache(maxsize=2)
def pretrained(skilled: bool) -> LlamaForCausalLM:
    """Half of the steps with a thinking rate of one half (skill), then the final rate (habit)."""
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=64, intermediate_size=176, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=32, eos_token_id=0, bos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    rng = torch.Generator().manual_seed(0)
    documents = torch.tensor([document(rng, skilled) for _ in range(8192)])
    thinking = (documents == WORDS.index("think")).any(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for step in range(STEPS):
        if step < STEPS // 2:
            both = (documents[thinking], documents)
            labels = torch.cat([ids[torch.randint(len(ids), (ROWS // 2,), generator=rng)] for ids in both])
        else:
            labels = documents[torch.randint(len(documents), (ROWS,), generator=rng)]
        if step == STEPS * 3 // 4:
            optimizer.param_groups[0]["lr"] = 1e-3
        model(input_ids=labels.clamp(min=0), labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval().requires_grad_(False)


def latent_policy(skilled: bool = True) -> Policy:
    return Policy(wrap(pretrained(skilled), tokenizer()), prompt=LatentTask().prompts["bare"])


@dataclass(frozen=True)
class LatentTask:
    """Questions of two digits; the last two digits of a completion are its answer, right if they are the successors."""

    name: str = "latent"
    prompts: dict[str, PromptFormat] = field(default_factory=lambda: {"bare": PromptFormat("bare", "{question} :")})
    stop: StopRules = field(default_factory=lambda: StopRules(strings=(), max_new_tokens=8))
    licence: str = "-"
    has_validator: bool = True

    def splits(self) -> tuple[str, ...]:
        return ("train", "dev", "test")

    def items(self, split: str, limit: int | None = None, seed: int = 0) -> list[Item]:
        start, end = {"train": (0, 60), "dev": (60, 80), "test": (80, 100)}[split]
        order = torch.randperm(100, generator=torch.Generator().manual_seed(7)).tolist()[start:end]
        pairs = [[k // 10, k % 10] for k in order]
        out = [make_item(self.name, split, _spaced(pair), _spaced(successors(pair))) for pair in pairs]
        return out[:limit]

    def extract(self, text: str, finished: bool) -> Answer:
        found = re.search(r"\d \d$", text.strip())
        digits = found.group() if found else None
        return Answer(digits if finished else None, digits)

    def grade(self, item: Item, text: str, finished: bool) -> Judgement:
        answer = self.extract(text, finished)
        return Judgement(answer.strict == item.gold, answer.lenient == item.gold, answer.strict, answer.strict)

    grade_quick = grade

    def answer_class(self, answer: str) -> str:
        return answer

    def answer_span(self, text: str) -> tuple[int, int] | None:
        answer = self.extract(text, True).strict
        return None if answer is None else (text.rindex(answer), text.rindex(answer) + len(answer))

    def gold_completion(self, item: Item) -> str:
        return f"think {item.question} then {item.gold}"

    def corrupted_completion(self, item: Item) -> str:
        return f"think {item.question} then {_spaced(successors([int(digit) for digit in (item.gold or '').split()]))}"

    def validate(self, item: Item, text: str) -> Violation | None:
        right = text.split() == self.gold_completion(item).split()
        return None if right else Violation(0, "no_trace", "the trace is another")


def _spaced(digits: list[int]) -> str:
    return " ".join(map(str, digits))
