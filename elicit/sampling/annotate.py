"""Per-token numbers of traces that a policy wrote, under the base: one teacher-forced pass over each trace.

    base_logprobs   log p_b(y_t | x, y_<t)        base_ranks   tokens that the base finds strictly more probable
    confidences     the policy's own top-20 confidence, negated mean log-prob of its 20 most probable tokens
    certainties     the policy's own self-certainty: KL(uniform || p_m) over the full vocabulary (arXiv 2502.18581)
    kl              sum_v p_m(v) (log p_m(v) - log p_b(v)), full vocabulary, exact

Raw softmax at T=1. A policy without edits at the base's own prompt is the base: one forward pass gives all five numbers
and the KL is 0. Otherwise there are two passes, the second with weight and activation edits on. If a strategy picks
each token by one rule (a low temperature), the KL is that of the rule's distribution; a strategy that chooses among
chains has no such distribution, and the KL is that of the policy without it. Only completion positions are read, chunk
by chunk in float32, so that memory holds no second [B, T, V] tensor. What this module does not know: files, grades.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from elicit.errors import CheckpointError, ConfigError
from elicit.policy.decoding import PickRule
from elicit.sampling.likelihood import batches, score
from elicit.sampling.loop.forward import ForwardCall, Prefix, padded
from elicit.sampling.loop.pick import TOP, filtered, largest, precise

if TYPE_CHECKING:
    from elicit.policy.policy import Policy

CHUNK_LOGITS = 2**22
"""logits converted to float32 at once: few enough for the processor's cache"""


@dataclass(frozen=True)
class Trace:
    """A completion of T tokens with the prompts of the policy and of the base."""

    prompt: tuple[int, ...]
    base_prompt: tuple[int, ...]
    completion: tuple[int, ...]


@dataclass(frozen=True)
class Notes:
    """Per-token numbers of one trace, each [T]."""

    base_logprobs: np.ndarray
    base_ranks: np.ndarray
    """0 = the base's most probable token"""
    confidences: np.ndarray
    certainties: np.ndarray
    kl: np.ndarray


def annotate_traces(policy: Policy, base: Policy, traces: Sequence[Trace]) -> list[Notes]:
    """Notes of every trace, in order. Raises ConfigError on an empty prompt, CheckpointError on NaN log-probs."""
    for place, trace in enumerate(traces):
        if not trace.prompt or not trace.base_prompt:
            raise ConfigError(f"trace {place}: an empty prompt; a causal model needs at least one token (add BOS)")
    call = ForwardCall(base.checkpoint.model)
    out: list[Notes | None] = [None] * len(traces)
    with torch.no_grad():
        for batch in batches([_longest(trace) for trace in traces], int(call.config.vocab_size)):
            chosen = [traces[place] for place in batch]
            for place, notes in zip(batch, _annotate_batch(call, policy, base, chosen), strict=True):
                if np.isnan(notes.base_logprobs).any() or np.isnan(notes.kl).any():
                    raise CheckpointError(f"trace {place}: NaN log-probs; load the model in float32 or bfloat16")
                out[place] = notes
    return [notes for notes in out if notes is not None]


def edits(policy: Policy) -> list[Any]:
    """The interventions of a policy that change token distributions."""
    return [intervention for intervention in policy.interventions if intervention.kind != "decoding"]


def prompt_nll(base: Policy, prompts: Sequence[tuple[int, ...]]) -> list[float]:
    """Mean NLL per token of each prompt under the base, given its first token; nan for a prompt of one token."""
    scored = score(base.checkpoint.model, [((ids[0],), ids[1:]) for ids in prompts])
    return [float(-one.logprobs.mean()) if len(one.logprobs) else float("nan") for one in scored]


def chain_logprobs(base: Policy, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[float]:
    """log p_b of each whole (prompt, completion)."""
    return [float(one.logprobs.sum()) for one in score(base.checkpoint.model, pairs)]


def token_rule(policy: Policy) -> PickRule | None:
    """The rule that each token is picked by: T=1 without a strategy, None if completions are chosen."""
    return PickRule() if policy.strategy is None else policy.strategy.token_rule


def independent_chains(policy: Policy) -> bool:
    """Whether a strategy's chains are independent draws of the base at T=1: no edit, no forced start, no truncation."""
    strategy = policy.strategy
    if strategy is None or strategy.adaptive or edits(policy):
        return False
    return strategy.chain_rule == PickRule()


def _longest(trace: Trace) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return max(trace.prompt, trace.base_prompt, key=len), trace.completion


def _annotate_batch(call: ForwardCall, policy: Policy, base: Policy, traces: Sequence[Trace]) -> list[Notes]:
    model, training = base.checkpoint.model, base.checkpoint.model.training
    model.eval()
    try:
        with base.applied():
            of_base = _logits(call, [(trace.base_prompt, trace.completion) for trace in traces])
        of_policy = None
        if edits(policy) or any(trace.prompt != trace.base_prompt for trace in traces):
            with policy.applied():
                of_policy = _logits(call, [(trace.prompt, trace.completion) for trace in traces])
    finally:
        model.train(training)
    targets = torch.tensor([token for trace in traces for token in trace.completion], device=call.device)
    numbers_C_K = _numbers(of_base, of_policy, targets, token_rule(policy) or PickRule()).cpu().numpy()
    ends = np.cumsum([len(trace.completion) for trace in traces])[:-1]
    return [
        Notes(part[0], part[1].astype(np.int64), part[2], part[3], part[4])
        for part in np.split(numbers_C_K, ends, axis=1)
    ]


@dataclass(frozen=True)
class _Logits:
    """Logits of a batch, and the positions in them that predict the K completion tokens of all rows."""

    logits_B_T_V: torch.Tensor
    rows_K: torch.Tensor
    columns_K: torch.Tensor

    def part(self, first: int, end: int) -> torch.Tensor:
        """float32 [k, V]."""
        return precise(self.logits_B_T_V[self.rows_K[first:end], self.columns_K[first:end]])


def _logits(call: ForwardCall, rows: Sequence[Prefix]) -> _Logits:
    ids, positions, prompts = padded(call, rows)
    first = int(prompts.min()) - 1
    logits = call(ids, positions, prompts, torch.ones_like(ids), ids.shape[1] - first, use_cache=False)
    lengths = np.array([len(completion) for _, completion in rows])
    row_K = np.repeat(np.arange(len(rows)), lengths)
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    column_K = np.array([len(prompt) - 1 - first for prompt, _ in rows])[row_K] + within
    return _Logits(logits, *(torch.from_numpy(index).to(call.device) for index in (row_K, column_K)))


def _numbers(base: _Logits, policy: _Logits | None, targets_K: torch.Tensor, rule: PickRule) -> torch.Tensor:
    """[5, K]: log-prob, rank, top-20 confidence, self-certainty, KL."""
    total, vocabulary = len(targets_K), base.logits_B_T_V.shape[-1]
    chunk = max(1, CHUNK_LOGITS // vocabulary)
    plain, parts = rule == PickRule(), []
    for first in range(0, total, chunk):
        end = min(first + chunk, total)
        part = base.part(first, end)
        mass = part.logsumexp(-1)
        target = part.gather(1, targets_K[first:end, None])
        own = part if policy is None else policy.part(first, end)
        own_mass = mass if policy is None else own.logsumexp(-1)
        sure = own_mass - largest(own, TOP)[0].mean(-1)
        certain = own_mass - own.mean(-1) - math.log(vocabulary)
        if policy is None and plain:
            kl = torch.zeros_like(mass)
        else:
            weights = own if plain else picked(own, rule)
            kl = _divergence(weights, own_mass if plain else weights.logsumexp(-1), part, mass)
        parts.append(torch.stack((target[:, 0] - mass, (part > target).sum(-1).to(mass.dtype), sure, certain, kl)))
    return torch.cat(parts, 1) if parts else precise(base.logits_B_T_V).new_zeros((5, 0))


def picked(logits_K_V: torch.Tensor, rule: PickRule) -> torch.Tensor:
    """Log-weights of a rule's distribution; greedy is all mass on the most probable token."""
    if rule.temperature == 0:
        top = logits_K_V.argmax(-1, keepdim=True)
        return torch.full_like(logits_K_V, -torch.inf).scatter_(1, top, 0.0)
    return filtered(logits_K_V, rule)


def _divergence(own: torch.Tensor, own_mass: torch.Tensor, part: torch.Tensor, mass: torch.Tensor) -> torch.Tensor:
    """KL(own || part) of each row of logits; a token that `own` gives no mass adds nothing."""
    logs = own - own_mass[:, None]
    probabilities = logs.exp()
    difference = torch.where(probabilities > 0, logs - (part - mass[:, None]), torch.zeros_like(logs))
    return (probabilities * difference).sum(-1).clamp(min=0)
