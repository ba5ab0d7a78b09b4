"""The four stages in a row on a tiny random model and a real task: generate, grade, measure, compare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from elicit.evaluate.comparison import prereg
from elicit.evaluate.comparison.compare import CompareConfig, compare
from elicit.evaluate.entry import Entry
from elicit.evaluate.stages.generate import generate
from elicit.evaluate.stages.grade import grade
from elicit.files import ordered_time
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.decoding import REGIMES
from elicit.policy.policy import Policy
from elicit.results import content_of
from elicit.tasks.formal.task import FormalTask
from tests.sampling.models import tiny_model, tokenizer


def test_a_comparison_of_a_model_that_knows_nothing_claims_nothing(tmp_path: Path) -> None:
    task = FormalTask(n_train=40, n_dev=20, n_test=20)
    found = task.items("test", 6)
    checkpoint = wrap(tiny_model(), tokenizer())
    prereg.freeze({"endpoints": ["ef"]}, tmp_path / "comparison", ordered_time(tmp_path / "store"))
    bare = Policy(checkpoint, prompt=task.prompts["bare"])
    forced = bare.with_prompt(task.keys["forced"])
    other = bare.with_intervention(ActivationEdit((Edit(0, torch.ones(checkpoint.model.config.hidden_size)),)))
    entries = []
    for role, name, policy, regime in (
        ("base", "base", bare, "compare"), ("method", "m", other, "compare"),
        ("ceiling", "C4", forced, "compare"), ("ceiling", "C1", bare, "support"),
    ):  # fmt: skip
        samples = generate(policy, task, found, REGIMES[regime], 4, tmp_path / "store", max_new_tokens=8)
        grades = grade(samples, task, {item.id: item for item in found}, tmp_path / "grades" / policy.id / regime)
        entries.append(Entry(role, name, policy.id, samples, grades, data_class="Z"))
    out = compare(entries, found, tmp_path / "comparison", task, CompareConfig("tiny", draws=200), checkpoint.info())
    method = next(line for line in out.lines if line.name == "m")
    assert out.frozen == "before" and out.setup.n == 4 and out.setup.max_new_tokens == 8
    assert "gap too small" in str(method.values["ef/B0/C4"].refused)
    gain = method.values["gain/B0"]
    assert gain.lo <= 0 <= gain.hi
    tokens = method.values["cost/tokens"].point
    assert method.number("cost/flops") == pytest.approx(2 * out.checkpoint["n_parameters"] * tokens)
    json.dumps(content_of(out), allow_nan=False)
