"""Laws of the pool: shared chains are drawn once, equal what would be drawn, and outlive the process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as Folder

import pytest

from elicit.errors import DataError
from elicit.policy.decoding import Path, PathJob, PickRule, StepRule
from elicit.sampling.loop.rules import ConfidenceCut
from elicit.sampling.loop.step_loop import StepLoop
from elicit.sampling.pool import Pool
from elicit.tasks.task import StopRules
from tests.sampling.models import prompts, tiny_model, tokenizer

STOP = StopRules(strings=("e",), max_new_tokens=12)
JOBS = [PathJob(prompt, place, stream, shared=True) for place, prompt in enumerate(prompts(3)) for stream in range(4)]


class Counted(StepLoop):
    drawn = 0

    def run(
        self, jobs: Sequence[PathJob], rule: PickRule, stop: StopRules, step_rule: StepRule | None = None
    ) -> list[Path]:
        self.drawn += len(jobs)
        return super().run(jobs, rule, stop, step_rule)


@pytest.fixture
def loop() -> Counted:
    return Counted(tiny_model(), tokenizer(), [1])


def test_pooled_paths_are_the_very_paths_that_the_loop_draws(loop: Counted, tmp_path: Folder) -> None:
    alone = loop.run(JOBS, PickRule(), STOP)
    pooled = Pool(tmp_path, {}).over(loop)
    assert pooled.run(JOBS, PickRule(), STOP) == alone
    loop.drawn = 0
    assert pooled.run(JOBS[::-1], PickRule(), STOP) == alone[::-1], "kept, in any order, to the last bit"
    assert loop.drawn == 0


def test_a_later_process_finds_what_was_drawn_and_draws_the_rest(loop: Counted, tmp_path: Folder) -> None:
    first = Pool(tmp_path, {}).over(loop).run(JOBS[:5], PickRule(), STOP)
    loop.drawn = 0
    again = Pool(tmp_path, {}).over(loop).run(JOBS, PickRule(), STOP)
    assert loop.drawn == len(JOBS) - 5 and again[:5] == first
    assert [path.token_ids for path in again] == [path.token_ids for path in loop.run(JOBS, PickRule(), STOP)]


@pytest.mark.parametrize("other", ["rule", "stop", "settings", "seed"])
def test_whatever_decides_a_path_is_part_of_its_key(loop: Counted, tmp_path: Folder, other: str) -> None:
    Pool(tmp_path, {"dtype": "a"}).over(loop).run(JOBS, PickRule(), STOP)
    loop.drawn = 0
    rule = PickRule(top_p=0.9) if other == "rule" else PickRule()
    stop = StopRules((), 12) if other == "stop" else STOP
    jobs = (
        [PathJob(job.prompt_ids, job.seed + 99, job.stream, shared=True) for job in JOBS] if other == "seed" else JOBS
    )
    Pool(tmp_path, {"dtype": "b" if other == "settings" else "a"}).over(loop).run(jobs, rule, stop)
    assert loop.drawn == len(JOBS)


def test_jobs_that_are_not_shared_and_cut_paths_are_not_kept(loop: Counted, tmp_path: Folder) -> None:
    pooled = Pool(tmp_path, {}).over(loop)
    pooled.run([PathJob(job.prompt_ids, job.seed) for job in JOBS], PickRule(), STOP)
    pooled.run(JOBS, PickRule(), STOP, ConfidenceCut((9.0,) * len(JOBS), 2))
    pooled.run(JOBS, PickRule(temperature=0.5, alpha=2.0), STOP)
    assert not list(tmp_path.glob("pool-*"))


def test_a_path_that_is_handed_out_brings_the_seconds_it_took(loop: Counted, tmp_path: Folder) -> None:
    Pool(tmp_path, {}).over(loop).run(JOBS, PickRule(), STOP)
    pool = Pool(tmp_path, {})
    pool.over(loop).run(JOBS[:6], PickRule(), STOP)
    half = pool.saved_seconds
    pool.over(loop).run(JOBS, PickRule(), STOP)
    assert 0 < half < pool.saved_seconds


def test_a_broken_file_is_named(loop: Counted, tmp_path: Folder) -> None:
    Pool(tmp_path, {}).over(loop).run(JOBS, PickRule(), STOP)
    pool = Pool(tmp_path, {})
    (file,) = tmp_path.glob("pool-*.parquet")
    file.write_bytes(b"torn")
    with pytest.raises(DataError, match=file.name):
        pool.over(loop).run(JOBS, PickRule(), STOP)
