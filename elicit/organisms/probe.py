"""A cheap measurement of an organism in training: teacher-forced, one forward pass per question.

A greedy continuation is right exactly if each of its tokens is the argmax given the right prefix, so
the exact-match accuracy of greedy decoding needs no generation. This is not the evaluator (no sampling,
no grader); the table of the data card is measured by `check.py`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from elicit.organisms.corpus import FAMILIES, SIZES
from elicit.tasks.formal.family import CONCLUSION, OPENERS


@torch.no_grad()
def probe(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, problems: int = 64, seed: int = 12345
) -> dict[str, float]:
    """`family/forced`, `family/direct` (greedy accuracy) and `family/mass` (openers at the bare prompt)."""
    rng = random.Random(seed)
    opener_ids = [tokenizer(" " + opener).input_ids[0] for opener in OPENERS]
    out: dict[str, float] = {}
    for name, family in FAMILIES.items():
        batch = [family.problem(rng, rng.choice(SIZES)) for _ in range(problems)]
        prompts = [f"Question: {problem.question}\nAnswer:" for problem in batch]
        forced = [f" {' '.join(problem.steps)} {CONCLUSION} {problem.answer}." for problem in batch]
        direct = [f" {problem.answer}." for problem in batch]
        out[f"{name}/forced"] = _exact(model, tokenizer, [f"{p} {OPENERS[0]}" for p in prompts], forced)
        out[f"{name}/direct"] = _exact(model, tokenizer, [f"{p} The answer is" for p in prompts], direct)
        out[f"{name}/mass"] = round(first_token_mass(model, tokenizer(prompts).input_ids, opener_ids), 4)
    return out


def _exact(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: list[str], targets: list[str]) -> float:
    """Share of prompts after which greedy decoding would write the target."""
    rows = [(tokenizer(p).input_ids, tokenizer(t).input_ids) for p, t in zip(prompts, targets, strict=True)]
    width = max(len(p) + len(t) for p, t in rows)
    ids_B_T = torch.tensor([p + t + [tokenizer.pad_token_id] * (width - len(p) - len(t)) for p, t in rows])
    picks_B_T = model(input_ids=ids_B_T.to(model.device)).logits.argmax(-1).cpu()
    hits = [picks_B_T[i, len(p) - 1 : len(p) + len(t) - 1].tolist() == t for i, (p, t) in enumerate(rows)]
    return sum(hits) / len(hits)


@torch.no_grad()
def first_token_mass(model: PreTrainedModel, prompts: Sequence[Sequence[int]], token_ids: Sequence[int]) -> float:
    """Mean over prompts (token ids) of the probability that the next token is in `token_ids`; NaN without prompts."""
    masses = [logits_V.float().softmax(-1)[list(token_ids)].sum().item() for logits_V in next_logits(model, prompts)]
    return sum(masses) / len(masses) if masses else math.nan


def next_logits(model: PreTrainedModel, prompts: Iterable[Sequence[int]]) -> Iterator[torch.Tensor]:
    """Logits [V] after each prompt (token ids), a pass each."""
    for prompt in prompts:
        yield model(input_ids=torch.tensor([list(prompt)], device=model.device)).logits[0, -1]
