"""The base's own completions, the two ways of splitting them into two sides, and pages made of them.

    right_minus_wrong     by the verifier, one label bit a completion          (class R)
    traced_minus_direct   by the completion's own length, nothing else asked   (class V)

The second takes the two modes of a base to differ in length: it cuts log-length at the threshold
that minimises the variance within both groups (two-means in one dimension, Otsu 1979), over all
items at once. Where lengths have one mode only, it is a long-minus-short contrast: look at
`share`, the part of the variance that the cut explains (about .64 for a normal distribution).
Every method that reads own activations draws here; what it makes of them is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from elicit.errors import ConfigError, MethodError
from elicit.policy.decoding import PickRule, Regime
from elicit.policy.layers import at_depth, blocks
from elicit.policy.residuals import read_residuals
from elicit.records import FINISHED
from elicit.sampling.sample import sample

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.policy.policy import Policy
    from elicit.records import Item


CONTRASTS = ("right_minus_wrong", "traced_minus_direct")
PAGE_BREAK = "\n\n"


@dataclass(frozen=True)
class Completion:
    """One own sample of one item."""

    item: Item
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    text: str
    finished: bool


def own_completions(
    policy: Policy, ledger: Ledger, items: Sequence[Item], samples: int, draw: int | str, name: str = "contrastive"
) -> list[Completion]:
    """`samples` completions of each item at T=1, booked; another `draw` or `name` gives other samples."""
    regime = Regime(f"{name}-{draw}", PickRule())
    out = []
    for item, _, outcome in sample(policy, items, range(samples), regime, ledger.task_view):
        path = outcome.path
        finished = path.finish in FINISHED
        ids = tuple(path.token_ids)
        out.append(Completion(item, policy.prompt_ids(item.question), ids, path.text, finished))
    ledger.rollouts(len(out), sum(len(completion.token_ids) for completion in out))
    return out


def by_verdict(completions: Sequence[Completion], ledger: Ledger) -> list[bool | None]:
    """True right, False wrong, None ungraded (on neither side)."""
    return [
        ledger.grade(completion.item, completion.text, finished=completion.finished, stage="train")
        for completion in completions
    ]


def by_length(completions: Sequence[Completion]) -> tuple[list[bool | None], float]:
    """(True long (traced) or False short (direct), share of variance explained).

    Raises MethodError where all lengths are equal.
    """
    lengths = [len(completion.token_ids) for completion in completions]
    cut, share = two_means(lengths)
    return [length > cut for length in lengths], share


def two_means(lengths: Sequence[int]) -> tuple[float, float]:
    """(threshold in tokens, share of the log-length variance between the groups it separates)."""
    logs = np.sort(np.log(np.maximum(lengths, 1)))
    total = float(((logs - logs.mean()) ** 2).sum()) if len(logs) else 0.0
    if total == 0:
        raise MethodError(
            f"all {len(lengths)} completions have the same length, so nothing tells traced from direct: "
            "take more samples, or contrast=right_minus_wrong"
        )
    places = np.flatnonzero(np.diff(logs)) + 1
    between = [
        place * (logs[:place].mean() - logs.mean()) ** 2
        + (len(logs) - place) * (logs[place:].mean() - logs.mean()) ** 2
        for place in places
    ]
    best = int(np.argmax(between))
    place = places[best]
    return float(np.exp((logs[place - 1] + logs[place]) / 2)), float(between[best]) / total


def in_context_rows(
    policy: Policy, completions: Sequence[Completion]
) -> tuple[list[tuple[int, ...]], list[int], list[tuple[int, int]]]:
    """(rows, prompt lengths, spans): each completion on a page before the prompt of another item.

    The other item is the next one in the order of first appearance, the same for all samples of an item, so
    that positive and negative rows of an item differ in the sample alone. A span is the page's last token.
    """
    checkpoint = policy.checkpoint
    prompts = {completion.item.id: completion.prompt_ids for completion in completions}
    following = dict(zip(prompts, [*list(prompts.values())[1:], next(iter(prompts.values()))], strict=True))
    joint = tuple(checkpoint.tokenizer(PAGE_BREAK, add_special_tokens=False)["input_ids"])
    rows = []
    for completion in completions:
        said = completion.token_ids[:-1] if completion.token_ids[-1] in checkpoint.eos_ids else completion.token_ids
        after = following[completion.item.id]
        after = after[1:] if checkpoint.bos_id is not None else after
        rows.append(completion.prompt_ids + said + joint + after)
    lengths = [len(row) for row in rows]
    return rows, lengths, [(length - 1, length) for length in lengths]


def last_prompt_residuals(policy: Policy, ledger: Ledger, items: Sequence[Item], layers: Sequence[int]) -> torch.Tensor:
    """Activations [P, L, D] at the last prompt token of each item, booked."""
    prompts = [policy.prompt_ids(item.question) for item in items]
    lengths = [len(prompt) for prompt in prompts]
    ledger.activations(len(prompts), stage="train")
    return read_residuals(policy, prompts, [(length - 1, length) for length in lengths], lengths, layers)


def residual_norms(policy: Policy, ledger: Ledger, items: Sequence[Item], layers: Sequence[int]) -> torch.Tensor:
    """Mean norm [L] of the residual stream at the last prompt token, booked: the unit of strengths."""
    return last_prompt_residuals(policy, ledger, items, layers).norm(dim=-1).mean(0)


def refuse_strategy(policy: Policy) -> None:
    """Raises MethodError for a policy with a decoding strategy: own samples are plain draws at T=1."""
    if policy.strategy is not None:
        raise MethodError(
            f"the policy decodes with {type(policy.strategy).__name__}: fit on the policy without it and stack it after"
        )


def layer_numbers(policy: Policy, wanted: Sequence[int | float]) -> list[int]:
    """0-based layers from numbers and fractions of the depth; none wanted: all. Raises ConfigError for others."""
    model = policy.checkpoint.model
    count = len(blocks(model))
    wanted = wanted or tuple(range(count))
    numbers = [at_depth(model, layer) if isinstance(layer, float) else layer for layer in wanted]
    beyond = [number for number in numbers if not 0 <= number < count]
    if beyond:
        raise ConfigError(f"layers={list(wanted)}: {beyond[0]} is none of 0 to {count - 1}; fractions need a point")
    return sorted(set(numbers))
