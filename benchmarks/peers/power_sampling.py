"""Metropolis-Hastings power sampling (arXiv 2510.14901) the way public code runs it: one chain after the other.

Each move is a `generate()` call that prefills the prompt and the kept part again and keeps scores and logits of all
its steps. The cut is drawn below the current length and the proposal is no longer than the current state, as
published (tests/reference/power.py shows what that does to the law). Restated from the description, to be measured;
nothing in the package uses it.
"""

from __future__ import annotations

import math
import random
from typing import Any

import torch


@torch.no_grad()
def _extend(
    model: Any, ids: list[int], length: int, alpha: float, eos: list[int] | None
) -> tuple[list[int], list[float], list[float]]:
    """(ids up to `length` tokens, log q of the new ones, alpha * log p of them)."""
    begun = torch.tensor([ids], device=model.device)
    out = model.generate(
        begun, attention_mask=torch.ones_like(begun), do_sample=True, temperature=1 / alpha, top_k=0, top_p=1.0,
        max_new_tokens=length - len(ids), eos_token_id=eos, pad_token_id=0, output_scores=True, output_logits=True,
        return_dict_in_generate=True,
    )  # fmt: skip
    new = out.sequences[0, len(ids) :]
    scores, logits = torch.stack(out.scores), torch.stack(out.logits)  # [T, 1, V] each
    index = new.view(-1, 1, 1)
    normed = scores.log_softmax(-1).gather(-1, index).view(-1)
    raw = alpha * logits.log_softmax(-1).gather(-1, index).view(-1)
    return out.sequences[0].tolist(), normed.tolist(), raw.tolist()


def power_sample(
    model: Any, prompt: tuple[int, ...], alpha: float, steps: int, blocks: int, limit: int, eos: list[int] | None,
    rng: random.Random,
) -> tuple[list[int], int]:  # fmt: skip
    """(completion ids, tokens generated on the way) of one chain."""
    state, q, p, tokens, begin = list(prompt), [], [], 0, len(prompt)
    for _ in range(blocks):
        state, more_q, more_p = _extend(model, state, len(state) + limit // blocks, alpha, eos)
        q, p, tokens = q + more_q, p + more_p, tokens + len(more_q)
        for _ in range(steps):
            cut = rng.randint(begin, len(state) - 1)
            other, other_q, other_p = _extend(model, state[:cut], len(state), alpha, eos)
            tokens += len(other_q)
            reach = slice(cut - begin, len(other) - begin)
            ratio = sum(other_p) + sum(q[reach]) - sum(p[reach]) - sum(other_q)
            if rng.random() < math.exp(min(ratio, 0.0)):
                state = other
                q[cut - begin :], p[cut - begin :] = other_q, other_p
        if eos is not None and set(eos) & set(state[begin:]):
            break
    return state[begin:], tokens
