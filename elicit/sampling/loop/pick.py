"""From logits to a token and the five scalars that are kept of each step. Pure functions of [S, V] tensors.

The token is drawn by inverse CDF, in order of token ids, from one uniform number per row, so a draw depends on
its row alone. Filters keep a token by its *value* (all tokens tied with the last kept one stay), so no
result depends on how a sort breaks ties:

    x = logits / temperature;  top-k: x >= k-th largest;  top-p: x >= the value at which the mass of the
    larger ones first reaches top_p;  min-p: p >= min_p * max p

The scalars are always of the raw softmax at T=1: log-prob, p(1st) - p(2nd), negated mean log-prob of the 20
most probable tokens (top-20 confidence, DeepConf, arXiv 2508.15260), log sum p^alpha (power sampling, arXiv
2510.14901), and the self-certainty of the step over the full vocabulary V (arXiv 2502.18581):

    KL(uniform || p) = -log V - mean_v log p_v

A large vocabulary decides the cost, so `choose` reads few rows at a time (they stay in the processor's cache) and
each of them as rarely as it can:

    most probable tokens   the K largest values lie in the K blocks with the largest maxima: only those are sorted.
                           Gaps, confidences, top-k, top-p and min-p read them; a row whose filter keeps more
                           than `PEEKS` tokens is filtered over its full width
    inverse CDF            masses are summed in float64 by blocks; the search runs over the sums, then in one block
"""

from __future__ import annotations

import math

import torch

from elicit.policy.decoding import PickRule

TOP = 20
"""most probable tokens in the confidence of a step"""
PEEKS = (64, 1024)
"""most probable tokens that a filter looks at, first of all rows, then of those that keep more"""
NARROW, WIDE = 64, 512
"""tokens of a block, for the largest values and for the sums of masses"""
CHUNK = {"cpu": 2**20}
"""logits that `choose` reads at once, by kind of device; other kinds: 2**28"""

SCALARS = ("logprobs", "gaps", "confidences", "log_z", "certainties")


def precise(logits: torch.Tensor) -> torch.Tensor:
    """float32, or float64 if the model computes in it."""
    return logits if logits.dtype == torch.float64 else logits.float()


def choose(
    logits_S_V: torch.Tensor, rule: PickRule, uniforms_S: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """(int64 [S]: the rule's token of each row, [C, S]: its scalars in the order of SCALARS).

    `uniforms_S` (float64) may be None if temperature = 0.
    """
    size = max(1, CHUNK.get(logits_S_V.device.type, 2**28) // logits_S_V.shape[1])
    if logits_S_V.shape[0] > size:
        parts = logits_S_V.split(size)
        numbers = [None] * len(parts) if uniforms_S is None else uniforms_S.split(size)
        done = [choose(part, rule, one) for part, one in zip(parts, numbers, strict=True)]
        return torch.cat([tokens for tokens, _ in done]), torch.cat([values for _, values in done], 1)
    # 1) one sorted pass serves the scalars and the filters
    filters = rule.temperature > 0 and (rule.top_k > 0 or rule.top_p < 1 or rule.min_p > 0)
    top_S_K, ids_S_K = largest(logits_S_V, max(PEEKS[0], rule.top_k + 1) if filters else TOP)
    masses_S_V = (logits_S_V - top_S_K[:, :1]).exp_()
    sums_S_N = _sums(masses_S_V)
    # 2) the token
    if rule.temperature == 0 or uniforms_S is None:
        tokens_S = logits_S_V.argmax(-1)
    elif filters:
        tokens_S = _filtered_draw(logits_S_V, rule, uniforms_S, top_S_K, ids_S_K, sums_S_N)
    else:
        tempered = (masses_S_V, sums_S_N) if rule.temperature == 1 else _masses(logits_S_V, rule.temperature)
        tokens_S = _inverse_cdf(*tempered, uniforms_S)
    # 3) the scalars
    total_S = top_S_K[:, 0] + sums_S_N.sum(-1).log().to(logits_S_V.dtype)
    return tokens_S, _scalars(logits_S_V, tokens_S, top_S_K, total_S, rule.alpha)


def scalars(logits_S_V: torch.Tensor, tokens_S: torch.Tensor, alpha: float = 1.0) -> torch.Tensor:
    """[C, S]: the scalars of given tokens, in the order of SCALARS."""
    size = max(1, CHUNK.get(logits_S_V.device.type, 2**28) // logits_S_V.shape[1])
    parts = []
    for logits, tokens in zip(logits_S_V.split(size), tokens_S.split(size), strict=True):
        top, _ = largest(logits, TOP)
        total = top[:, 0] + _sums((logits - top[:, :1]).exp_()).sum(-1).log().to(logits.dtype)
        parts.append(_scalars(logits, tokens, top, total, alpha))
    return torch.cat(parts, 1)


def _scalars(
    logits_S_V: torch.Tensor, tokens_S: torch.Tensor, top_S_K: torch.Tensor, total_S: torch.Tensor, alpha: float
) -> torch.Tensor:
    """`total_S`: log of the sum of exp(logits)."""
    chosen = logits_S_V.gather(1, tokens_S[:, None])[:, 0] - total_S
    peaks = (top_S_K[:, :2] - total_S[:, None]).exp()
    gaps = peaks[:, 0] - (peaks[:, 1] if peaks.shape[1] > 1 else 0)
    confidences = total_S - top_S_K[:, :TOP].mean(-1)
    certainties = total_S - logits_S_V.mean(-1) - math.log(logits_S_V.shape[1])
    log_z = torch.zeros_like(chosen) if alpha == 1 else (logits_S_V * alpha).logsumexp(-1) - alpha * total_S
    return torch.stack((chosen, gaps, confidences, log_z, certainties))


def largest(values_S_V: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(values, ids), [S, K] each: the K = min(count, V) largest of each row, descending; ties in any order.

    Blocks whose maximum is not among the K largest maxima hold no value above the K-th largest, so only K blocks
    are sorted.
    """
    vocabulary = values_S_V.shape[1]
    blocks = -(-vocabulary // NARROW)
    if blocks < 2 * count:
        return values_S_V.topk(min(count, vocabulary), dim=-1)
    full = vocabulary // NARROW
    peaks_S_N = values_S_V[:, : full * NARROW].unflatten(1, (full, NARROW)).amax(-1)
    if full < blocks:
        peaks_S_N = torch.cat((peaks_S_N, values_S_V[:, full * NARROW :].amax(-1, keepdim=True)), 1)
    chosen_S_K = peaks_S_N.topk(count, dim=-1, sorted=False).indices
    ids = (chosen_S_K[:, :, None] * NARROW + torch.arange(NARROW, device=values_S_V.device)).flatten(1)
    candidates = values_S_V.gather(1, ids.clamp(max=vocabulary - 1))
    if full < blocks:
        candidates = candidates.masked_fill_(ids >= vocabulary, -torch.inf)
    top_S_K, places = candidates.topk(count, dim=-1)
    return top_S_K, ids.gather(1, places).clamp_(max=vocabulary - 1)


def _masses(logits_S_V: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(exp of the tempered logits, relative to the largest; their sums by blocks)."""
    weights_S_V = logits_S_V if temperature == 1 else logits_S_V / temperature
    masses_S_V = (weights_S_V - weights_S_V.amax(-1, keepdim=True)).exp_()
    return masses_S_V, _sums(masses_S_V)


def _sums(masses_S_V: torch.Tensor) -> torch.Tensor:
    """Float64 [S, N]: sums of blocks of WIDE tokens; the last one may be shorter."""
    vocabulary = masses_S_V.shape[1]
    full = vocabulary // WIDE
    sums_S_N = masses_S_V[:, : full * WIDE].unflatten(1, (full, WIDE)).sum(-1, dtype=torch.float64)
    if full * WIDE == vocabulary:
        return sums_S_N
    rest = masses_S_V[:, full * WIDE :].sum(-1, keepdim=True, dtype=torch.float64)
    return torch.cat((sums_S_N, rest), 1) if full else rest


def _inverse_cdf(masses_S_V: torch.Tensor, sums_S_N: torch.Tensor, uniforms_S: torch.Tensor) -> torch.Tensor:
    """Int64 [S]: the first token id at which the CDF (float64) exceeds the row's uniform number."""
    vocabulary, blocks = masses_S_V.shape[1], sums_S_N.shape[1]
    # 1) the block: over one block, the CDF of its tokens says all
    cdf_S_N = masses_S_V.cumsum(-1, dtype=torch.float64) if blocks == 1 else sums_S_N.cumsum(-1)
    total_S_1 = cdf_S_N[:, -1:].contiguous()
    below = torch.nextafter(total_S_1, torch.zeros_like(total_S_1))  # a product may round up to the total
    target_S_1 = torch.minimum(uniforms_S[:, None].to(torch.float64) * total_S_1, below)
    place_S_1 = torch.searchsorted(cdf_S_N, target_S_1, right=True).clamp_(max=cdf_S_N.shape[1] - 1)
    if blocks == 1:
        return place_S_1[:, 0]
    # 2) the token in the block; if rounding keeps the sum of the block below the target, its last token with a mass
    ids = place_S_1 * WIDE + torch.arange(WIDE, device=masses_S_V.device)
    inside = masses_S_V.gather(1, ids.clamp(max=vocabulary - 1)).masked_fill_(ids >= vocabulary, 0.0)
    before_S_1 = torch.where(place_S_1 > 0, cdf_S_N.gather(1, (place_S_1 - 1).clamp_(min=0)), 0.0)
    first_S_1 = torch.searchsorted(before_S_1 + inside.cumsum(-1, dtype=torch.float64), target_S_1, right=True)
    last_S_1 = WIDE - 1 - (inside > 0).flip(1).to(torch.uint8).argmax(-1, keepdim=True)
    return ids.gather(1, torch.minimum(first_S_1, last_S_1))[:, 0].clamp_(max=vocabulary - 1)


def _filtered_draw(
    logits_S_V: torch.Tensor,
    rule: PickRule,
    uniforms_S: torch.Tensor,
    top_S_K: torch.Tensor,
    ids_S_K: torch.Tensor,
    sums_S_N: torch.Tensor,
) -> torch.Tensor:
    """Int64 [S]: draws from the most probable tokens alone where these hold all that the filter keeps.

    `top_S_K`, `ids_S_K`: the most probable tokens; `sums_S_N`: sums of the raw masses by blocks.
    """
    vocabulary, width = logits_S_V.shape[1], top_S_K.shape[1]
    # 1) cut the most probable tokens by the rule; top-p needs the mass of all tokens that top-k left
    weights_S_K = top_S_K / rule.temperature
    masses_S_K = (weights_S_K - weights_S_K[:, :1]).exp()
    edge_S_1 = torch.full_like(weights_S_K[:, :1], -torch.inf)
    tied_S = torch.zeros_like(edge_S_1[:, 0], dtype=torch.bool)
    if 0 < rule.top_k < vocabulary:
        edge_S_1 = weights_S_K[:, rule.top_k - 1 : rule.top_k]
        tied_S = weights_S_K[:, -1] >= edge_S_1[:, 0]  # and more of them may be elsewhere
    if rule.top_p < 1:
        if 0 < rule.top_k < vocabulary:
            total_S_1 = masses_S_K.masked_fill(weights_S_K < edge_S_1, 0.0).sum(-1, keepdim=True, dtype=torch.float64)
        else:
            sums = sums_S_N if rule.temperature == 1 else _masses(logits_S_V, rule.temperature)[1]
            total_S_1 = sums.sum(-1, keepdim=True)
        reached_S_K = masses_S_K.cumsum(-1, dtype=torch.float64) >= rule.top_p * total_S_1
        place_S_1 = (~reached_S_K).sum(-1, keepdim=True)
        mass_edge = weights_S_K.gather(1, place_S_1.clamp(max=width - 1))
        edge_S_1 = torch.maximum(edge_S_1, mass_edge.masked_fill(place_S_1 == width, -torch.inf))
    if rule.min_p > 0:
        edge_S_1 = torch.maximum(edge_S_1, weights_S_K[:, :1] + math.log(rule.min_p))
    # 2) draw by inverse CDF in order of token ids
    order = ids_S_K.argsort(-1)
    kept = masses_S_K.masked_fill(weights_S_K < edge_S_1, 0.0).gather(1, order)
    place_S = _inverse_cdf(kept, _sums(kept), uniforms_S)
    tokens_S = ids_S_K.gather(1, order.gather(1, place_S[:, None]))[:, 0]
    # 3) a row whose last candidate is kept may have more of them: look further, at last at all tokens
    left = ((weights_S_K[:, -1] >= edge_S_1[:, 0]) | tied_S).nonzero()[:, 0]
    if width < vocabulary and left.numel():
        rest = logits_S_V[left]
        if width < PEEKS[1] < vocabulary:
            more = largest(rest, PEEKS[1])
            tokens_S[left] = _filtered_draw(rest, rule, uniforms_S[left], *more, sums_S_N[left])
        else:
            tokens_S[left] = draw(filtered(rest, rule), uniforms_S[left])
    return tokens_S


def filtered(logits_S_V: torch.Tensor, rule: PickRule) -> torch.Tensor:
    """[S, V] log-weights of the rule (not normalised), -inf for tokens that are filtered out; temperature > 0."""
    weights = logits_S_V if rule.temperature == 1 else logits_S_V / rule.temperature
    vocabulary = weights.shape[-1]
    if 0 < rule.top_k < vocabulary:
        weights = _keep(weights, weights.topk(rule.top_k, dim=-1).values[:, -1:])
    if rule.top_p < 1:
        ranked_S_V = weights.sort(dim=-1, descending=True).values
        masses_S_V = (ranked_S_V - ranked_S_V[:, :1]).exp().cumsum(-1, dtype=torch.float64)
        place_S_1 = (masses_S_V < rule.top_p * masses_S_V[:, -1:]).sum(-1, keepdim=True)
        weights = _keep(weights, ranked_S_V.gather(1, place_S_1.clamp(max=vocabulary - 1)))
    if rule.min_p > 0:
        weights = _keep(weights, weights.amax(-1, keepdim=True) + math.log(rule.min_p))
    return weights


def _keep(weights_S_V: torch.Tensor, edge_S_1: torch.Tensor) -> torch.Tensor:
    return weights_S_V.masked_fill(weights_S_V < edge_S_1, -torch.inf)


def draw(weights_S_V: torch.Tensor, uniforms_S: torch.Tensor) -> torch.Tensor:
    """Int64 [S]: the token of each row of log-weights by inverse CDF; -inf is never drawn."""
    return _inverse_cdf(*_masses(weights_S_V, 1.0), uniforms_S)


def ranked(logits_S_V: torch.Tensor, ranks_S: torch.Tensor) -> torch.Tensor:
    """Int64 [S]: the token of the given rank (0 = most probable, ties by lowest id) of each row."""
    order = logits_S_V.sort(dim=-1, descending=True, stable=True).indices
    return order.gather(1, ranks_S[:, None])[:, 0]
