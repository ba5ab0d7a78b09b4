"""The base's own completions, and the residual stream at its own prompts; both are booked in the ledger.

Every method that reads own activations or own text draws here. What it makes of them is its own business: how
completions are split into two sides is in contrast.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from elicit.policy.decoding import PickRule, Regime
from elicit.policy.residuals import read_residuals
from elicit.records import FINISHED
from elicit.sampling.sample import sample

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.policy.checkpoint import Checkpoint
    from elicit.policy.policy import Policy
    from elicit.records import Item


@dataclass(frozen=True)
class Completion:
    """One sample of one item."""

    item: Item
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    text: str
    finished: bool
    logprob: float | None = None
    """log p of all its tokens after the prompt, at T=1; None: not known"""


def own_completions(
    policy: Policy, ledger: Ledger, items: Sequence[Item], samples: int, draw: int | str, name: str = "contrastive"
) -> list[Completion]:
    """`samples` completions per item at T=1, booked. The samples are a function of `draw` and `name`."""
    regime = Regime(f"{name}-{draw}", PickRule())
    out = []
    for item, _, outcome in sample(policy, items, range(samples), regime, ledger.task_view):
        path, prompt = outcome.path, policy.prompt_ids(item.question)
        ended, logprob = path.finish in FINISHED, float(sum(path.logprobs))
        out.append(Completion(item, prompt, tuple(path.token_ids), path.text, ended, logprob))
    ledger.rollouts(len(out), sum(len(completion.token_ids) for completion in out))
    return out


def written(checkpoint: Checkpoint, completion: Completion) -> tuple[int, ...]:
    """The ids of the completion's text: without EOS, and without the stop string that ended it.

    They are its own tokens, except if a token holds both the end of the text and the beginning of the stop string: then
    the text is tokenised again.
    """
    ids = list(completion.token_ids)
    if ids and ids[-1] in checkpoint.eos_ids:
        ids.pop()
    while ids and len(checkpoint.decode(ids)) > len(completion.text):
        ids.pop()
    if checkpoint.decode(ids) == completion.text:
        return tuple(ids)
    return tuple(checkpoint.tokenizer(completion.text, add_special_tokens=False)["input_ids"])


def last_prompt_residuals(policy: Policy, ledger: Ledger, items: Sequence[Item], layers: Sequence[int]) -> torch.Tensor:
    """Block outputs [P, L, D] of `layers` at the last prompt token of each item: float32 on the CPU, booked."""
    prompts = [policy.prompt_ids(item.question) for item in items]
    lengths = [len(prompt) for prompt in prompts]
    ledger.activations(len(prompts), stage="train")
    return read_residuals(policy, prompts, [(length - 1, length) for length in lengths], lengths, layers)


def residual_norms(policy: Policy, ledger: Ledger, items: Sequence[Item], layers: Sequence[int]) -> torch.Tensor:
    """Mean norm [L] of the residual stream at the last prompt token, booked. It is the unit of strengths."""
    return last_prompt_residuals(policy, ledger, items, layers).norm(dim=-1).mean(0)
