"""Completions of a policy: items and sample numbers in, outcomes out.

A sample's seed is the hash of its key (policy, regime, item, j), so asking for j=3 alone gives the very
draw that asking for j=0..15 gives. A policy with a decoding strategy is sampled by its strategy, which owns
its settings; any other by the regime's rule. What this module does not know: files, grades.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from elicit.files import seed_of
from elicit.policy.decoding import DecodingStrategy, Outcome, Regime, Request, Sampling
from elicit.records import Item
from elicit.sampling.sampler import StepLoop

if TYPE_CHECKING:
    from elicit.policy.policy import Policy
    from elicit.tasks.task import Reader


def request_seed(policy_id: str, regime: str, item: str, j: int) -> int:
    """The seed of one sample: 63 bits, the hash of its key."""
    return seed_of(policy_id, regime, item, j)


def requests_of(policy: Policy, items: Sequence[Item], js: Sequence[int], regime: Regime) -> list[Request]:
    """One request a sample, item by item."""
    identity, out = policy.id, []
    for item in items:
        prompt = policy.prompt_ids(item.question)
        out += [Request(item.id, j, request_seed(identity, regime.name, item.id, j), prompt) for j in js]
    return out


def sample(
    policy: Policy,
    items: Sequence[Item],
    js: Sequence[int],
    regime: Regime,
    task: Reader,
    slots: int | None = None,
    max_new_tokens: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[Item, int, Outcome]]:
    """(item, j, outcome) for every item and every j, in that order, with the policy's edits on.

    `max_new_tokens` replaces the task's limit. `progress(paths, tokens)` hears of what has ended since its
    last call; a strategy may run more paths than there are samples.
    """
    if max_new_tokens is not None:
        task = _Limited(task, max_new_tokens)  # type: ignore[assignment]
    requests = requests_of(policy, items, js, regime)
    checkpoint = policy.checkpoint
    loop = StepLoop(checkpoint.model, checkpoint.tokenizer, checkpoint.eos_ids, slots=slots, progress=progress)
    strategy: DecodingStrategy = policy.strategy or Sampling(regime.rule)
    with policy.applied():
        outcomes = strategy.run(loop, requests, task)
    pairs = [(item, j) for item in items for j in js]
    return [(item, j, outcome) for (item, j), outcome in zip(pairs, outcomes, strict=True)]


class _Limited:
    """A task with another token limit; everything else is the task's own."""

    def __init__(self, task: Reader, max_new_tokens: int) -> None:
        self._task = task
        self.stop = replace(task.stop, max_new_tokens=max_new_tokens)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)
