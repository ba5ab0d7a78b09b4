"""Group-relative policy gradient in plain lines: one rollout at a time, no padding, no batching, no library.

loss = - 1/(B L) sum_i A_i sum_t log p(y_it | x_i, y_i<t),      A_i = r_i - mean reward of i's group
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch


def gradients(
    logits: Callable[[list[int], int], torch.Tensor],
    parameters: Sequence[torch.Tensor],
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    rewards: Sequence[float],
    group: int,
    limit: int,
) -> list[torch.Tensor]:
    """Gradient of the loss; `logits(ids, prompt_length)` is [T, V] of one row; rollouts of a group are consecutive."""
    loss = torch.zeros(())
    for i, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        first = i - i % group
        advantage = rewards[i] - sum(rewards[first : first + group]) / group
        logps = logits([*prompt, *completion], len(prompt)).log_softmax(-1)
        for t, token in enumerate(completion):
            loss = loss - advantage * logps[len(prompt) - 1 + t, token] / (len(prompts) * limit)
    return list(torch.autograd.grad(loss, list(parameters)))


def adam(
    gradients_by_step: Sequence[Sequence[torch.Tensor]], start: Sequence[torch.Tensor], lr: float, clip: float
) -> list[torch.Tensor]:
    """Parameters after one Adam step per list of gradients (betas .9, .999, eps 1e-8), each clipped to an L2 norm."""
    values = [tensor.clone() for tensor in start]
    first, second = ([torch.zeros_like(tensor) for tensor in start] for _ in range(2))
    for n, step in enumerate(gradients_by_step, 1):
        norm = sum(float(g.square().sum()) for g in step) ** 0.5
        for i, gradient in enumerate(step):
            g = gradient * min(1.0, clip / (norm + 1e-6))
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g * g
            values[i] = values[i] - lr * (first[i] / (1 - 0.9**n)) / ((second[i] / (1 - 0.999**n)) ** 0.5 + 1e-8)
    return values
