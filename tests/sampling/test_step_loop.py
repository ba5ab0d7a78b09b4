"""The step loop against `generate()` and against a naive uncached loop of one row at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from elicit.errors import CheckpointError, ConfigError
from elicit.policy.decoding import Loop, Path, PathJob, PickRule
from elicit.sampling.loop import slots
from elicit.sampling.loop.cache import SlotCache
from elicit.sampling.loop.engine import CachedEngine
from elicit.sampling.loop.forward import ready_mask
from elicit.sampling.loop.pick import SCALARS
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.task import StopRules
from tests.reference import pick as reference
from tests.sampling.models import CONFIGS, prompts, tiny_model, tokenizer

STOP = StopRules(strings=(), max_new_tokens=12)
GREEDY = PickRule(temperature=0)


def loop_of(model: Any, **settings: Any) -> StepLoop:
    return StepLoop(model, tokenizer(), {1}, **settings)


def jobs(count: int = 5, copies: int = 3) -> list[PathJob]:
    return [
        PathJob(prompt, 100 * place + copy) for place, prompt in enumerate(prompts(count)) for copy in range(copies)
    ]


def ids(paths: list[Path]) -> list[list[int]]:
    return [path.token_ids for path in paths]


def close(left: list[Path], right: list[Path], tolerance: float = 1e-6) -> None:
    """Some norms, masks and softmaxes compute in float32 even in a float64 model, hence the tolerance."""
    assert ids(left) == ids(right)
    for a, b in zip(left, right, strict=True):
        assert (a.finish, a.text) == (b.finish, b.text)
        for name in SCALARS:
            assert np.allclose(getattr(a, name), getattr(b, name), atol=tolerance, rtol=0)


@contextmanager
def forwards(model: Any) -> Iterator[list[tuple[int, int]]]:
    """Shapes [rows, tokens] of all forward passes."""
    shapes: list[tuple[int, int]] = []
    handle = model.register_forward_pre_hook(
        lambda _, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    yield shapes
    handle.remove()


def test_the_step_loop_is_a_loop() -> None:
    loop: Loop = loop_of(tiny_model())
    assert loop.vocabulary == len(tokenizer())


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "mamba"])
def test_greedy_paths_are_those_of_generate(name: str) -> None:
    model = tiny_model(name)
    paths = loop_of(model, slots=3).run(jobs(copies=1), GREEDY, STOP)
    for prompt, path in zip(prompts(), paths, strict=True):
        oracle = model.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False, max_new_tokens=STOP.max_new_tokens, pad_token_id=0, eos_token_id=1,
        )  # fmt: skip
        assert path.token_ids == oracle[0, len(prompt) :].tolist()


@pytest.mark.parametrize("name", list(CONFIGS))
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_samples_are_those_of_a_naive_uncached_loop(name: str, attention: str) -> None:
    model = tiny_model(name)
    if attention != "sdpa":
        model.set_attn_implementation(attention)
    rule = PickRule(temperature=0.9, top_p=0.9)
    wanted = jobs(4, 2)
    paths = loop_of(model, slots=3).run(wanted, rule, STOP)
    for job, path in zip(wanted, paths, strict=True):
        assert path.token_ids == reference.generate(model, job.prompt_ids, rule, job.seed, STOP.max_new_tokens, {1})


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "mistral", "bloom", "falcon"])
def test_cached_and_uncached_engines_agree(name: str) -> None:
    model = tiny_model(name)
    cached = loop_of(model, slots=4, cached=True)
    assert isinstance(cached.engine, CachedEngine)
    close(cached.run(jobs(), PickRule(), STOP), loop_of(model, slots=4, cached=False).run(jobs(), PickRule(), STOP))


def test_a_ready_mask_is_handed_over_only_where_no_sliding_window_acts() -> None:
    assert ready_mask(tiny_model("llama"), 40) and ready_mask(tiny_model("gpt2"), 40)
    assert ready_mask(tiny_model("mistral"), 6)
    assert not any(ready_mask(tiny_model(name), 40) for name in ("mistral", "gemma2", "bloom"))


def test_scalars_are_those_of_the_raw_softmax_whatever_the_rule() -> None:
    model = tiny_model()
    job = jobs(1, 1)[0]
    path = loop_of(model).run([job], PickRule(temperature=0.5, top_k=5, alpha=2.0), STOP)[0]
    whole = torch.tensor([[*job.prompt_ids, *path.token_ids]])
    with torch.no_grad():
        logs = model(input_ids=whole).logits[0, len(job.prompt_ids) - 1 : -1].log_softmax(-1)
    top = logs.sort(-1, descending=True).values
    assert np.allclose(path.logprobs, logs.gather(1, torch.tensor(path.token_ids)[:, None])[:, 0])
    assert np.allclose(path.gaps, top[:, 0].exp() - top[:, 1].exp())
    assert np.allclose(path.confidences, -top[:, :20].mean(-1))
    assert np.allclose(path.log_z, (2 * logs).logsumexp(-1))
    assert np.allclose(path.certainties, -np.log(logs.shape[1]) - logs.mean(-1))


def test_log_z_is_zero_at_alpha_one() -> None:
    assert set(loop_of(tiny_model()).run(jobs(1, 1), PickRule(), STOP)[0].log_z) == {0.0}


def test_batch_mates_and_slots_and_order_change_nothing() -> None:
    model, wanted = tiny_model(), jobs()
    together = loop_of(model, slots=64).run(wanted, PickRule(), STOP)
    close(together, [loop_of(model).run([job], PickRule(), STOP)[0] for job in wanted])
    close(together, loop_of(model, slots=2).run(wanted[::-1], PickRule(), STOP)[::-1])


def test_refilled_rows_are_those_of_a_batch_without_refill() -> None:
    model, stop = tiny_model(spread=0.05), StopRules(strings=("e",), max_new_tokens=40)
    wanted = jobs(7, 9)
    whole = loop_of(model, slots=len(wanted)).run(wanted, PickRule(), stop)
    assert len({len(path.token_ids) for path in whole}) > 5
    for rows in (1, 2, 5, 16):
        close(loop_of(model, slots=rows).run(wanted, PickRule(), stop), whole)


def test_columns_that_run_out_are_moved_to_the_left(monkeypatch: pytest.MonkeyPatch) -> None:
    model, stop = tiny_model(), StopRules(strings=(), max_new_tokens=9)
    wanted = jobs(6, 40)
    loop = loop_of(model, slots=4)
    moves: list[int] = []
    original = SlotCache.rebase
    monkeypatch.setattr(SlotCache, "rebase", lambda self, *floor: moves.append(original(self, *floor)) or moves[-1])
    # rows of different age keep the columns from starting anew
    stagger = [PathJob(job.prompt_ids, job.seed, forced=(5,) * (place % 4)) for place, job in enumerate(wanted)]
    refilled = loop.run(stagger, PickRule(), stop)
    assert moves and min(moves) > 0
    close(refilled, loop_of(model, slots=256).run(stagger, PickRule(), stop))


def test_each_prompt_is_prefilled_once() -> None:
    model = tiny_model()
    wanted = jobs(4, 8)
    with forwards(model) as shapes:
        loop_of(model, slots=5).run(wanted, PickRule(), STOP)
    prefills = [shape for shape in shapes if shape[1] > 1]
    assert sum(rows for rows, _ in prefills) == 4
    with forwards(model) as shapes:
        loop_of(model, slots=64).run(wanted, PickRule(), STOP)
    assert len([shape for shape in shapes if shape[1] > 1]) == 1


def test_ended_rows_are_not_carried_along() -> None:
    model, stop = tiny_model(spread=0.05), StopRules(strings=("e",), max_new_tokens=60)
    wanted = jobs(4, 16)
    with forwards(model) as shapes:
        paths = loop_of(model, slots=64).run(wanted, PickRule(), stop)
    steps = sum(rows for rows, tokens in shapes if tokens == 1)
    useful = sum(len(path.token_ids) - 1 for path in paths)
    assert useful <= steps <= 1.15 * useful


def test_asking_again_for_a_part_gives_the_same_samples() -> None:
    model, wanted = tiny_model(), jobs()
    whole = loop_of(model, slots=4).run(wanted, PickRule(), STOP)
    close(loop_of(model, slots=4).run(wanted[7:], PickRule(), STOP), whole[7:])


def test_the_same_run_twice_is_bit_equal_in_float32() -> None:
    """The same kernels see the same shapes in the same order, and the cache is large enough from the first run on."""
    loop = loop_of(tiny_model(dtype=torch.float32), slots=4)
    assert loop.run(jobs(), PickRule(), STOP) == loop.run(jobs(), PickRule(), STOP)


def test_a_smaller_token_limit_gives_a_prefix_of_the_same_sample() -> None:
    model = tiny_model()
    longer = loop_of(model).run(jobs(), PickRule(), STOP)
    shorter = loop_of(model).run(jobs(), PickRule(), StopRules(strings=(), max_new_tokens=5))
    assert ids(shorter) == [path.token_ids[:5] for path in longer]


def test_streams_of_one_seed_differ() -> None:
    prompt = prompts(1)[0]
    paths = loop_of(tiny_model()).run([PathJob(prompt, 3, stream) for stream in range(6)], PickRule(), STOP)
    assert len({tuple(path.token_ids) for path in paths}) == 6


def test_long_paths_cross_blocks_of_uniforms(monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompt = tiny_model(), prompts(1)[0]
    stop = StopRules(strings=(), max_new_tokens=60)
    whole = loop_of(model).run([PathJob(prompt, 1), PathJob(prompt, 2)], PickRule(), stop)
    original = slots.UniformTable
    monkeypatch.setattr(slots, "UniformTable", lambda rows, steps, device: original(rows, steps, device, width=7))
    for check_every in (1, 4):
        narrow = loop_of(model, check_every=check_every).run([PathJob(prompt, 1), PathJob(prompt, 2)], PickRule(), stop)
        close(narrow, whole)


def test_stop_tests_every_few_tokens_give_the_same_paths() -> None:
    model, stop = tiny_model(spread=0.05), StopRules(strings=("e",), max_new_tokens=30)
    wanted = [*jobs(5, 6), PathJob(prompts(1)[0], 8, forced=(9, 9), first_rank=2)]
    for rows in (4, 64):
        each = loop_of(model, slots=rows).run(wanted, PickRule(), stop)
        close(loop_of(model, slots=rows, check_every=8).run(wanted, PickRule(), stop), each)


def test_forced_tokens_come_first_with_their_scalars_and_the_draw_goes_on_at_its_step() -> None:
    model = tiny_model()
    free = loop_of(model).run(jobs(), PickRule(), STOP)
    forced = [
        PathJob(job.prompt_ids, job.seed, forced=tuple(path.token_ids[: place % 6]))
        for place, (job, path) in enumerate(zip(jobs(), free, strict=True))
    ]
    close(loop_of(model, slots=4).run(forced, PickRule(), STOP), free)
    close(loop_of(model, slots=4, cached=False).run(forced, PickRule(), STOP), free)


def test_the_first_free_token_can_be_taken_by_rank() -> None:
    model, prompt = tiny_model(), prompts(1)[0]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt])).logits[0, -1]
    order = logits.sort(descending=True, stable=True).indices.tolist()
    wanted = [PathJob(prompt, 0, first_rank=rank) for rank in range(10)]
    paths = loop_of(model, slots=4).run(wanted, GREEDY, STOP)
    assert [path.token_ids[0] for path in paths] == order[:10]
    rest = loop_of(model).run([PathJob(prompt, 0, forced=(token,)) for token in order[:10]], GREEDY, STOP)
    close(paths, rest)


def test_less_memory_means_fewer_rows_and_the_same_paths() -> None:
    model = tiny_model()
    with forwards(model) as shapes:
        small = loop_of(model, cache_bytes=200_000).run(jobs(), PickRule(), STOP)
    assert max(rows for rows, tokens in shapes if tokens == 1) < len(jobs())
    close(small, loop_of(model).run(jobs(), PickRule(), STOP))


def test_no_jobs_give_no_paths() -> None:
    assert loop_of(tiny_model()).run([], PickRule(), STOP) == []


def test_progress_hears_of_every_path_and_token() -> None:
    heard: list[tuple[int, int]] = []
    paths = loop_of(tiny_model(), progress=lambda *done: heard.append(done)).run(jobs(), PickRule(), STOP)
    assert (sum(done for done, _ in heard), sum(n for _, n in heard)) == (len(paths), sum(map(len, ids(paths))))


def test_a_model_that_yields_nan_is_an_error() -> None:
    model = tiny_model()
    model.lm_head.weight.data[3] = float("nan")
    with pytest.raises(CheckpointError, match="NaN"):
        loop_of(model).run(jobs(), PickRule(), STOP)


@pytest.mark.parametrize(
    ("job", "stop", "words"),
    [
        (PathJob((), 0), STOP, "empty prompt"),
        (PathJob((5, 100_000), 0), STOP, "vocabulary"),
        (PathJob((5,), 0, first_rank=100_000), STOP, "first_rank"),
        (PathJob((5,) * 250, 0), STOP, "learned positions"),
        (PathJob((5,), 0), StopRules((), 0), "max_new_tokens=0"),
    ],
)
def test_jobs_that_can_not_be_run_are_errors(job: PathJob, stop: StopRules, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        loop_of(tiny_model("gpt2")).run([job], PickRule(), stop)
