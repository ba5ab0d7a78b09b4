"""Sentence importance inside the model: the attention of later tokens to a sentence, and their change without it.

    attention     mean weight that the tokens after a sentence give to its tokens, over layers and heads
    suppression   mean KL(p || p without) of the tokens after it, if none of them may attend to it

(arXiv 2506.19143; without its selection of receiver heads: all heads count equally.) One forward pass with attention
weights for the first, one pass per sentence for the second, masks as [B, 1, T, T]. Weight and activation edits of the
policy are on. Models that build their masks in another way (sliding windows, ALiBi, recurrent ones) are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from elicit.errors import ConfigError
from elicit.policy.positions import forward_positions
from elicit.sampling.loop.forward import ready_mask
from elicit.sampling.loop.pick import precise

if TYPE_CHECKING:
    from elicit.policy.policy import Policy

Span = tuple[int, int]
"""first token of a sentence and the one after its last, counted in the completion"""


@dataclass(frozen=True)
class Looked:
    """One sentence; None if no token follows it."""

    attention: float | None
    suppression: float | None


def look(policy: Policy, prompt: Sequence[int], completion: Sequence[int], spans: Sequence[Span]) -> list[Looked]:
    """Both measures of every sentence. Raises ConfigError if the model does not take a mask."""
    model, ids = policy.checkpoint.model, [*prompt, *completion]
    if not ready_mask(model, len(ids)):
        raise ConfigError(
            f"{type(model).__name__}: its attention mask can't be given; use importance by resampling only"
        )
    shifted = [(len(prompt) + first, len(prompt) + end) for first, end in spans]
    with torch.no_grad(), policy.applied():
        with _eager(model):
            weights_T_T = _weights(model, ids, len(prompt))
        plain = _log_probs(model, ids, len(prompt), None)
        return [
            Looked(
                float(weights_T_T[end:, first:end].sum(1).mean()) if 0 < end < len(ids) else None,
                _lost(model, ids, len(prompt), plain, (first, end)) if end < len(ids) else None,
            )
            for first, end in shifted
        ]


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    """The model with an attention that returns its weights."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _weights(model: Any, ids: Sequence[int], prompt: int) -> torch.Tensor:
    """Attention [T, T], mean over layers and heads."""
    positions = torch.arange(len(ids))[None]
    with forward_positions(positions, torch.tensor([prompt])):
        out = model(input_ids=torch.tensor([ids], device=model.device), output_attentions=True, use_cache=False)
    return torch.stack([layer[0].mean(0) for layer in out.attentions]).mean(0).float().cpu()


def _log_probs(model: Any, ids: Sequence[int], prompt: int, hidden: Span | None) -> torch.Tensor:
    """[T, V] log-probs; with `hidden`, no token after that span may attend to it."""
    size = len(ids)
    mask = torch.ones((size, size), dtype=torch.bool, device=model.device).tril()
    if hidden is not None:
        mask[hidden[1] :, hidden[0] : hidden[1]] = False
    floor = torch.finfo(model.dtype).min
    given = torch.zeros((1, 1, size, size), dtype=model.dtype, device=model.device).masked_fill(~mask, floor)
    positions = torch.arange(size)[None]
    with forward_positions(positions, torch.tensor([prompt])):
        out = model(
            input_ids=torch.tensor([ids], device=model.device), attention_mask=given,
            position_ids=positions.to(model.device), use_cache=False,
        )  # fmt: skip
    return precise(out.logits[0]).log_softmax(-1)


def _lost(model: Any, ids: Sequence[int], prompt: int, plain: torch.Tensor, span: Span) -> float:
    """Mean KL of the distributions at the end of the span and after it."""
    without = _log_probs(model, ids, prompt, span)[span[1] :]
    kept = plain[span[1] :]
    return float((kept.exp() * (kept - without)).sum(-1).clamp(min=0).mean())
