"""Completions of one prompt in one row of the training pass, so that the prompt is computed once.

    tokens      x_1 ... x_P | y^1_1 ... y^1_C1 | y^2_1 ... y^2_C2 | ...
    positions   0 ... P-1   | P ... P+C1-1     | P ... P+C2-1     | ...
    a token sees the tokens of x and of its own y that are not after it

Exact for a causal model, gradients included (Prefix Grouper, arXiv 2506.05433). A group's rollouts share their prompt,
and a few-shot prompt has ten times the tokens of its completions. Knows nothing of losses or trained parameters. P
prompt tokens, n completions, T tokens of the row, K completion tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from elicit.policy.layers import text_config
from elicit.policy.positions import forward_positions
from elicit.training.labelled_head import decoder_cut_to

WORTH = 1024
"""prompt tokens that a row has to save"""


def shared_rows(prompts: Sequence[Sequence[int]], completions: Sequence[int]) -> list[list[int]]:
    """Sets of rollouts for one row each: the same prompt, completions of at most P tokens together (attention over a
    row is quadratic), and at least `WORTH` prompt tokens saved. `completions`: their lengths.

    >>> shared_rows([[1] * 600, [2] * 600, [1] * 600, [1] * 600, [1] * 600], [200] * 5)
    [[0, 2, 3]]
    """
    open_sets: dict[tuple[int, ...], list[int]] = {}
    sets: list[list[int]] = []
    for row, prompt in enumerate(map(tuple, prompts)):
        now = open_sets.get(prompt)
        if now is None or sum(completions[other] for other in [*now, row]) > len(prompt):
            now = open_sets[prompt] = []
            sets.append(now)
        now.append(row)
    return [rows for rows in sets if (len(rows) - 1) * len(prompts[rows[0]]) >= WORTH]


def shared_pass(
    model: Any, prompt: torch.Tensor, completions: Sequence[torch.Tensor]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(log-probs, entropies) [C] of each completion, by one row; `model` has TRL's fused head."""
    device, start = prompt.device, len(prompt)
    lengths = torch.tensor([len(completion) for completion in completions])
    # 1) the row, and which of its tokens sees which
    ids_1_T = torch.cat([prompt, *completions])[None]
    within = torch.cat([torch.arange(int(length)) for length in lengths])
    positions_T = torch.cat([torch.arange(start), start + within])
    member_T = torch.cat([torch.full((start,), -1), torch.arange(len(lengths)).repeat_interleave(lengths)])
    own_T_T = (member_T[:, None] == member_T) | (member_T == -1)
    sees_T_T = own_T_T & torch.ones_like(own_T_T).tril()
    mask = sees_T_T.to(device)
    if text_config(model)._attn_implementation == "eager":  # which adds its mask to the scores
        mask = torch.zeros(mask.shape, dtype=model.dtype, device=device).masked_fill(
            ~mask, torch.finfo(model.dtype).min
        )
    # 2) the tokens that predict: the last of the prompt for every first token, else the token before
    ends = start + lengths.cumsum(0)
    columns_K = torch.cat(
        [torch.cat([torch.tensor([start - 1]), torch.arange(int(end - length), int(end) - 1)])
         for end, length in zip(ends, lengths, strict=True)]
    )  # fmt: skip
    # 3) one pass; the head computes K tokens
    with (
        forward_positions(positions_T[None], torch.tensor([start])),
        decoder_cut_to(model.base_model, torch.zeros_like(columns_K), columns_K),
    ):
        out = model(
            input_ids=ids_1_T, attention_mask=mask[None, None], position_ids=positions_T[None].to(device),
            shift_labels=ids_1_T[:, start:], fused_lm_head=True,
        )  # fmt: skip
    parts = (values[0].split(lengths.tolist()) for values in (out.log_probs, out.entropy))
    return list(zip(*parts, strict=True))
