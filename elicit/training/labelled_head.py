"""TRL's fused head on the labelled tokens only.

TRL computes log-probs without the logits of a whole batch, but where it has no Triton it still multiplies every
position by the vocabulary, prompts included. With a vocabulary of 262 k that is more work than all blocks of a small
model: a few-shot prompt has ten times the tokens of its completion. Here the decoder's output is cut down to the tokens
whose next one has a label before TRL sees it, and what TRL returns is put back to its places. Gradients are the same up
to rounding. Used by both trainers; knows nothing of their losses.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from types import MethodType
from typing import Any

import torch

from elicit.policy.layers import text_config

WORTH = 2**26
"""products of unlabelled tokens with the vocabulary from which cutting down pays; below, TRL's own path is taken"""


def head_of_labelled_tokens(model: Any) -> None:
    """Wraps the forward that TRL has given `model`; `restore.restored` undoes it together with TRL's own patch."""
    inner = model.forward
    vocabulary = int(text_config(model).vocab_size)

    @functools.wraps(inner)
    def forward(
        self: Any, *args: Any, labels: torch.Tensor | None = None, fused_lm_head: bool = False, **others: Any
    ) -> Any:
        mask_B_T = labels[:, 1:] != -100 if labels is not None else torch.zeros(0, dtype=torch.bool)
        count = int(mask_B_T.sum())
        if not fused_lm_head or labels is None or not count or (mask_B_T.numel() - count) * vocabulary < WORTH:
            return inner(*args, labels=labels, fused_lm_head=fused_lm_head, **others)
        with decoder_cut_to(self.base_model, *mask_B_T.nonzero(as_tuple=True)):
            out = inner(*args, shift_labels=labels[:, 1:][mask_B_T][None], fused_lm_head=True, **others)
        whole = {
            field.name: value.new_zeros(mask_B_T.shape).masked_scatter(mask_B_T.to(value.device), value)
            for field in fields(out)
            if torch.is_tensor(value := getattr(out, field.name)) and value.shape == (1, count)
        }
        return replace(out, **{**whole, "label_mask": mask_B_T})

    model.forward = MethodType(forward, model)


@contextmanager
def decoder_cut_to(decoder: Any, rows_K: torch.Tensor, columns_K: torch.Tensor) -> Iterator[None]:
    """Inside, the last hidden state [B, T, D] of the decoder is that of the given tokens, [1, K, D]; with repeats."""

    def cut(_: Any, inputs: Any, output: Any) -> Any:
        hidden_B_T_D = output.last_hidden_state
        output.last_hidden_state = hidden_B_T_D[rows_K.to(hidden_B_T_D.device), columns_K.to(hidden_B_T_D.device)][None]
        return output

    handle = decoder.register_forward_hook(cut)
    try:
        yield
    finally:
        handle.remove()
