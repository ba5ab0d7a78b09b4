"""Laws of names: a row is called as its preset is, and a sweep over presets has no two jobs of one name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from elicit.config.build import build
from elicit.config.compose import sweep_jobs
from elicit.experiment.plan import plan
from elicit.policy.intervention import save
from elicit.policy.policy import load_intervention
from methods.decoding.method import Decoding
from methods.decoding.plain import Temperature

PRESETS = sorted((Path(__file__).parents[3] / "configs" / "method" / "strategy").glob("*.yaml"))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_the_default_name_of_a_decoding_job_is_its_presets(path: Path, tmp_path: Path) -> None:
    strategy = build(yaml.safe_load(path.read_text()), path.name)
    method = Decoding(strategy)
    assert method.name == path.stem
    assert Decoding(strategy, name="mine").name == "mine"
    controls = {**method.placebos(), **method.rivals()}
    assert {control.name for control in controls.values()} <= {path.stem}, "controls belong to their method"
    for control in (method, *controls.values()):
        if isinstance(control, Decoding):
            save(control.strategy, tmp_path / control.strategy.id)
            assert load_intervention(tmp_path / control.strategy.id) == control.strategy


def test_what_truncates_names_a_temperature() -> None:
    assert [Temperature(1.0, **more).name for more in ({}, {"top_k": 9}, {"top_p": 0.9}, {"min_p": 0.1})] == [
        "temperature", "top_k", "top_p", "min_p",
    ]  # fmt: skip


def test_a_sweep_over_strategies_and_tasks_is_one_comparison_a_task_with_distinct_names() -> None:
    names = ["greedy", "low_temperature", "self_consistency", "cot_decoding", "deepconf"]
    line = ["method=decoding", f"method/strategy={','.join(names)}", "model=organism", "task=chain,add", "tracker=none"]
    comparisons = plan(sweep_jobs(line))
    assert [[job.name for job in comparison.jobs] for comparison in comparisons] == [names, names]
    assert len({comparison.group for comparison in comparisons}) == 2


def test_settings_of_one_strategy_are_told_apart_by_their_arm() -> None:
    line = ["method=decoding", "method/strategy=best_of_n", "method.strategy.by=mean_logprob,self_certainty"]
    (comparison,) = plan(sweep_jobs([*line, "tracker=none"]))
    assert len({job.name for job in comparison.jobs}) == 2
