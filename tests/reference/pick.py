"""Plain restatements: the pick rule with sorted Python lists, and an uncached loop of one row at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from elicit.policy.decoding import PickRule


def probabilities(logits: list[float], rule: PickRule) -> list[float]:
    """The distribution that the rule draws from, token by token; temperature > 0."""
    peak = max(logits)
    masses = [math.exp((x - peak) / rule.temperature) for x in logits]
    by_mass = sorted(range(len(masses)), key=lambda token: -masses[token])
    kept = set(by_mass)
    if rule.top_k:
        edge = masses[by_mass[min(rule.top_k, len(masses)) - 1]]
        kept = {token for token in kept if masses[token] >= edge}
    if rule.top_p < 1:
        total, running = sum(masses[token] for token in kept), 0.0
        for token in by_mass:
            running += masses[token] / total
            if running >= rule.top_p:
                kept = {other for other in kept if masses[other] >= masses[token]}
                break
    if rule.min_p:
        kept = {token for token in kept if masses[token] >= rule.min_p * max(masses)}
    total = sum(masses[token] for token in kept)
    return [masses[token] / total if token in kept else 0.0 for token in range(len(masses))]


def token_of(logits: list[float], rule: PickRule, uniform: float) -> int:
    """The token by inverse CDF; greedy at temperature 0 with ties to the lowest id."""
    if rule.temperature == 0:
        return logits.index(max(logits))
    running = 0.0
    for token, probability in enumerate(probabilities(logits, rule)):
        running += probability
        if running > uniform:
            return token
    raise AssertionError("the uniform number is not below 1")


def uniform_of(seed: int, stream: int, step: int) -> float:
    """One number of the counter-based generator, made alone."""
    bits = np.random.Philox(key=np.array([seed, stream], dtype=np.uint64))
    return float(int(bits.random_raw(step + 1)[-1]) >> 11) / 2**53


def generate(model: Any, prompt: tuple[int, ...], rule: PickRule, seed: int, limit: int, eos: set[int]) -> list[int]:
    """One completion, every step computed from the whole text, no batch, no cache, no padding."""
    ids, out = list(prompt), []
    for step in range(limit):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].tolist()
        out.append(token_of(logits, rule, uniform_of(seed, 0, step)))
        ids.append(out[-1])
        if out[-1] in eos:
            break
    return out
