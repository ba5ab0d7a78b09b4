"""From logits to a token and the four scalars that are kept of each step. Pure functions of [S, V] tensors.

The token is drawn by inverse CDF, in order of token ids, from one uniform number per row, so a draw depends on
its row alone. Filters keep a token by its *value* (all tokens tied with the last kept one stay), so no
result depends on how a sort breaks ties:

    x = logits / temperature;  top-k: x >= k-th largest;  top-p: x >= the value at which the mass of the
    larger ones first reaches top_p;  min-p: p >= min_p * max p

The scalars are always of the raw softmax at T=1: log-prob, p(1st) - p(2nd), negated mean log-prob of the 20
most probable tokens (DeepConf, arXiv 2508.15260), and log sum p^alpha (power sampling, arXiv 2510.14901).
"""

from __future__ import annotations

import torch

from elicit.policy.decoding import PickRule

TOP = 20
"""most probable tokens in the confidence of a step"""
PEEK = 64
"""most probable tokens that top-p looks at before it sorts all of a row"""

SCALARS = ("logprobs", "gaps", "confidences", "log_z")


def precise(logits: torch.Tensor) -> torch.Tensor:
    """float32, or float64 if the model computes in it."""
    return logits if logits.dtype == torch.float64 else logits.float()


def filtered(logits_S_V: torch.Tensor, rule: PickRule) -> torch.Tensor:
    """[S, V] log-weights of the rule (not normalised), -inf for tokens that are filtered out; temperature > 0."""
    weights = logits_S_V if rule.temperature == 1 else logits_S_V / rule.temperature
    vocabulary = weights.shape[-1]
    if 0 < rule.top_k < vocabulary:
        weights = _keep(weights, weights.topk(rule.top_k, dim=-1).values[:, -1:])
    if rule.top_p < 1:
        weights = _keep(weights, _nucleus_edge(weights, rule.top_p))
    if rule.min_p > 0:
        edge = weights.amax(-1, keepdim=True) + torch.log(torch.tensor(rule.min_p, dtype=weights.dtype))
        weights = _keep(weights, edge)
    return weights


def _keep(weights_S_V: torch.Tensor, edge_S_1: torch.Tensor) -> torch.Tensor:
    return weights_S_V.masked_fill(weights_S_V < edge_S_1, -torch.inf)


def _nucleus_edge(weights_S_V: torch.Tensor, top_p: float) -> torch.Tensor:
    """[S, 1]: the smallest log-weight of the smallest set of most probable tokens with mass >= top_p."""
    total_S_1 = weights_S_V.logsumexp(-1, keepdim=True)
    peek = min(PEEK, weights_S_V.shape[-1])
    edges_S_1, reached_S = _edge_of(weights_S_V.topk(peek, dim=-1).values, total_S_1, top_p)
    if weights_S_V.is_cuda:  # the number of rows that are left is not asked: the host would wait at every token
        whole, _ = _edge_of(weights_S_V.sort(dim=-1, descending=True).values, total_S_1, top_p)
        return torch.where(reached_S[:, None], edges_S_1, whole)
    left = (~reached_S).nonzero()[:, 0]
    if peek < weights_S_V.shape[-1] and left.numel():
        ranked = weights_S_V[left].sort(dim=-1, descending=True).values
        edges_S_1[left], _ = _edge_of(ranked, total_S_1[left], top_p)
    return edges_S_1


def _edge_of(ranked_S_K: torch.Tensor, total_S_1: torch.Tensor, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(edges [S, 1], whether the K values reach the mass [S]); the last value if rounding keeps the sum below top_p."""
    mass_S_K = (ranked_S_K - total_S_1).exp().cumsum(-1, dtype=torch.float64)
    place_S = (mass_S_K < top_p).sum(-1).clamp(max=ranked_S_K.shape[-1] - 1)
    return ranked_S_K.gather(1, place_S[:, None]), mass_S_K[:, -1] >= top_p


def draw(weights_S_V: torch.Tensor, uniforms_S: torch.Tensor) -> torch.Tensor:
    """Int64 [S]: the first token id at which the CDF (float64) exceeds the row's uniform number."""
    masses = (weights_S_V - weights_S_V.amax(-1, keepdim=True)).exp()
    cdf_S_V = masses.cumsum(-1, dtype=torch.float64)
    total_S_1 = cdf_S_V[:, -1:].contiguous()
    below = torch.nextafter(total_S_1, torch.zeros_like(total_S_1))  # a product may round up to the total
    target_S_1 = torch.minimum(uniforms_S[:, None].to(torch.float64) * total_S_1, below)
    return torch.searchsorted(cdf_S_V, target_S_1, right=True)[:, 0].clamp(max=weights_S_V.shape[-1] - 1)


def pick(logits_S_V: torch.Tensor, rule: PickRule, uniforms_S: torch.Tensor | None) -> torch.Tensor:
    """Int64 [S]: the rule's token of each row; `uniforms_S` (float64) may be None if temperature = 0."""
    if rule.temperature == 0 or uniforms_S is None:
        return logits_S_V.argmax(-1)
    return draw(filtered(logits_S_V, rule), uniforms_S)


def ranked(logits_S_V: torch.Tensor, ranks_S: torch.Tensor) -> torch.Tensor:
    """Int64 [S]: the token of the given rank (0 = most probable, ties by lowest id) of each row."""
    order = logits_S_V.sort(dim=-1, descending=True, stable=True).indices
    return order.gather(1, ranks_S[:, None])[:, 0]


def scalars(logits_S_V: torch.Tensor, tokens_S: torch.Tensor, alpha: float = 1.0) -> torch.Tensor:
    """[4, S] in the order of SCALARS, of the raw softmax; log_z is 0 if alpha = 1."""
    top_S_K = logits_S_V.topk(min(TOP, logits_S_V.shape[-1]), dim=-1).values
    total_S = logits_S_V.logsumexp(-1)
    chosen = logits_S_V.gather(1, tokens_S[:, None])[:, 0] - total_S
    peaks = (top_S_K[:, :2] - total_S[:, None]).exp()
    gaps = peaks[:, 0] - (peaks[:, 1] if peaks.shape[1] > 1 else 0)
    confidences = total_S - top_S_K.mean(-1)
    log_z = torch.zeros_like(chosen) if alpha == 1 else (logits_S_V * alpha).logsumexp(-1) - alpha * total_S
    return torch.stack((chosen, gaps, confidences, log_z))
