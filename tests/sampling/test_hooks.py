"""Edits inside the step loop: on in every forward pass, at the right tokens, with and without cache."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from elicit.policy import layers
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.decoding import PathJob, PickRule
from elicit.policy.positions import WRITES, current
from elicit.sampling.likelihood import score
from elicit.tasks.task import StopRules
from tests.sampling.models import prompts, tiny_model
from tests.sampling.test_step_loop import close, jobs, loop_of

STOP = StopRules(strings=(), max_new_tokens=10)
SOME = jobs(3, 2)


def edit_of(write: str, operator: str = "add") -> ActivationEdit:
    vector = torch.randn(32, generator=torch.Generator().manual_seed(1))
    target = 2.0 if operator == "clamp" else None
    return ActivationEdit(tuple(Edit(layer, vector, operator, 1.0, write, target=target) for layer in (0, 1)))


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2"])
def test_cached_and_uncached_generation_agree_under_an_edit(name: str, write: str) -> None:
    model = tiny_model(name)
    plain = loop_of(model, slots=4).run(SOME, PickRule(), STOP)
    with edit_of(write).applied(model):
        cached = loop_of(model, slots=4, cached=True).run(SOME, PickRule(), STOP)
        # norms compute in float32 even in a float64 model
        close(cached, loop_of(model, slots=4, cached=False).run(SOME, PickRule(), STOP), 1e-6)
        close(cached, [loop_of(model).run([job], PickRule(), STOP)[0] for job in SOME], 1e-6)
    assert [path.token_ids for path in cached] != [path.token_ids for path in plain]
    close(loop_of(model, slots=4).run(SOME, PickRule(), STOP), plain)


@pytest.mark.parametrize("operator", ["clamp", "ablate"])
def test_other_operators_agree_too(operator: str) -> None:
    model = tiny_model()
    with edit_of("onward", operator).applied(model):
        cached = loop_of(model, slots=4).run(SOME, PickRule(), STOP)
        close(cached, loop_of(model, slots=4, cached=False).run(SOME, PickRule(), STOP))


@pytest.mark.parametrize("write", WRITES)
def test_forced_completion_tokens_are_edited_as_generated_ones(write: str) -> None:
    model = tiny_model()
    with edit_of(write).applied(model):
        free = loop_of(model).run(SOME, PickRule(), STOP)
        forced = [PathJob(j.prompt_ids, j.seed, forced=tuple(p.token_ids[:4])) for j, p in zip(SOME, free, strict=True)]
        close(loop_of(model).run(forced, PickRule(), STOP), free)


@pytest.mark.parametrize("cached", [True, False])
def test_hooks_fire_in_every_forward_pass_and_are_told_every_token_once(cached: bool) -> None:
    model, passes, fired, seen = tiny_model(), [], [], []

    def hook(*_: object) -> None:
        where = current()
        assert where is not None
        fired.append(1)
        for row, length in zip(where.positions_B_T.tolist(), where.prompt_lengths_B.tolist(), strict=True):
            seen.extend((length, place) for place in row if place >= 0)

    count = model.register_forward_pre_hook(lambda *_: passes.append(1))
    handles = [count, layers.blocks(model)[1].register_forward_hook(hook)]
    prompt = prompts(1)[0]
    path = loop_of(model, cached=cached).run([PathJob(prompt, 0)], PickRule(), STOP)[0]
    for handle in handles:
        handle.remove()
    assert len(passes) == len(fired) == len(path.token_ids)
    if cached:
        assert seen == [(len(prompt), place) for place in range(len(prompt) + len(path.token_ids) - 1)]


def test_an_edit_at_the_last_prompt_token_writes_one_token_a_prompt() -> None:
    model, written = tiny_model(), []

    def hook(*_: object) -> None:
        where = current()
        assert where is not None
        written.append(int(where.mask("last_prompt", torch.device("cpu")).sum()))

    handle = layers.blocks(model)[0].register_forward_hook(hook)
    loop_of(model, slots=4).run(jobs(5, 3), PickRule(), STOP)
    handle.remove()
    assert sum(written) == 5


@pytest.mark.parametrize("write", WRITES)
def test_teacher_forced_log_probs_are_those_of_sampling_under_the_edit(write: str) -> None:
    model = tiny_model()
    with edit_of(write).applied(model):
        paths = loop_of(model, slots=4).run(SOME, PickRule(), STOP)
        scored = score(model, [(job.prompt_ids, path.token_ids) for job, path in zip(SOME, paths, strict=True)])
    for path, row in zip(paths, scored, strict=True):
        assert np.allclose(path.logprobs, row.logprobs, atol=1e-9)
