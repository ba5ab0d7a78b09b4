"""How a feature changes the model's output when it is written: causal scores, batched over features.

Written once, at the last prompt token of an item, at a probing strength:

    output_score   max over the feature's logit-lens tokens of p_steered (1 - rank_steered / V), minus the same
                   unsteered: does writing it promote its tokens?             (after Arad et al., arXiv 2505.20063)
    confidence     token confidence steered - unsteered, the negated mean log-prob of the 20 most probable next tokens
                   (arXiv 2508.15260): does the next-token distribution move?  (after Wang et al., arXiv 2510.03659)
    preference     shift of log p(positive own sample) - log p(negative one of the same item), teacher-forced

The first two are our reading of the criteria of their papers, restated in the tests. Only the last prompt token and
what follows it are computed per feature. The prompt before it is computed once and its keys and values are shared, so
F features cost one pass of F short rows; if nothing follows, one row of F tokens that do not see each other.
F features, P items, T tokens, V vocabulary, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from elicit.lazy import no_grad
from elicit.policy.layers import changing_outputs, text_config, unembedding
from elicit.sampling.loop.forward import ForwardCall, can_cache, ready_mask
from elicit.sampling.loop.pick import TOP, precise

if TYPE_CHECKING:
    from transformers.cache_utils import DynamicCache

    from elicit.policy.policy import Policy

FEATURE_TOKENS = 16384
"""features x tokens in one pass"""
FEATURE_LOGITS = 2**27
"""features x tokens x vocabulary scored at once"""
TOKENS = 256
"""features as tokens of one row; attention is quadratic in it"""
LENS = 10
"""logit-lens tokens of a feature"""


@dataclass(frozen=True)
class CausalProbe:
    """One item to write on: its prompt, and own completions of both sides."""

    prompt_ids: tuple[int, ...]
    positive_ids: tuple[int, ...]
    negative_ids: tuple[int, ...]


@no_grad
def steered_logits(
    policy: Policy, prompt_ids: Sequence[int], after_ids: Sequence[int], layer: int, vectors_F_D: torch.Tensor
) -> torch.Tensor:
    """Logits [F, 1 + len(after), V] from the last prompt token on, vectors_F_D[f] added to it in row f.

    Uncached models compute the whole row for every feature.
    """
    call = ForwardCall(policy.checkpoint.model)
    cached = can_cache(policy.checkpoint.model) and len(prompt_ids) > 1
    start = len(prompt_ids) - 1 if cached else 0
    tail = [*prompt_ids[start:], *after_ids]
    positions = torch.arange(start, start + len(tail))
    place = len(prompt_ids) - 1 - start
    parts = []
    with policy.applied():
        prefix = _prefix(call, prompt_ids[:start]) if cached else None
        if prefix is not None and not after_ids and ready_mask(policy.checkpoint.model, len(prompt_ids)):
            some = vectors_F_D.split(TOKENS)
            return torch.cat([_as_tokens(policy, call, prefix, prompt_ids, layer, vectors) for vectors in some])
        for vectors in vectors_F_D.split(max(1, FEATURE_TOKENS // len(tail))):
            rows = len(vectors)

            def write(hidden: torch.Tensor, vectors: torch.Tensor = vectors) -> torch.Tensor:
                out = hidden.clone()
                out[:, place] += vectors.to(hidden.device, hidden.dtype)
                return out

            more: dict[str, Any] = {}
            if prefix is not None:
                cache = copy.deepcopy(prefix)
                cache.batch_repeat_interleave(rows)
                more = {"past_key_values": cache, "cache_position": positions.to(call.device)}
            ids = torch.tensor([tail], device=call.device).expand(rows, -1)
            mask = torch.ones((rows, len(prompt_ids) + len(after_ids)), dtype=torch.long, device=call.device)
            lengths = torch.full((rows,), len(prompt_ids))
            with changing_outputs(policy.checkpoint.model, {layer: write}):
                logits = call(ids, positions.expand(rows, -1), lengths, mask, use_cache=cached, **more)
            parts.append(precise(logits[:, place:]))
    return torch.cat(parts)


def _as_tokens(
    policy: Policy, call: ForwardCall, prefix: DynamicCache, prompt_ids: Sequence[int], layer: int,
    vectors_n_D: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Logits [n, 1, V]: n copies of the last prompt token in one row, each seeing the prefix and itself alone."""
    count, seen, dtype = len(vectors_n_D), len(prompt_ids) - 1, policy.checkpoint.dtype
    mask = torch.full((count, seen + count), torch.finfo(dtype).min, dtype=dtype, device=call.device)
    mask[:, :seen] = 0
    mask[:, seen:].fill_diagonal_(0)

    def write(hidden_1_n_D: torch.Tensor) -> torch.Tensor:
        return hidden_1_n_D + vectors_n_D.to(hidden_1_n_D.device, hidden_1_n_D.dtype)

    ids = torch.full((1, count), prompt_ids[-1], device=call.device)
    with changing_outputs(policy.checkpoint.model, {layer: write}):
        logits = call(
            ids, torch.full((1, count), seen), torch.tensor([seen + 1]), mask[None, None], use_cache=True,
            past_key_values=copy.deepcopy(prefix), cache_position=torch.arange(seen, seen + count, device=call.device),
        )  # fmt: skip
    return precise(logits[0])[:, None]


def _prefix(call: ForwardCall, ids: Sequence[int]) -> DynamicCache:
    from transformers.cache_utils import DynamicCache

    cache = DynamicCache()
    row = torch.tensor([list(ids)], device=call.device)
    call(row, torch.arange(len(ids))[None], torch.tensor([len(ids) + 1]), torch.ones_like(row), 1,
         past_key_values=cache, use_cache=True)  # fmt: skip
    return cache


def lens_tokens(policy: Policy, directions_F_D: torch.Tensor, top: int = LENS) -> torch.Tensor:
    """The `top` token ids [F, top] that each direction raises most, read through the unembedding."""
    weight = unembedding(policy.checkpoint.model).detach()
    scores = directions_F_D.to(weight.device, weight.dtype) @ weight.T
    return scores.topk(min(top, scores.shape[-1]), dim=-1).indices.cpu()


def causal_scores(
    policy: Policy, probes: Sequence[CausalProbe], layer: int, vectors_F_D: torch.Tensor
) -> dict[str, torch.Tensor]:
    """output_score, confidence and preference [F], means over the probes."""
    lens_F_K = lens_tokens(policy, vectors_F_D)
    vocabulary = int(text_config(policy.checkpoint.model).vocab_size)
    nothing = torch.zeros(1, vectors_F_D.shape[1])
    sums = {name: torch.zeros(len(vectors_F_D)) for name in ("output_score", "confidence", "preference")}
    for probe in probes:
        for side, ids in ((1, probe.positive_ids), (-1, probe.negative_ids)):
            base = steered_logits(policy, probe.prompt_ids, ids[:-1], layer, nothing).cpu()
            for some in torch.arange(len(vectors_F_D)).split(max(1, FEATURE_LOGITS // (vocabulary * len(ids)))):
                steered = steered_logits(policy, probe.prompt_ids, ids[:-1], layer, vectors_F_D[some]).cpu()
                sums["preference"][some] += side * (_logprob(steered, ids) - _logprob(base, ids))
                if side == 1:
                    promoted = _promoted(steered[:, 0], lens_F_K[some])
                    sums["output_score"][some] += promoted - _promoted(base[:, 0].expand(len(some), -1), lens_F_K[some])
                    sums["confidence"][some] += _confidence(steered[:, 0]) - _confidence(base[:, 0])
    return {name: value / max(len(probes), 1) for name, value in sums.items()}


def _logprob(logits_F_T_V: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
    """log p [F] of a completion."""
    tokens = torch.tensor(list(ids)).expand(len(logits_F_T_V), -1)[..., None]
    return logits_F_T_V.log_softmax(-1).gather(-1, tokens).sum((1, 2)).float()


def _promoted(logits_F_V: torch.Tensor, lens_F_K: torch.Tensor) -> torch.Tensor:
    """max over the lens tokens of p (1 - rank / V) [F]; rank 0 is the most probable token."""
    p_F_V = logits_F_V.softmax(-1)
    p_F_K = p_F_V.gather(1, lens_F_K)
    rank_F_K = (p_F_V[:, None, :] > p_F_K[..., None]).sum(-1)
    return (p_F_K * (1 - rank_F_K / logits_F_V.shape[-1])).amax(-1).float()


def _confidence(logits_F_V: torch.Tensor) -> torch.Tensor:
    top = min(TOP, logits_F_V.shape[-1])
    return -logits_F_V.log_softmax(-1).topk(top, dim=-1).values.mean(-1).float()
