"""The keyed draw of the vLLM engine, without vLLM: the real processor under an engine that schedules like vLLM."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from elicit.errors import ConfigError, StageError
from elicit.policy.decoding import Path, PathJob, PickRule
from elicit.records import Finish
from elicit.sampling.loop.pick import SCALARS
from elicit.sampling.loop.rules import ConfidenceCut
from elicit.sampling.loop.step_loop import StepLoop
from elicit.sampling.vllm.loop import VllmLoop
from elicit.sampling.vllm.rows import KEY, KeyedRows, row_args
from elicit.tasks.task import StopRules
from tests.sampling.models import prompts, tiny_model, tokenizer
from tests.vllm.fake import FakeClient

EOS = frozenset({1})
STOP = StopRules(("answer", "7."), 14)
RULES = [
    PickRule(),
    PickRule(temperature=0.0),
    PickRule(temperature=0.6, top_p=0.95),
    PickRule(temperature=0.8, top_k=5),
    PickRule(temperature=1.2, min_p=0.1),
    PickRule(temperature=0.25, alpha=4.0),
]


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_model(dtype=torch.float32, spread=0.3)


def loops(model: Any, **settings: Any) -> tuple[StepLoop, VllmLoop]:
    client = FakeClient(model, **settings)
    return StepLoop(model, tokenizer(), EOS), VllmLoop(client, tokenizer(), EOS, len(tokenizer()))


def jobs() -> list[PathJob]:
    plain = [PathJob(prompt, 31 * place, stream=place % 3) for place, prompt in enumerate(prompts(6) * 3)]
    plain[3] = replace(plain[3], forced=(40, 41, 42))
    plain[4] = replace(plain[4], first_rank=2)
    plain[5] = replace(plain[5], forced=(50, 51), first_rank=1)
    plain[6] = replace(plain[6], forced=(45, 1, 46))  # ends at its forced EOS
    plain[7] = replace(plain[7], forced=tuple(range(60, 80)))  # more than the limit
    return plain


def assert_same(ours: list[Path], theirs: list[Path]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert (one.token_ids, one.finish, one.text) == (other.token_ids, other.finish, other.text)
        for name in SCALARS:
            assert np.allclose(getattr(one, name), getattr(other, name), atol=1e-4, rtol=0), name


@pytest.mark.parametrize("rule", RULES)
def test_the_paths_are_those_of_the_step_loop_for_every_pick_rule(model: Any, rule: PickRule) -> None:
    step, other = loops(model, seed=1)
    assert_same(step.run(jobs(), rule, STOP), other.run(jobs(), rule, STOP))
    events = other.client.events  # type: ignore[attr-defined]
    assert min(events.values()) > 0, f"the schedule has to discard, preempt and swap: {events}"


def test_no_path_depends_on_the_batch_the_chunks_or_the_order(model: Any) -> None:
    wide = loops(model, capacity=16, chunk=100)[1].run(jobs(), PickRule(), STOP)
    narrow = loops(model, capacity=2, chunk=3, seed=5)[1].run(jobs()[::-1], PickRule(), STOP)
    assert_same(wide, narrow[::-1])


def test_a_step_rule_cuts_where_the_step_loop_cuts(model: Any) -> None:
    step, other = loops(model)
    free = step.run(jobs(), PickRule(), StopRules((), 14))
    bar = float(np.median([np.mean(path.confidences) for path in free]))
    cut = ConfidenceCut((bar,) * len(free), window=4)
    ours = step.run(jobs(), PickRule(), StopRules((), 14), cut)
    assert_same(ours, other.run(jobs(), PickRule(), StopRules((), 14), cut))
    assert {Finish.CUT, Finish.LENGTH} <= {path.finish for path in ours}


def test_a_kept_path_is_continued_without_drawing_its_tokens_again(model: Any) -> None:
    step, other = loops(model)
    rule, free = PickRule(temperature=0.5, alpha=2.0), StopRules((), 14)
    first = [replace(job, keep=True) for job in jobs()[:3]]
    paths = other.run(first, rule, free)
    assert all(path.kept is not None and path.kept.states is None for path in paths)
    again = [
        PathJob(job.prompt_ids, 99 + place, forced=tuple(path.token_ids[:6]), kept=path.kept)
        for place, (job, path) in enumerate(zip(first, paths, strict=True))
    ]
    before = other.client.steps  # type: ignore[attr-defined]
    assert_same(step.run([replace(job, kept=None) for job in again], rule, free), other.run(again, rule, free))
    assert other.client.steps > before  # type: ignore[attr-defined]
    # the log z of another alpha would be wrong: then the forced tokens are computed again
    assert_same(
        step.run([replace(job, kept=None) for job in again], PickRule(), free), other.run(again, PickRule(), free)
    )


def test_a_kept_path_that_its_forced_tokens_end_needs_no_request(model: Any) -> None:
    other = loops(model)[1]
    job = PathJob(prompts(1)[0], 3, keep=True)
    path = other.run([job], PickRule(), StopRules((), 8))[0]
    steps = other.client.steps  # type: ignore[attr-defined]
    whole = PathJob(job.prompt_ids, 4, forced=tuple(path.token_ids), kept=path.kept)
    again = other.run([whole], PickRule(), StopRules((), len(path.token_ids)))[0]
    assert again.token_ids == path.token_ids and again.logprobs == path.logprobs
    assert other.client.steps == steps  # type: ignore[attr-defined]


def test_a_chain_of_jobs_goes_on_as_on_the_step_loop(model: Any) -> None:
    first = [replace(job, keep=True) for job in jobs()]
    rule, free = PickRule(temperature=0.5, alpha=2.0), StopRules(("7.",), 14)

    def chained(loop: Any) -> list[Path]:
        seen: list[list[Path]] = [[] for _ in first]

        def then(place: int, path: Path) -> PathJob | None:
            seen[place].append(path)
            cut = 3 * len(seen[place]) % len(path.token_ids)
            again = PathJob(first[place].prompt_ids, 7, len(seen[place]), tuple(path.token_ids[:cut]), keep=True)
            return replace(again, kept=path.kept) if len(seen[place]) <= place % 4 else None

        last = loop.run(first, rule, free, then=then)
        assert last == [paths[-1] for paths in seen] and [len(paths) for paths in seen[:4]] == [1, 2, 3, 4]
        return [path for paths in seen for path in paths]

    step, other = loops(model)
    assert_same(*([replace(path, kept=None) for path in chained(loop)] for loop in (step, other)))
    client = other.client
    assert isinstance(client, FakeClient) and not client.waiting, "no request is left behind"
    with pytest.raises(ConfigError, match=r"engine\.max_model_len="):
        other.run(first, rule, free, then=lambda place, path: replace(first[place], prompt_ids=(3,) * 10_000))


def test_an_engine_that_takes_another_token_is_refused(model: Any) -> None:
    other = loops(model, wrong=4)[1]
    with pytest.raises(StageError, match="does not take the drawn token"):
        other.run(jobs(), PickRule(), STOP)
    client = other.client
    assert isinstance(client, FakeClient) and not client.waiting, "no request is left behind"


def test_jobs_that_can_not_run_are_refused_by_their_place(model: Any) -> None:
    other = loops(model, positions=20)[1]
    with pytest.raises(ConfigError, match="job 1: an empty prompt"):
        other.run([PathJob((3,), 0), PathJob((), 0)], PickRule(), StopRules((), 4))
    with pytest.raises(ConfigError, match=r"engine\.max_model_len=20"):
        other.run([PathJob((3,) * 10, 0)], PickRule(), StopRules((), 11))


def test_progress_counts_every_path_once(model: Any) -> None:
    seen: list[tuple[int, int]] = []
    client = FakeClient(model)
    loop = VllmLoop(client, tokenizer(), EOS, len(tokenizer()), lambda paths, tokens: seen.append((paths, tokens)))
    paths = loop.run(jobs(), PickRule(), STOP)
    assert sum(count for count, _ in seen) == len(paths)
    assert sum(tokens for _, tokens in seen) == sum(len(path.token_ids) for path in paths)


def test_rows_follow_removals_additions_moves_and_swaps() -> None:
    rows, rule = KeyedRows(), PickRule()

    def extra(key: str) -> dict[str, Any]:
        return {KEY: row_args(key, PathJob((1, 2), 0), rule, 0)}

    rows.update([], [(0, extra("a"), []), (1, extra("b"), []), (2, None, []), (3, extra("c"), [])], [])
    assert {index: row.key for index, row in rows.rows.items()} == {0: "a", 1: "b", 3: "c"}
    rows.update([0], [], [(3, 0, False)])
    assert {index: row.key for index, row in rows.rows.items()} == {0: "c", 1: "b"}
    rows.update([], [], [(0, 1, True)])
    assert {index: row.key for index, row in rows.rows.items()} == {0: "b", 1: "c"}
    rows.update([], [(1, None, [])], [(0, 2, True)])  # another request takes row 1; a swap with a row that is not ours
    assert {index: row.key for index, row in rows.rows.items()} == {2: "b"}
    assert rows.prompts(3).tolist() == [0, 0, 2]


def test_requests_of_others_keep_their_logits() -> None:
    rows = KeyedRows()
    rows.update([], [(1, {KEY: row_args("a", PathJob((1,), 0), PickRule(), 0)}, [])], [])
    logits = torch.randn(3, 50)
    before = logits.clone()
    rows.draw(logits)
    assert torch.equal(logits[[0, 2]], before[[0, 2]]) and torch.isinf(logits[1]).sum() == 1
