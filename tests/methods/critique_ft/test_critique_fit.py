"""Whole fits on the shipped organism, as small as they can be: what comes out, what is logged, what stays untouched.

Edits are compared by id, that is bit for bit, only if they come from the same samples, batches and seed on one machine.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.checkpoint import CheckpointConfig, load_checkpoint, parameters_hash
from elicit.policy.policy import Policy
from elicit.policy.weights import WeightEdit
from elicit.tasks.formal.task import FormalTask
from elicit.training.sft.dev_curve import DevCurve
from elicit.training.sft.sft import SftConfig
from methods.critique_ft.measures import balanced_accuracy
from methods.critique_ft.method import CritiqueFT, held_out_of
from methods.critique_ft.own import SelfCritic
from methods.critique_ft.program import ProgramCritic
from methods.critique_ft.responses import CorruptResponses, SelfResponses
from tests.methods.critique_ft.examples import chain_examples

TASK = FormalTask(n_train=30, n_dev=10, n_test=10, max_size=3, long_sizes=(4, 5))
SMALL = CritiqueFT(
    response=SelfResponses(4), critic=ProgramCritic("with_correction"), items=10, rows=12, held_out=4, curve=2,
    dev_items=4, measured=4, sft=SftConfig(steps=2, batch=4, micro_rows=4, learning_rate=1e-3, warmup=0.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def policy():
    return Policy(load_checkpoint(CheckpointConfig(path="organism", device="cpu", dtype="float32")))


def fit(policy, method, folder, log: list | None = None, scores=None, ledger=None) -> tuple[WeightEdit, Ledger]:
    ledger = ledger or Ledger(TASK, "test")
    rows = [] if log is None else log
    context = Context(np.random.default_rng(0), folder, lambda p, n: next(scores) if scores else 0.5, rows.append)
    return method.fit(policy, ledger, context), ledger


def test_a_fit_gives_a_weight_edit_logs_its_measures_and_leaves_the_checkpoint_alone(policy, tmp_path):
    before = parameters_hash(policy.checkpoint.model)
    log: list[dict] = []
    edit, ledger = fit(policy, SMALL, tmp_path, log, iter([0.25, 0.5]))
    assert isinstance(edit, WeightEdit) and edit.differences and ledger.data_class == "T"
    assert parameters_hash(policy.checkpoint.model) == before
    logged = {key: value for row in log for key, value in row.items()}
    for name in ("verdict_balanced_accuracy/base", "verdict_balanced_accuracy/trained", "critique_leak"):
        assert 0 <= logged[f"critique_ft/{name}"] <= 1
    assert {"critique_ft/format_retention", "critique_ft/length_change", "critique_ft/loss_tokens"} <= set(logged)
    assert logged["critique_ft/dev_last"] == logged["critique_ft/dev_best"] == 0.5
    assert [row["critique_ft/dev"] for row in log if "critique_ft/dev" in row] == [0.25, 0.5]
    assert not {item.id for item in TASK.items("test")} & set(ledger.used)


def test_the_same_fit_gives_the_same_edit(policy, tmp_path):
    assert fit(policy, SMALL, tmp_path / "a")[0].id == fit(policy, SMALL, tmp_path / "b")[0].id


def test_the_best_checkpoint_of_the_curve_is_kept_where_that_is_asked_for(policy, tmp_path):
    best, _ = fit(policy, replace(SMALL, keep="best"), tmp_path / "a", scores=iter([0.9, 0.1]))
    last, _ = fit(policy, replace(SMALL, keep="best"), tmp_path / "b", scores=iter([0.1, 0.9]))
    assert last.id == fit(policy, SMALL, tmp_path / "c")[0].id != best.id


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("filler", {}),
        ("sft_right", {}),
        ("without_response", {}),
        ("shuffled_critiques", {"response": CorruptResponses()}),
    ],
)
def test_a_control_is_trained_as_long_on_as_many_loss_tokens(policy, tmp_path, name, change):
    method = replace(SMALL, **change)
    log: list[dict] = []
    control = {**method.placebos(), **method.rivals()}[name]
    fit(policy, control, tmp_path, log)
    logged = {key: value for row in log for key, value in row.items()}
    assert logged["critique_ft/steps"] == 2
    assert logged["critique_ft/control_tokens"] == pytest.approx(1.0, abs=0.35)


def test_the_self_critic_is_class_r_by_the_verifier_and_v_by_its_own_majority(policy, tmp_path):
    for keep, grade in (("verifier", "R"), ("majority", "V")):
        method = replace(SMALL, critic=SelfCritic(keep=keep, samples=2), held_out=0)
        _, ledger = fit(policy, method, tmp_path / keep)
        assert ledger.data_class == grade


def test_one_problem_mode_trains_on_one_problem(policy, tmp_path):
    method = replace(SMALL, items=1, response=SelfResponses(12), rows=8)
    log: list[dict] = []
    _, ledger = fit(policy, method, tmp_path, log)
    assert {row.problems for row in ledger.rows if row.source == "train"} == {1}
    logged = {key: value for row in log for key, value in row.items()}
    assert logged["critique_ft/rows"] == 8 and "critique_ft/verdict_balanced_accuracy/base" not in logged


def test_held_out_critiques_are_of_problems_that_are_not_trained_on():
    examples = chain_examples(10, 3)
    held = held_out_of(examples, 7)
    assert len(held) == 6 and len({e.key for e in held}) == 2
    assert held_out_of(chain_examples(1, 6), 3) == []


def test_balanced_accuracy_weighs_both_verdicts_alike():
    assert balanced_accuracy([True] * 9 + [False], [True] * 10) == 0.5
    assert balanced_accuracy([True, False, False, False], [True, False, None, True]) == pytest.approx((1 + 1 / 3) / 2)
    assert balanced_accuracy([True, True], [True, None]) == 0.5
    assert balanced_accuracy([], []) is None


def test_a_resumed_curve_takes_over_its_scores_and_books_their_bits_again(policy, tmp_path):
    def scoring(ledger):
        def score(p, limit):
            items = TASK.items("dev", limit)
            ledger.selected(len(items), [item.id for item in items])
            return 0.25

        return score

    edit = WeightEdit()
    ledgers = []
    for _ in range(2):
        ledger = Ledger(TASK, "test")
        context = Context(np.random.default_rng(0), tmp_path, scoring(ledger))
        curve = DevCurve(policy, ledger, context, 4, "critique_ft")
        curve.at(10, 2)[5](edit)
        ledgers.append((curve.points, [(row.label_bits, row.items) for row in ledger.rows]))
    assert ledgers[0] == ledgers[1] == ({5: 0.25}, [(4, sorted(item.id for item in TASK.items("dev", 4)))])
