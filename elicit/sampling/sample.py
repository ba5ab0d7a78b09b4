"""Completions of a policy: items and sample numbers in, outcomes out.

    with sampler(policy, regime, task) as samples:      the policy's edits are on, one loop is ready
        samples.draw(items, range(16))                  as often as needed
    sample(policy, items, range(16), regime, task)      the same for a single draw

The seed of a sample is the hash of its key (policy, regime, item, j): j=3 alone is the very draw that j=0..15 contains.
A policy with a decoding strategy is sampled by its strategy, which owns its settings; any other by the regime's rule.
Chains that strategies share are keyed by the policy without its strategy (`Request.base`) and may come from a pool.
The loop is the step loop, or that of the checkpoint's engine (engine.py).
What this module does not know: files, grades.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from elicit.files import seed_of
from elicit.policy.decoding import DecodingStrategy, Loop, Outcome, Regime, Request, Sampling
from elicit.records import Item
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.view import GoldVerifier, TaskView, view_of

if TYPE_CHECKING:
    from elicit.policy.policy import Policy
    from elicit.sampling.pool import Pool
    from elicit.tasks.task import Reader, Task


def request_seed(policy_id: str, regime: str, item: str, j: int) -> int:
    """The seed of one sample: 63 bits, the hash of its key."""
    return seed_of(policy_id, regime, item, j)


def without_strategy(policy: Policy) -> Policy:
    """The policy whose chains its strategy works on."""
    return replace(policy, interventions=tuple(i for i in policy.interventions if i.kind != "decoding"))


@dataclass(frozen=True)
class Sampler:
    """A policy that is applied, with the loop and the strategy that sample it. Made by `sampler`."""

    policy: Policy
    regime: Regime
    task: TaskView
    loop: Loop
    strategy: DecodingStrategy
    verifier: GoldVerifier | None = None

    def draw(self, items: Sequence[Item], js: Sequence[int]) -> list[tuple[Item, int, Outcome]]:
        """(item, j, outcome) for every item and every j, in that order."""
        if self.verifier is not None:
            self.verifier.admit(items)
        pairs = [(item, j) for item in items for j in js]
        outcomes = self.strategy.run(self.loop, self.requests(items, js), self.task)
        return [(item, j, outcome) for (item, j), outcome in zip(pairs, outcomes, strict=True)]

    def requests(self, items: Sequence[Item], js: Sequence[int]) -> list[Request]:
        """One request per sample, item by item."""
        policy, regime, out = self.policy.id, self.regime.name, []
        base = f"{without_strategy(self.policy).id}/{regime}"
        for item in items:
            prompt = self.policy.prompt_ids(item.question)
            out += [Request(item.id, j, request_seed(policy, regime, item.id, j), prompt, base) for j in js]
        return out


@contextmanager
def sampler(
    policy: Policy,
    regime: Regime,
    task: Reader,
    slots: int | None = None,
    max_new_tokens: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    pool: Pool | None = None,
) -> Iterator[Sampler]:
    """Apply a policy once and sample it many times; its edits are undone on leaving, also after an exception.

    `max_new_tokens` replaces the task's limit. `progress(paths, tokens)` is called with what ended and was drawn since
    its last call; a strategy may run more paths than there are samples. `pool` keeps the chains that strategies share.
    The strategy sees a view of the task: no gold, and verdicts only if it declares that it needs a verifier. Raises
    LedgerError for such a strategy inside a fit. `slots`: of the step loop.
    """
    strategy = policy.strategy or Sampling(regime.rule)
    with ExitStack() as stack:
        verifier = None
        if strategy.needs_verifier:
            verifier = stack.enter_context(closing(GoldVerifier(cast("Task", task))))
        # the loop is made once: its cache and its stop finders serve all draws
        engine = policy.checkpoint.engine
        if engine is not None and engine.draws(policy):
            loop = stack.enter_context(engine.drawing(policy, progress))
        else:
            loop = StepLoop(policy.checkpoint, eos_ids=policy.end_ids, slots=slots, progress=progress)
            stack.enter_context(policy.applied())
        view = view_of(task, max_new_tokens, verifier)
        yield Sampler(policy, regime, view, pool.over(loop) if pool else loop, strategy, verifier)


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
    """(item, j, outcome) for every item and every j, in that order: one draw of `sampler`, which see."""
    with sampler(policy, regime, task, slots, max_new_tokens, progress, pool) as samples:
        return samples.draw(items, js)
