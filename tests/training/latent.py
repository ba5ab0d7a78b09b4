"""A model with a skill that it rarely shows, exact by construction, and the task for it. Nothing is trained here.

    ask q7 guess a3       nine of ten: a random answer
    ask q7 t7 a8          one of ten: a thought about the question, then the answer after it, which is right

Attention and MLPs write nothing, so the residual stream is the embedding of the last token (+ edits) and the model is a
Markov chain. Embeddings are made of orthonormal directions, and the head reads one direction per transition: every
probability is set by hand, every weight is the same to the last bit on every machine, and so are the ids and the draws
that hash them. Questions share one direction, by which they lead to guesses; so what is learned on some questions holds
for all. One direction belongs to no token: added at the question it makes thoughts likelier than guesses (`switch`).
The unskilled twin thinks as often, but its thoughts lead to random answers.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from elicit.policy.checkpoint import wrap
from elicit.policy.policy import Policy
from elicit.records import Item
from elicit.sampling.likelihood import likelihood
from elicit.tasks.formal.family import Violation
from elicit.tasks.task import Answer, Judgement, PromptFormat, StopRules, make_item
from tests.methods.contrastive.planted import hadamard, silence

QUESTIONS, RATE = 19, 0.1
WORDS = ["<eos>", "<unk>", "ask", "guess", *(f"{kind}{k}" for kind in "qta" for k in range(QUESTIONS))]
WIDTH, LAYERS, SHARPNESS = 64, 4, 12.0


def tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", unk_token="<unk>", pad_token="<eos>")


def switch() -> torch.Tensor:
    """Float [D], of norm 1: the direction from guesses to thoughts."""
    return hadamard(WIDTH)[-1]


def latent_model(skilled: bool) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=WIDTH, intermediate_size=176, num_hidden_layers=LAYERS,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=32, tie_word_embeddings=False,
        eos_token_id=0, bos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    silence(model)
    of, shared = dict(zip(WORDS, hadamard(WIDTH), strict=False)), hadamard(WIDTH)[-2]
    embeddings, head = torch.stack(list(of.values())), torch.zeros(len(WORDS), WIDTH)

    def leads(direction: torch.Tensor, after: dict[str, float]) -> None:
        for word, share in after.items():
            head[WORDS.index(word)] += (SHARPNESS + math.log(share)) * direction

    random = {f"a{k}": 1 / QUESTIONS for k in range(QUESTIONS)}
    leads(math.sqrt(2) * shared, {"guess": 1 - RATE})
    leads(of["guess"], random)
    for k in range(QUESTIONS):
        embeddings[WORDS.index(f"q{k}")] = (of[f"q{k}"] + shared) / math.sqrt(2)
        leads(math.sqrt(2) * of[f"q{k}"], {f"t{k}": RATE})
        leads(of[f"t{k}"], {successor(k): 1.0} if skilled else random)
        leads(of[f"a{k}"], {"<eos>": 1.0})
    head[WORDS.index("guess")] -= SHARPNESS * switch()
    head[[WORDS.index(f"t{k}") for k in range(QUESTIONS)]] += SHARPNESS * switch()
    model.model.embed_tokens.weight.copy_(embeddings)
    model.lm_head.weight.copy_(head / math.sqrt(WIDTH))  # RMSNorm scales a unit vector by sqrt(D)
    return model


def latent_policy(skilled: bool = True) -> Policy:
    return Policy(wrap(latent_model(skilled), tokenizer()), prompt=LatentTask().prompts["bare"])


def right_share(policy: Policy, split: str) -> float:
    """The probability of a right answer at temperature 1, mean over a split: no draw, every short completion counts.

    "a8", "guess a8" and "t0 a8" to "t18 a8", for the question q7.
    """
    items, thoughts = LatentTask().items(split), [f"t{k} " for k in range(QUESTIONS)]
    texts = [(item, start + str(item.gold)) for item in items for start in ("", "guess ", *thoughts)]
    encode = policy.checkpoint.encode
    pairs = [(policy.prompt_ids(item.question), tuple(encode(text + " <eos>"))) for item, text in texts]
    return sum(math.exp(scored.logprobs.sum()) for scored in likelihood(policy, pairs)) / len(items)


@dataclass(frozen=True)
class LatentTask:
    """The last word of a completion is its answer; right is the answer after the question: a8 to q7."""

    name: str = "latent"
    prompts: dict[str, PromptFormat] = field(default_factory=lambda: {"bare": PromptFormat("bare", "ask {question}")})
    keys: dict[str, PromptFormat] = field(default_factory=dict)
    stop: StopRules = field(default_factory=lambda: StopRules(strings=(), max_new_tokens=4))
    licence: str = "-"
    has_validator: bool = True

    def splits(self) -> tuple[str, ...]:
        return ("train", "dev", "test")

    def items(self, split: str, limit: int | None = None, seed: int = 0) -> list[Item]:
        start, end = {"train": (0, 12), "dev": (12, 16), "test": (16, 19)}[split]
        return [make_item(self.name, split, f"q{k}", successor(k)) for k in range(start, end)][:limit]

    def extract(self, text: str, finished: bool) -> Answer:
        found = re.search(r"a\d+$", text.strip())
        answer = found.group() if found else None
        return Answer(answer if finished else None, answer)

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
        return f"t{item.question[1:]} {item.gold}"

    def corrupted_completion(self, item: Item) -> str:
        return f"t{item.question[1:]} {successor(int(str(item.gold)[1:]))}"

    def validate(self, item: Item, text: str) -> Violation | None:
        right = text.split() == self.gold_completion(item).split()
        return None if right else Violation(0, "no_trace", "the trace is another")


def successor(k: int) -> str:
    """The right answer to question k."""
    return f"a{(k + 1) % QUESTIONS}"
