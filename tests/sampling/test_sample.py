"""Samples of a policy: their seeds, their strategy, their edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from elicit.files import seed_of
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.decoding import REGIMES, Loop, Outcome, PathJob, PickRule, Request, Sampling, StrategyBase
from elicit.policy.policy import Policy
from elicit.sampling.loop.step_loop import StepLoop
from elicit.sampling.sample import sample, sampler
from tests.sampling.models import tiny_model, tokenizer
from tests.sampling.test_step_loop import close
from tests.toy import ToyTask

TASK = ToyTask()
ITEMS = TASK.items("test", limit=6)
SUPPORT = REGIMES["support"]


def policy(**fields: Any) -> Policy:
    return Policy(wrap(tiny_model(), tokenizer()), **fields)


def test_a_sample_depends_on_its_key_only() -> None:
    base = policy()
    whole = {(item.id, j): out.path for item, j, out in sample(base, ITEMS, range(8), SUPPORT, TASK)}
    part = sample(base, ITEMS[::-2], [6, 1], SUPPORT, TASK, slots=3)
    assert [(item.id, j) for item, j, _ in part] == [(item.id, j) for item in ITEMS[::-2] for j in (6, 1)]
    assert all(whole[item.id, j].token_ids == out.path.token_ids for item, j, out in part)
    assert len({tuple(path.token_ids) for path in whole.values()}) == len(whole)


def test_the_seed_is_the_hash_of_the_key() -> None:
    base = policy()
    [(_, _, outcome)] = sample(base, ITEMS[:1], [3], SUPPORT, TASK)
    job = PathJob(base.prompt_ids(ITEMS[0].question), seed_of(base.id, "support", ITEMS[0].id, 3))
    checkpoint = base.checkpoint
    alone = StepLoop(checkpoint.model, checkpoint.tokenizer, checkpoint.eos_ids).run([job], SUPPORT.rule, TASK.stop)
    assert alone[0].token_ids == outcome.path.token_ids


def test_the_token_limit_can_be_replaced_without_another_draw() -> None:
    longer, shorter = (sample(policy(), ITEMS, [0], SUPPORT, TASK, max_new_tokens=limit) for limit in (20, 6))
    for (_, _, a), (_, _, b) in zip(longer, shorter, strict=True):
        assert b.path.token_ids == a.path.token_ids[:6] and b.total_tokens == len(b.path.token_ids)


def test_a_policy_with_a_strategy_is_sampled_by_it_and_not_by_the_regime() -> None:
    greedy = sample(policy().with_intervention(Sampling(PickRule(temperature=0))), ITEMS, range(3), SUPPORT, TASK)
    assert len({tuple(out.path.token_ids) for item, _, out in greedy if item is ITEMS[0]}) == 1


@dataclass(frozen=True)
class First(StrategyBase):
    """Ten first tokens a request; hands back the last."""

    def run(self, loop: Loop, requests: Sequence[Request], task: Any) -> list[Outcome]:
        jobs = [PathJob(r.prompt_ids, r.seed, first_rank=rank) for r in requests for rank in range(10)]
        paths = loop.run(jobs, PickRule(temperature=0), task.stop)
        return [Outcome(paths[10 * place + 9]) for place in range(len(requests))]


def test_a_strategy_may_run_many_paths_for_one_sample() -> None:
    heard: list[int] = []
    out = sample(policy().with_intervention(First()), ITEMS, [0], SUPPORT, TASK, progress=lambda n, _: heard.append(n))
    assert len(out) == len(ITEMS) and sum(heard) == 10 * len(ITEMS)


def test_edits_are_on_while_sampling_and_off_after_it() -> None:
    base = policy()
    edited = base.with_intervention(ActivationEdit((Edit(0, torch.ones(32), "add", 5.0, "every"),)))
    same_key = [out.path.logprobs for _, _, out in sample(edited, ITEMS, [0], SUPPORT, TASK)]
    assert same_key != [out.path.logprobs for _, _, out in sample(base, ITEMS, [0], SUPPORT, TASK)]
    assert not any(module._forward_hooks for module in base.checkpoint.model.modules())


def test_draws_of_one_sampler_are_those_of_samplers_of_their_own() -> None:
    """One loop serves all draws: its cache grows from the first to the second and is used again by the third."""
    edited = policy().with_intervention(ActivationEdit((Edit(0, torch.ones(32), "add", 5.0, "every"),)))
    blocks = [(ITEMS[:1], [0]), (ITEMS, range(5)), (ITEMS[3:], [7, 2])]
    with sampler(edited, SUPPORT, TASK) as samples:
        together = [samples.draw(items, js) for items, js in blocks]
    for drawn, (items, js) in zip(together, blocks, strict=True):
        alone = sample(edited, items, js, SUPPORT, TASK)
        assert [(item, j) for item, j, _ in drawn] == [(item, j) for item, j, _ in alone]
        close([out.path for _, _, out in drawn], [out.path for _, _, out in alone], 1e-6)


def test_a_failed_draw_leaves_no_edit_on() -> None:
    base = policy()
    edited = base.with_intervention(ActivationEdit((Edit(0, torch.ones(32), "add", 5.0, "every"),)))
    hooks = lambda: any(module._forward_hooks for module in base.checkpoint.model.modules())  # noqa: E731
    with pytest.raises(MemoryError), sampler(edited, SUPPORT, TASK) as samples:
        samples.draw(ITEMS[:1], [0])
        assert hooks()
        raise MemoryError
    assert not hooks()
