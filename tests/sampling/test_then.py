"""Chains of jobs in one run: the same paths as one job after the other, and no chain waits for another one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from elicit.errors import ConfigError
from elicit.policy.decoding import Path, PathJob, PickRule
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.task import StopRules
from tests.sampling.models import CONFIGS, tiny_model
from tests.sampling.test_step_loop import close, forwards, jobs, loop_of

STOP = StopRules(strings=("e",), max_new_tokens=12)
RULE = PickRule(temperature=0.5, alpha=2.0)
TURNS = 4


def following(job: PathJob, path: Path, turn: int, keep: bool) -> PathJob:
    """The next job of a chain: another end of the path, cut at a place that depends on the turn."""
    cut = turn * 5 % max(1, len(path.token_ids))
    return replace(job, stream=turn, forced=tuple(path.token_ids[:cut]), kept=path.kept if keep else None)


def chained(loop: StepLoop, first: list[PathJob], keep: bool, turns: int = TURNS) -> list[list[Path]]:
    """All paths of every chain, by one run."""
    seen: list[list[Path]] = [[] for _ in first]
    present = list(first)

    def then(place: int, path: Path) -> PathJob | None:
        seen[place].append(path)
        # the chains have different numbers of turns
        if len(seen[place]) > turns - place % 3:
            return None
        present[place] = following(present[place], path, len(seen[place]), keep)
        return present[place]

    last = loop.run(first, RULE, STOP, then=then)
    assert last == [paths[-1] for paths in seen]
    return seen


def one_by_one(loop: StepLoop, first: list[PathJob], turns: int = TURNS) -> list[list[Path]]:
    """The same chains, each job in a run of its own and prefilled."""
    seen = []
    for place, begun in enumerate(first):
        job, paths = replace(begun, keep=False), []
        for turn in range(1, turns - place % 3 + 2):
            paths += loop.run([job], RULE, STOP)
            job = following(job, paths[-1], turn, False)
        seen.append(paths)
    return seen


def free_tokens(paths: list[Path]) -> int:
    """Tokens that a chain drew itself."""
    cuts = [turn * 5 % max(1, len(before.token_ids)) for turn, before in enumerate(paths[:-1], 1)]
    return sum(len(path.token_ids) for path in paths) - sum(cuts)


def same(ours: list[list[Path]], theirs: list[list[Path]]) -> None:
    assert [len(paths) for paths in ours] == [len(paths) for paths in theirs]
    close([path for paths in ours for path in paths], [path for paths in theirs for path in paths], 1e-5)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("name", list(CONFIGS))
def test_chains_write_the_paths_of_their_jobs_one_by_one(name: str, keep: bool) -> None:
    loop = loop_of(tiny_model(name), slots=16)
    first = [replace(job, keep=keep) for job in jobs(3, 1)]
    same(chained(loop, first, keep), one_by_one(loop, first))


@pytest.mark.parametrize("slots", [1, 3, 16])
@pytest.mark.parametrize("check_every", [1, 5])
def test_neither_the_slots_nor_the_settlements_change_them(slots: int, check_every: int) -> None:
    loop = loop_of(tiny_model(), slots=slots, check_every=check_every)
    first = [replace(job, keep=True) for job in jobs(4, 2)]
    same(chained(loop, first, True), one_by_one(loop, first))


def test_long_chains_outlive_the_columns_of_the_cache() -> None:
    loop = loop_of(tiny_model(), slots=4)
    first = [replace(job, keep=True) for job in jobs(3, 1)]
    same(chained(loop, first, True, turns=30), one_by_one(loop, first, turns=30))


def test_kept_paths_join_without_a_pass_of_their_own() -> None:
    model = tiny_model()
    loop = loop_of(model, slots=16)
    first = [replace(job, keep=True) for job in jobs(4, 2)]
    loop.run(first, RULE, STOP)
    with forwards(model) as shapes:
        chained(loop, first, True)
    passes = [rows for rows, tokens in shapes if tokens == 1]
    assert len(passes) == len(shapes) - 1, "one prefill, at the start"
    assert max(passes) <= len(first)


def test_no_chain_waits_for_another_one() -> None:
    model = tiny_model()
    loop = loop_of(model, slots=16)
    first = [replace(job, keep=True) for job in jobs(3, 2)]
    with forwards(model) as shapes:
        drawn = chained(loop, first, True)
    # a token of the busiest chain per pass: the prefill brings its first one, each join the first one of its turn
    assert len(shapes) == max(map(free_tokens, drawn))


def test_a_job_that_cannot_go_on_is_refused() -> None:
    loop = loop_of(tiny_model())
    first = jobs(2, 1)
    longer = replace(first[0], prompt_ids=(*max((job.prompt_ids for job in first), key=len), 3))
    with pytest.raises(ConfigError, match="goes on with a prompt of"):
        loop.run(first, RULE, STOP, then=lambda place, path: longer)
    with pytest.raises(ConfigError, match="outside the vocabulary"):
        loop.run(first, RULE, STOP, then=lambda place, path: replace(first[0], forced=(10**6,)))


def test_progress_counts_each_place_once_and_every_free_token() -> None:
    reports: list[tuple[int, int]] = []
    loop = StepLoop(
        tiny_model(), loop_of(tiny_model()).tokenizer, (0,), slots=4, progress=lambda *now: reports.append(now)
    )
    first = [replace(job, keep=True) for job in jobs(3, 1)]
    drawn = chained(loop, first, True)
    free = sum(map(free_tokens, drawn))
    assert (sum(paths for paths, _ in reports), sum(tokens for _, tokens in reports)) == (len(first), free)
