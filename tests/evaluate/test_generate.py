"""Laws of the sample store: keyed rows, kept shards, refused mixes. Invariants 6 and 7 on disk."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from elicit.errors import ConfigError, StageError
from elicit.evaluate.stages import generate as stage
from elicit.evaluate.stages.generate import generate
from elicit.evaluate.store import SampleFolder
from elicit.files import content_hash, read_json, read_rows, seed_of, shards, write_json
from elicit.policy.decoding import REGIMES, Candidate, Outcome, PickRule, Regime, Sampling
from elicit.policy.decoding import Path as Completion
from elicit.records import Item
from elicit.tasks.task import PromptFormat, StopRules
from tests.evaluate.simulated import items


@dataclass
class FakeTask:
    name: str = "chain"
    stop: StopRules = field(default_factory=lambda: StopRules(max_new_tokens=24))
    prompts: dict[str, PromptFormat] = field(default_factory=lambda: {"bare": PromptFormat("bare")})
    keys: dict[str, PromptFormat] = field(default_factory=dict)


@dataclass
class FakeCheckpoint:
    id: str = "c0ffee"
    dtype: str = "float32"
    engine: Any = None

    def info(self) -> dict[str, Any]:
        return {"dtype": self.dtype, "attention": "sdpa"}


@dataclass
class FakePolicy:
    id: str = "p0"
    prompt: PromptFormat = field(default_factory=lambda: PromptFormat("bare"))
    checkpoint: FakeCheckpoint = field(default_factory=FakeCheckpoint)
    strategy: Any = None

    def prompt_ids(self, question: str) -> tuple[int, ...]:
        return tuple(question.encode())


class FakeSampler:
    """A sampler whose text hashes the key; it can die, or be interrupted, at a given call."""

    def __init__(self, die_at: int | None = None, interrupt_at: int | None = None, chains: bool = False) -> None:
        self.calls, self.drawn, self.die_at, self.interrupt_at, self.chains = 0, 0, die_at, interrupt_at, chains
        self.entered = self.left = 0

    @contextmanager
    def __call__(self, policy: Any, regime: Regime, task: Any, **settings: Any) -> Iterator[FakeSampler]:
        self.policy, self.regime = policy, regime
        self.entered += 1
        yield self
        self.left += 1

    def draw(self, items: Sequence[Item], js: Sequence[int]) -> list[tuple[Item, int, Outcome]]:
        self.calls += 1
        if self.calls == self.die_at:
            raise MemoryError("killed")
        if self.calls == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        self.drawn += len(items) * len(js)
        policy, regime = self.policy.id, self.regime.name
        return [(item, j, self._outcome(seed_of(policy, regime, item.id, j))) for item in items for j in js]

    def _outcome(self, seed: int) -> Outcome:
        ids = [seed % 97, seed % 89]
        path = Completion(ids, [-0.5, -0.1], [0.1, 0.2], [1.0, 1.0], [0.0, 0.0], "eos", f" The answer is {seed % 10}.")
        return Outcome(path, [Candidate(path, {"delta": 0.1})] * 2 if self.chains else [], 0, 2, 0)


def rows(folder: Path) -> list[dict[str, Any]]:
    return sorted(read_rows(shards(folder)), key=lambda row: (row["item"], row["j"]))


def run(
    monkeypatch: pytest.MonkeyPatch, store: Path, sampler: FakeSampler, n: int = 20, count: int = 40, **more: Any
) -> Path:
    monkeypatch.setattr(stage, "sampler", sampler)
    policy = more.pop("policy", FakePolicy())
    return generate(
        policy, more.pop("task", FakeTask()), items(count), more.pop("regime", REGIMES["compare"]), n, store, **more
    )


SHARDS = 6  # 40 items in 3 blocks, 20 samples in 2


@pytest.mark.parametrize("at", range(1, SHARDS + 1))
def test_killed_at_any_shard_and_resumed_is_uninterrupted(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(monkeypatch, tmp_path / "whole", FakeSampler())
    with pytest.raises(MemoryError):
        run(monkeypatch, tmp_path / "cut", FakeSampler(die_at=at))
    assert not (stage.folder_of(tmp_path / "cut", "p0", "compare", "chain") / "manifest.json").exists()
    again = FakeSampler()
    cut = run(monkeypatch, tmp_path / "cut", again)
    assert again.calls == SHARDS - at + 1
    assert rows(cut) == rows(whole)
    assert [path.name for path in shards(cut)] == [path.name for path in shards(whole)]
    for name in ("manifest.json", "fingerprint.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_a_finished_stage_samples_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = FakeSampler(), FakeSampler()
    run(monkeypatch, tmp_path, first)
    assert (first.calls, first.entered, first.left) == (SHARDS, 1, 1), "the policy is applied once for all shards"
    run(monkeypatch, tmp_path, again)
    assert (again.calls, again.entered) == (0, 0)


@pytest.mark.parametrize("first, then", [(16, 64), (4, 16), (5, 20), (3, 40)])
def test_more_samples_cost_the_difference_and_give_the_same_rows(
    first: int, then: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, tmp_path / "grown", FakeSampler(), first, 10)
    more = FakeSampler()
    grown = run(monkeypatch, tmp_path / "grown", more, then, 10)
    assert more.drawn == 10 * (then - first)
    assert rows(grown) == rows(run(monkeypatch, tmp_path / "at_once", FakeSampler(), then, 10))


def test_item_sets_share_a_folder_and_their_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, tmp_path, FakeSampler(), 4, 20)
    more = FakeSampler()
    folder = run(monkeypatch, tmp_path, more, 4, 50)
    assert more.drawn == 4 * 30
    keys = [(row["item"], row["j"]) for row in rows(folder)]
    assert len(keys) == len(set(keys)) == 200
    assert sorted(len(entry["items"]) for entry in read_json(folder / "manifest.json")["sets"].values()) == [20, 50]


def test_other_settings_are_refused_with_what_changed_and_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, tmp_path, FakeSampler())
    with pytest.raises(StageError, match=r"max_new_tokens.*delete it"):
        run(monkeypatch, tmp_path, FakeSampler(), max_new_tokens=48)
    with pytest.raises(StageError, match="dtype"):
        run(monkeypatch, tmp_path, FakeSampler(), policy=FakePolicy(checkpoint=FakeCheckpoint(dtype="bfloat16")))
    with pytest.raises(StageError, match="another rule"):
        run(monkeypatch, tmp_path, FakeSampler(), regime=Regime("compare", PickRule(temperature=0.9)))


def test_a_task_with_one_more_prompt_keeps_the_samples_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(monkeypatch, tmp_path, FakeSampler())
    before, again = rows(folder), FakeSampler()
    more = FakeTask(prompts={name: PromptFormat(name) for name in ("bare", "another")})
    monkeypatch.setattr(stage, "sampler", again)
    generate(FakePolicy(), more, items(40), REGIMES["compare"], 20, tmp_path)  # type: ignore[arg-type]
    assert again.drawn == 0 and rows(folder) == before
    other = FakePolicy(prompt=PromptFormat("bare", "Q: {question}\nA:"))
    with pytest.raises(StageError, match=r"another prompt;.*delete it"):
        run(monkeypatch, tmp_path, FakeSampler(), policy=other)


def test_a_folder_from_before_this_rule_is_continued_and_keeps_its_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = run(monkeypatch, tmp_path, FakeSampler()) / "fingerprint.json"
    earlier = read_json(path) | {"prompts": content_hash({"bare": "all prompts of the task"})}
    write_json(path, earlier)
    again = FakeSampler()
    run(monkeypatch, tmp_path, again)
    assert again.drawn == 0 and read_json(path) == earlier


def test_ctrl_c_finishes_the_shard_says_how_to_resume_and_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, tmp_path, FakeSampler(interrupt_at=2), say=said.append)
    assert signal.getsignal(signal.SIGINT) is before
    folder = stage.folder_of(tmp_path, "p0", "compare", "chain")
    assert len(shards(folder)) == 2 and "elicit resume" in said[-1]
    whole = run(monkeypatch, tmp_path / "whole", FakeSampler())
    assert rows(run(monkeypatch, tmp_path, FakeSampler())) == rows(whole)


def test_deterministic_policies_are_sampled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(rows(run(monkeypatch, tmp_path / "a", FakeSampler(), regime=REGIMES["greedy"]))) == 40
    greedy = FakePolicy(strategy=Sampling(PickRule(temperature=0.0)))
    assert len(rows(run(monkeypatch, tmp_path / "b", FakeSampler(), policy=greedy))) == 40


def test_chains_and_timings_lie_beside_the_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run(monkeypatch, tmp_path, FakeSampler(chains=True), 4, 10)
    chains = read_rows(folder.glob("chains-*.parquet"))
    assert len(chains) == 80 and {row["chain"] for row in chains} == {0, 1}
    timings = SampleFolder(folder).timings
    assert sum(shard.samples for shard in timings) == 40 and sum(shard.paths or 0 for shard in timings) == 80


def test_without_several_chains_a_sample_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timings = SampleFolder(run(monkeypatch, tmp_path, FakeSampler(), 4, 10)).timings
    assert sum(shard.paths or 0 for shard in timings) == sum(shard.samples for shard in timings) == 40


def test_progress_counts_what_is_there_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, tmp_path, FakeSampler(), 4, 20)
    seen: list[tuple[int, int]] = []
    run(monkeypatch, tmp_path, FakeSampler(), 8, 20, progress=lambda done, wanted, note="": seen.append((done, wanted)))
    assert seen[0] == (80, 160) and seen[-1] == (160, 160)


def test_nothing_to_sample_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="n=0"):
        run(monkeypatch, tmp_path, FakeSampler(), 0)


def test_a_real_tiny_model_gives_the_same_rows_in_one_go_and_in_two(tmp_path: Path) -> None:
    from elicit.policy.checkpoint import wrap
    from elicit.policy.policy import Policy
    from tests.sampling.models import tiny_model, tokenizer

    policy = Policy(wrap(tiny_model(), tokenizer()))
    arguments = (FakeTask(), items(3), REGIMES["support"])
    whole = generate(policy, *arguments, 4, tmp_path / "whole", max_new_tokens=6)
    generate(policy, *arguments, 2, tmp_path / "parts", max_new_tokens=6)
    parts = generate(policy, *arguments, 4, tmp_path / "parts", max_new_tokens=6)
    assert len(rows(whole)) == 12
    floats = ("logprobs", "confidence", "self_certainty")
    for one, other in zip(rows(whole), rows(parts), strict=True):
        assert {k: v for k, v in one.items() if k not in floats} == {k: v for k, v in other.items() if k not in floats}
        assert all(one[name] == pytest.approx(other[name]) for name in floats)
