"""CoT-decoding (arXiv 2402.10200) the way public code runs it: one path after the other.

Each of the k first tokens gets a `generate()` call of its own: the prompt is prefilled k + 1 times, no row shares a
batch with another, and the scores of all steps are kept to the end. Delta is the mean gap over the whole path, as
published loops have it. Restated from the description, to be measured; nothing in the package uses it.
"""

from __future__ import annotations

from typing import Any

import torch


@torch.no_grad()
def cot_decode(
    model: Any, prompt: tuple[int, ...], k: int, limit: int, eos: list[int] | None
) -> list[tuple[list[int], float]]:
    """(completion ids, Delta) of each of the k paths of one prompt, at most `limit` tokens each."""
    ids = torch.tensor([prompt], device=model.device)
    first = model(ids).logits[0, -1].topk(k).indices
    paths = []
    for token in first:
        begun = torch.cat([ids, token.view(1, 1)], dim=1)
        out = model.generate(
            begun, attention_mask=torch.ones_like(begun), do_sample=False, max_new_tokens=limit - 1, eos_token_id=eos,
            pad_token_id=0, output_scores=True, return_dict_in_generate=True,
        )  # fmt: skip
        gaps = []
        for scores in out.scores:
            top = scores[0].softmax(-1).topk(2).values
            gaps.append(float(top[0] - top[1]))
        paths.append((out.sequences[0, len(prompt) :].tolist(), sum(gaps) / max(len(gaps), 1)))
    return paths
