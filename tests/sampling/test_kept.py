"""Going on from kept keys and values: the same paths as by prefilling, and no second prefill."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from elicit.errors import ConfigError
from elicit.policy.activations import ActivationEdit
from elicit.policy.decoding import Path, PathJob, PickRule
from elicit.policy.positions import WRITES
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.task import StopRules
from tests.sampling.models import CONFIGS, tiny_model
from tests.sampling.test_hooks import edit_of
from tests.sampling.test_step_loop import close, forwards, jobs, loop_of

STOP = StopRules(strings=("e",), max_new_tokens=12)
RULE = PickRule(temperature=0.5, alpha=2.0)


def drawn(loop: StepLoop, count: int = 4, copies: int = 3) -> tuple[list[PathJob], list[Path]]:
    """Jobs that keep, and their paths."""
    wanted = [replace(job, keep=True) for job in jobs(count, copies)]
    return wanted, loop.run(wanted, RULE, STOP)


def continued(wanted: list[PathJob], paths: list[Path]) -> list[PathJob]:
    """Other ends of the paths, cut at many places, the prompt's own end among them."""
    return [
        replace(job, stream=1, forced=tuple(path.token_ids[: place % len(path.token_ids)]), kept=path.kept)
        for place, (job, path) in enumerate(zip(wanted, paths, strict=True))
    ]


def bare(wanted: list[PathJob]) -> list[PathJob]:
    return [replace(job, kept=None, keep=False) for job in wanted]


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "mamba"])
def test_a_cropped_path_goes_on_as_a_prefilled_one(name: str) -> None:
    loop = loop_of(tiny_model(name), slots=5)
    wanted, paths = drawn(loop)
    assert all(path.kept is not None for path in paths)
    further = continued(wanted, paths)
    close(loop.run(further, RULE, STOP), loop.run(bare(further), RULE, STOP), 1e-6)


@pytest.mark.parametrize("check_every", [1, 5])
def test_paths_that_were_cropped_can_be_cropped_again(check_every: int) -> None:
    loop = loop_of(tiny_model(), slots=4, check_every=check_every)
    wanted, paths = drawn(loop)
    for stream in (2, 3, 4):
        further = [replace(job, stream=stream) for job in continued(wanted, paths)]
        paths = loop.run(further, RULE, STOP)
        close(paths, loop.run(bare(further), RULE, STOP))


def test_no_token_of_a_kept_prefix_but_its_last_is_computed_again() -> None:
    model = tiny_model()
    loop = loop_of(model, slots=64)
    wanted, paths = drawn(loop)
    further = continued(wanted, paths)
    with forwards(model) as shapes:
        loop.run(further, RULE, STOP)
    assert {tokens for _, tokens in shapes} == {1}


def test_equal_prefixes_are_resumed_once() -> None:
    model = tiny_model()
    loop = loop_of(model, slots=64)
    wanted, paths = drawn(loop, 1, 1)
    forced = tuple(paths[0].token_ids[:2])
    copies = [replace(wanted[0], stream=stream, forced=forced, kept=paths[0].kept) for stream in range(9)]
    with forwards(model) as shapes:
        several = loop.run(copies, RULE, STOP)
    assert shapes[0] == (1, 1)
    close(several, loop.run(bare(copies), RULE, STOP))


@pytest.mark.parametrize("write", WRITES)
def test_edits_act_as_if_the_prefix_were_prefilled(write: str) -> None:
    model = tiny_model()
    edit: ActivationEdit = edit_of(write)
    with edit.applied(model):
        loop = loop_of(model, slots=5)
        further = continued(*drawn(loop))
        close(loop.run(further, RULE, STOP), loop.run(bare(further), RULE, STOP))


def test_a_path_can_be_extended_behind_its_last_token() -> None:
    loop = loop_of(tiny_model(), slots=5)
    short = StopRules(strings=(), max_new_tokens=5)
    wanted = [replace(job, keep=True) for job in jobs()]
    paths = loop.run(wanted, RULE, short)
    further = [
        replace(job, forced=tuple(path.token_ids), kept=path.kept)
        for job, path in zip(wanted, paths, strict=True)
        if path.finish == "length"
    ]
    longer = StopRules(strings=(), max_new_tokens=11)
    whole = loop.run([replace(job, forced=(), kept=None) for job in further], RULE, longer)
    close(loop.run(further, RULE, longer), whole)


def test_copies_that_find_no_room_are_prefilled() -> None:
    model = tiny_model()
    loop = loop_of(model, slots=64, cache_bytes=100_000)
    wanted, paths = drawn(loop)
    held = [path.kept is not None and path.kept.states is not None for path in paths]
    assert any(held) and not all(held)
    further = continued(wanted, paths)
    close(loop.run(further, RULE, STOP), loop_of(model).run(bare(further), RULE, STOP))


def test_room_comes_back_with_the_last_path_that_needs_it() -> None:
    loop = loop_of(tiny_model())
    _, paths = drawn(loop)
    assert loop.engine.kept_bytes > 0
    del paths
    gc.collect()
    assert loop.engine.kept_bytes == 0


def test_nothing_is_kept_unasked_nor_without_a_cache() -> None:
    assert all(path.kept is None for path in loop_of(tiny_model()).run(jobs(2, 1), RULE, STOP))
    assert all(path.kept is None for path in drawn(loop_of(tiny_model("mamba")), 2, 1)[1])
    assert all(path.kept is None for path in drawn(loop_of(tiny_model(), cached=False), 2, 1)[1])


def test_a_rule_with_another_power_prefills_for_its_own_scalars() -> None:
    loop, other = loop_of(tiny_model()), PickRule(temperature=0.25, alpha=4.0)
    further = continued(*drawn(loop))
    close(loop.run(further, other, STOP), loop.run(bare(further), other, STOP))


def test_keys_and_values_of_another_text_are_refused() -> None:
    loop = loop_of(tiny_model())
    wanted, paths = drawn(loop, 2, 1)
    with pytest.raises(ConfigError, match="job 0: its kept path"):
        loop.run([replace(wanted[0], kept=paths[1].kept)], RULE, STOP)
    with pytest.raises(ConfigError, match="without a cache"):
        loop_of(tiny_model(), cached=False).run([replace(wanted[0], kept=paths[0].kept)], RULE, STOP)
