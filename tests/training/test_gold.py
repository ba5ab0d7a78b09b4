"""Ceiling C3: it trains on the steps of the task's gold, books them as foreign text, and is refused without steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from elicit.errors import ConfigError, MethodError
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.checkpoint import wrap
from elicit.policy.policy import Policy
from elicit.tasks.natural.gsm8k import Gsm8k
from elicit.training.sft import gold
from elicit.training.sft.gold import SMALL_RATE, GoldSft, has_steps
from elicit.training.sft.rows import Row
from elicit.training.sft.sft import SftConfig, train
from elicit.watch import watching
from tests.sampling.models import tiny_model, tokenizer
from tests.toy import ToyTask

SHORT = SftConfig(steps=6, batch=8, learning_rate=1e-2, warmup=0.0)
WORKED = [
    {"question": f"Tom has {a} apples and finds {b}. How many?", "answer": f"Tom has {a}+{b}=<<{a}+{b}={a + b}>>{a + b}"
     f" apples.\nNo more.\n#### {a + b}"} for a in range(12) for b in range(6)
]  # fmt: skip


def tiny() -> Policy:
    return Policy(wrap(tiny_model(dtype=torch.float32), tokenizer()))


@pytest.fixture
def gsm8k(tmp_path: Path) -> Gsm8k:
    path = tmp_path / "data" / "train.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in WORKED), encoding="utf-8")
    return Gsm8k(path=str(path))


def fit(task: Any, folder: Path, method: GoldSft) -> tuple[Any, Ledger]:
    folder.mkdir()
    ledger = Ledger(task, "C3")
    context = Context(np.random.default_rng(0), folder, lambda policy, limit=None: 0.0)
    with watching([folder], ledger.unaccounted):
        return method.fit(tiny(), ledger, context), ledger


def test_questions_are_trained_with_their_worked_solutions_which_are_booked_as_foreign_text(
    gsm8k: Gsm8k, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Row] = []

    def recorded(policy: Policy, rows: list[Row], *others: Any, **named: Any) -> Any:
        trained.extend(rows)
        return train(policy, rows, *others, **named)

    monkeypatch.setattr(gold, "train", recorded)
    edit, ledger = fit(gsm8k, tmp_path / "fit", GoldSft(items=20, sft=SHORT))
    assert edit.differences
    assert ledger.data_class == "T" and len(ledger.used) == 20
    assert sum(row.foreign_tokens for row in ledger.rows) > 20 * 5
    solutions = {f"Question: {item.question}\nAnswer:": gsm8k.gold_trace(item) for item in gsm8k.items("train")}
    assert len({row.prompt for row in trained}) == 20
    for row in trained:
        assert row.completion.strip() == solutions[row.prompt].strip() and row.completion[0].isspace()


def test_a_gold_trace_is_graded_right_and_has_no_calculator_marks(gsm8k: Gsm8k) -> None:
    for item in gsm8k.items("train"):
        trace = gsm8k.gold_trace(item)
        assert has_steps(trace) and "<<" not in trace and gsm8k.grade(item, trace, True).strict


def test_gold_without_steps_is_refused_naming_it(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match=r"no steps to learn \('The answer is \d+\.'\)"):
        fit(ToyTask(), tmp_path / "fit", GoldSft(items=4, sft=SHORT))


def test_a_small_model_gets_a_rate_at_which_it_moves_unless_one_is_given() -> None:
    assert GoldSft()._sized(tiny()).rate == SMALL_RATE
    assert GoldSft(sft=SHORT)._sized(tiny()).rate == 1e-2
    assert GoldSft(sft=SftConfig(update="lora"))._sized(tiny()).rate == SftConfig(update="lora").rate
    with pytest.raises(ConfigError, match="items=0"):
        GoldSft(items=0)
