"""Laws of a plan: the jobs of a command, their names, order, seeds and saved configurations stay as published."""

from __future__ import annotations

import json

import pytest

from elicit.config import compose
from elicit.config.compose import Composer, sweep_jobs
from elicit.errors import ConfigError
from elicit.experiment.plan import plan
from tests.plans import COMMANDS, FROZEN, rows


@pytest.mark.parametrize("command", COMMANDS)
def test_the_jobs_of_a_command_are_the_frozen_ones(command: str) -> None:
    assert rows(command) == json.loads(FROZEN.read_text())[command]


def test_groups_that_are_named_are_comparisons_of_their_own() -> None:
    base, composer = ["method=decoding,contrastive", "model=organism", "tracker=none"], Composer()

    def groups(*words: str) -> dict[str, set[str]]:
        plans = plan(sweep_jobs([*base, *words], composer), composer)
        return {one.group: {job.settings.group or "" for job in one.jobs} for one in plans}

    assert groups("task=chain", "group=a,b") == {"a": {"a"}, "b": {"b"}}
    assert groups("task=chain,walk", "group=a,b") == {
        "a-chain": {"a"},
        "a-walk": {"a"},
        "b-chain": {"b"},
        "b-walk": {"b"},
    }
    assert len(groups("task=chain", "seed=1,2")) == 1


def test_seeds_values_and_controls_cost_no_further_composition(monkeypatch: pytest.MonkeyPatch) -> None:
    merged: list[tuple[str, ...]] = []
    merge = compose._merge
    monkeypatch.setattr(compose, "_merge", lambda words: merged.append(tuple(words)) or merge(words))
    words = ["method=decoding,contrastive", "seed=1,2", "eval.n=4,8", "placebos=all", "rivals=all", "tracker=none"]
    composer = Composer()
    jobs = [job for one in plan(sweep_jobs(words, composer), composer) for job in one.jobs]
    assert len(jobs) > 2 * 2 * 2 and len(merged) == 2
    assert {job.settings.eval.n for job in jobs} == {4, 8} and {job.settings.seed for job in jobs} == {1, 2}


@pytest.mark.parametrize(
    "words",
    [
        ["eval.n=4", "eval.n=8"],
        ["method=contrastive", "method.strengths=[0.5,1.0]", "group=g-${seed}", "seed=3"],
        ["method=critique_ft", "~method.sft.steps", "method.sft.batch=8"],
        ["model.path=some/where", "eval={n: 3}"],
        ["method=contrastive", "eval.c3={_class_: elicit.training.sft.gold.GoldSft, items: 4}", "eval.c3.items=5"],
    ],
)
def test_values_set_on_a_copy_are_those_that_hydra_sets_itself(words: list[str]) -> None:
    def node(composer: Composer, whole: bool) -> dict[str, object] | str:
        with pytest.MonkeyPatch.context() as patch:
            if whole:
                patch.setattr(compose, "_split", lambda prepared: (tuple(prepared), []))
            try:
                return composer.node(words)
            except ConfigError:
                return "refused"

    assert node(Composer(), whole=False) == node(Composer(), whole=True)
