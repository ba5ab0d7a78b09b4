"""Completions of a policy: items and sample numbers in, outcomes out.

A sample's seed is the hash of its key (policy, regime, item, j), so asking for j=3 alone gives the very
draw that asking for j=0..15 gives. A policy with a decoding strategy is sampled by its strategy, which owns
its settings; any other by the regime's rule. Chains that strategies share are keyed by the policy without its
strategy (`Request.base`) and may come from a pool. What this module does not know: files, grades.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from elicit.files import seed_of
from elicit.policy.decoding import DecodingStrategy, Loop, Outcome, Regime, Request, Sampling
from elicit.records import Item
from elicit.sampling.loop.step_loop import StepLoop
from elicit.sampling.view import VerifierView, View

if TYPE_CHECKING:
    from elicit.policy.policy import Policy
    from elicit.sampling.pool import Pool
    from elicit.tasks.task import Reader, Task


def request_seed(policy_id: str, regime: str, item: str, j: int) -> int:
    """The seed of one sample: 63 bits, the hash of its key."""
    return seed_of(policy_id, regime, item, j)


def requests_of(policy: Policy, items: Sequence[Item], js: Sequence[int], regime: Regime) -> list[Request]:
    """One request a sample, item by item."""
    identity, base, out = policy.id, f"{without_strategy(policy).id}/{regime.name}", []
    for item in items:
        prompt = policy.prompt_ids(item.question)
        out += [Request(item.id, j, request_seed(identity, regime.name, item.id, j), prompt, base) for j in js]
    return out


def without_strategy(policy: Policy) -> Policy:
    """The policy whose chains its strategy works on."""
    return replace(policy, interventions=tuple(i for i in policy.interventions if i.kind != "decoding"))


def sample(
    policy: Policy,
    items: Sequence[Item],
    js: Sequence[int],
    regime: Regime,
    task: Reader,
    slots: int | None = None,
    max_new_tokens: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    pool: Pool | None = None,
) -> list[tuple[Item, int, Outcome]]:
    """(item, j, outcome) for every item and every j, in that order, with the policy's edits on.

    `max_new_tokens` replaces the task's limit. `progress(paths, tokens)` hears of what has ended since its
    last call; a strategy may run more paths than there are samples. `pool` keeps the chains that strategies share.
    The strategy sees a `View` of the task: no gold, but for a verifier's verdicts where it declares that it needs them.
    """
    requests = requests_of(policy, items, js, regime)
    checkpoint = policy.checkpoint
    loop: Loop = StepLoop(checkpoint.model, checkpoint.tokenizer, checkpoint.eos_ids, slots=slots, progress=progress)
    strategy: DecodingStrategy = policy.strategy or Sampling(regime.rule)
    verified = getattr(strategy, "needs_verifier", False)
    view = VerifierView(cast("Task", task), items, max_new_tokens) if verified else View(task, max_new_tokens)
    with policy.applied(), closing(view):
        outcomes = strategy.run(pool.over(loop) if pool else loop, requests, cast("Reader", view))
    pairs = [(item, j) for item in items for j in js]
    return [(item, j, outcome) for (item, j), outcome in zip(pairs, outcomes, strict=True)]
