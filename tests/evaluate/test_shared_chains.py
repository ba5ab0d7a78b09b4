"""Laws of shared chains in the store: drawn once for all strategies, paid by each, and the same after any kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elicit.evaluate.stages import generate as stage
from elicit.evaluate.stages.generate import generate
from elicit.evaluate.store import SampleFolder
from elicit.files import read_rows, shards
from elicit.policy.checkpoint import wrap
from elicit.policy.decoding import REGIMES
from elicit.policy.policy import Policy
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.task import StopRules
from methods.decoding.deepconf import DeepConf
from methods.decoding.method import Decoding
from methods.decoding.sampled import BestOfN, SelfConsistency
from tests.sampling.models import tiny_model, tokenizer
from tests.toy import ToyTask

TASK = ToyTask()
ITEMS = TASK.items("test", limit=5)
SUPPORT = REGIMES["support"]


@pytest.fixture
def base() -> Policy:
    return Policy(wrap(tiny_model(), tokenizer()))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Jobs of every run of the loop; shards of two items."""
    counts: list[int] = []
    original = StepLoop.run

    def counted(self: StepLoop, jobs: Any, *more: Any) -> Any:
        counts.append(len(jobs))
        return original(self, jobs, *more)

    monkeypatch.setattr(StepLoop, "run", counted)
    monkeypatch.setattr(stage, "SHARD_ITEMS", 2)
    return counts


def rows(folder: Path) -> list[dict[str, Any]]:
    return sorted(read_rows(shards(folder)), key=lambda row: (row["item"], row["j"]))


def chains(folder: Path) -> list[Any]:
    found = read_rows(sorted(folder.glob("chains-*.parquet")))
    return sorted((row["item"], row["j"], row["chain"], row["token_ids"]) for row in found)


def test_strategies_and_their_placebo_draw_the_chains_once_and_pay_each(
    base: Policy, drawn: list[int], tmp_path: Path
) -> None:
    pick = Decoding(SelfConsistency(n=3)).placebos()["random_pick"].strategy  # type: ignore[attr-defined]
    strategies = [SelfConsistency(n=3), BestOfN(n=3), DeepConf(n=3, window=4), pick]
    folders = [generate(base.with_intervention(s), TASK, ITEMS, SUPPORT, 2, tmp_path) for s in strategies]
    assert sum(drawn) == 5 * 2 * 3, "items x samples x chains, once"
    assert len({str(chains(folder)) for folder in folders}) == 1
    tokens = [[row["total_tokens"] for row in rows(folder)] for folder in folders]
    assert tokens[0] == tokens[1] == tokens[2] == tokens[3] and min(tokens[0]) > 3
    seconds = [sum(shard.seconds for shard in SampleFolder(folder).timings) for folder in folders]
    drawing = sum(row["seconds"] for row in read_rows(sorted((tmp_path / "pools").rglob("pool-*.parquet"))))
    assert min(seconds) >= 0.999 * drawing > 0, "the time of the chains is counted also if they are only read"


def test_shared_rows_are_bit_equal_to_those_of_a_strategy_that_ran_alone(
    base: Policy, drawn: list[int], tmp_path: Path
) -> None:
    best = base.with_intervention(BestOfN(n=3))
    alone = generate(best, TASK, ITEMS, SUPPORT, 2, tmp_path / "alone")
    generate(base.with_intervention(SelfConsistency(n=3)), TASK, ITEMS, SUPPORT, 2, tmp_path / "shared")
    shared = generate(best, TASK, ITEMS, SUPPORT, 2, tmp_path / "shared")
    assert rows(shared) == rows(alone) and chains(shared) == chains(alone)


def test_more_chains_of_fewer_samples_find_what_they_have_in_common(
    base: Policy, drawn: list[int], tmp_path: Path
) -> None:
    generate(base.with_intervention(SelfConsistency(n=2)), TASK, ITEMS, SUPPORT, 3, tmp_path)
    before = sum(drawn)
    generate(base.with_intervention(SelfConsistency(n=4)), TASK, ITEMS, SUPPORT, 2, tmp_path)
    assert sum(drawn) - before == 5 * 2, "chains 0..5 of an item were there, 6 and 7 were not"


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("place", ["keep", "write"])
def test_killed_at_any_point_and_resumed_is_uninterrupted(
    base: Policy, drawn: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, place: str
) -> None:
    policy = base.with_intervention(SelfConsistency(n=2))
    whole = generate(policy, TASK, ITEMS, SUPPORT, 2, tmp_path / "whole")
    count = 0
    owner, name = {"keep": (stage.Pool, "keep"), "write": (stage, "write_rows")}[place]
    original = getattr(owner, name)

    def dying(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == at:
            raise MemoryError("killed")
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dying)
        with pytest.raises(MemoryError):
            generate(policy, TASK, ITEMS, SUPPORT, 2, tmp_path / "cut")
    drawn.clear()
    cut = generate(policy, TASK, ITEMS, SUPPORT, 2, tmp_path / "cut")
    assert rows(cut) == rows(whole) and chains(cut) == chains(whole)
    assert sum(drawn) < 5 * 2 * 2 or (place, at) == ("keep", 1), "what was kept is not drawn again"


def test_plain_policies_have_no_pool(base: Policy, drawn: list[int], tmp_path: Path) -> None:
    generate(base, TASK, ITEMS, SUPPORT, 2, tmp_path)
    assert not (tmp_path / "pools").exists()


def test_tasks_that_are_asked_alike_share_a_policy_and_not_a_folder(
    base: Policy, drawn: list[int], tmp_path: Path
) -> None:
    """One sweep over tasks, one store: each task has its own limits, prompts and manifest."""
    other = ToyTask(name="other", stop=StopRules(max_new_tokens=9))
    folders = [generate(base, task, task.items("test", limit=2), SUPPORT, 2, tmp_path) for task in (TASK, other)]
    assert folders[0].parent == folders[1].parent and folders[0] != folders[1]
    assert [len(rows(folder)) for folder in folders] == [4, 4]
