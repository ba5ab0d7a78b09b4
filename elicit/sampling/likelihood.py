"""Log-probability of a given text under a model, token by token.

Raw softmax at T=1. Rows are right-padded (a causal model never sees the padding) and batched by length; logits
are computed for completion positions only and converted to float32 in chunks of positions, so that memory never
holds a second [B, T, V] tensor. Hooks know the position of each token, so edits act as they do while sampling.
Used for base log-probs of samples, trace likelihood and typicality.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from elicit.errors import ConfigError
from elicit.sampling.loop.forward import ForwardCall, Prefix, padded
from elicit.sampling.loop.pick import precise

if TYPE_CHECKING:
    from elicit.policy.policy import Policy

    Reading = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, ...]]
    """logits [B, T, V], targets [B, T] -> values [B, T]"""

BATCH_TOKENS = 4096
BATCH_LOGITS = 2**27
CHUNK_LOGITS = 2**24
"""limits: tokens of a batch with padding, elements of its logits, elements made float32 at once"""


Pairs = Sequence[tuple[Sequence[int], Sequence[int]]]
"""(prompt ids, completion ids)"""


@dataclass(frozen=True)
class Scored:
    """One completion of T tokens under one model."""

    logprobs: np.ndarray
    """float32 [T] (float64 for a float64 model)"""
    ranks: np.ndarray
    """int64 [T]: tokens strictly more probable; 0 = the model's most probable token"""


def score(model: Any, pairs: Pairs) -> list[Scored]:
    """Log-probs and ranks of each (prompt ids, completion ids), in the order given.

    Raises ConfigError on an empty prompt: its first token would have no distribution.
    """
    return [Scored(logprobs, ranks) for logprobs, ranks in _read(model, pairs, _chosen)]


def entropies(model: Any, pairs: Pairs) -> list[np.ndarray]:
    """Entropy in nats of the next-token distribution before each completion token, float32 [T]; else as `score`."""
    return [entropy for (entropy,) in _read(model, pairs, _entropy)]


def _read(model: Any, pairs: Pairs, reading: Reading) -> list[tuple[np.ndarray, ...]]:
    """`reading` of the logits at each completion token, one tuple of arrays [T] per pair."""
    for place, (prompt, _) in enumerate(pairs):
        if not len(prompt):
            raise ConfigError(f"pair {place}: an empty prompt; a causal model needs at least one token (add BOS)")
    call = ForwardCall(model)
    out: list[tuple[np.ndarray, ...]] = [()] * len(pairs)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for batch in batches(pairs, int(call.config.vocab_size)):
                rows: list[Prefix] = [(tuple(pairs[place][0]), tuple(pairs[place][1])) for place in batch]
                for place, values in zip(batch, _read_batch(call, rows, reading), strict=True):
                    out[place] = values
    finally:
        model.train(training)
    return out


def likelihood(policy: Policy, pairs: Pairs) -> list[Scored]:
    """`score` under a policy: its weight and activation edits on, its decoding strategy ignored."""
    with policy.applied():
        return score(policy.checkpoint.model, pairs)


def batches(pairs: Pairs, vocabulary: int) -> Iterator[list[int]]:
    """Batches of indices into `pairs`, longest first, within the limits of one batch."""
    order = sorted(range(len(pairs)), key=lambda place: -len(pairs[place][0]) - len(pairs[place][1]))
    batch: list[int] = []
    width = keep = 0
    for place in order:
        prompt, completion = pairs[place]
        wider = max(width, len(prompt) + len(completion))
        kept = max(keep, wider - len(prompt) + 1)
        rows = len(batch) + 1
        if batch and (rows * wider > BATCH_TOKENS or rows * kept * vocabulary > BATCH_LOGITS):
            yield batch
            batch, wider, kept = [], len(prompt) + len(completion), len(completion) + 1
        batch, width, keep = [*batch, place], wider, kept
    if batch:
        yield batch


def _read_batch(call: ForwardCall, rows: Sequence[Prefix], reading: Reading) -> list[tuple[np.ndarray, ...]]:
    ids, positions, prompts = padded(call, rows)
    width = ids.shape[1]
    first = int(prompts.min()) - 1
    mask = torch.ones_like(ids)
    logits = call(ids, positions, prompts, mask, width - first, use_cache=False)[:, :-1]
    readings = reading(logits, ids[:, first + 1 :])
    out = []
    for row, (prompt, completion) in enumerate(rows):
        place = slice(len(prompt) - 1 - first, len(prompt) - 1 - first + len(completion))
        out.append(tuple(values[row, place].cpu().numpy() for values in readings))
    return out


def _entropy(logits_B_T_V: torch.Tensor, targets_B_T: torch.Tensor) -> tuple[torch.Tensor]:
    """Entropies [B, T], float32 one chunk of positions at a time."""
    rows, width, vocabulary = logits_B_T_V.shape
    chunk = max(1, CHUNK_LOGITS // (rows * vocabulary))
    parts = [targets_B_T.new_zeros((rows, 0)).float()]
    for first in range(0, width, chunk):
        logps = precise(logits_B_T_V[:, first : first + chunk]).log_softmax(-1)
        parts.append(-(logps.exp() * logps).sum(-1))
    return (torch.cat(parts, 1),)


def _chosen(logits_B_T_V: torch.Tensor, targets_B_T: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-probs, ranks), both [B, T]; converted to float32 one chunk of positions at a time."""
    rows, width, vocabulary = logits_B_T_V.shape
    chunk = max(1, CHUNK_LOGITS // (rows * vocabulary))
    logprobs, ranks = [], []
    for first in range(0, width, chunk):
        part = precise(logits_B_T_V[:, first : first + chunk])
        chosen = part.gather(-1, targets_B_T[:, first : first + chunk, None])
        logprobs.append(chosen[..., 0] - part.logsumexp(-1))
        ranks.append((part > chosen).sum(-1))
    if not logprobs:
        empty = targets_B_T.new_zeros((rows, 0))
        return empty.float(), empty
    return torch.cat(logprobs, 1), torch.cat(ranks, 1)
