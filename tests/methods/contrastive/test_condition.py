"""Conditional steering: the condition fires at its rate, decides about whole prompts, and is chosen by dev alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from elicit.errors import ConfigError, MethodError
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.policy import Policy
from elicit.policy.residuals import read_residuals
from elicit.tasks.task import PromptFormat
from methods.contrastive.condition import conditions
from methods.contrastive.method import Contrastive
from tests.methods.contrastive.planted import TASK, PlantedTask
from tests.methods.contrastive.test_contrastive_fit import small_llama

PAIRED = PlantedTask(prompts={**TASK.prompts, "kind": PromptFormat("kind", "key {question} :")})
CONDITIONAL = Contrastive(
    contrast="prompt_pair", pair=("kind", "bare"), items=10, layers=(1,), strengths=(4.0,), dev_items=10, halvings=0,
    dose_items=0, positions=(), condition="contrast",
)  # fmt: skip


@pytest.fixture(scope="module")
def policy() -> Policy:
    model, tokenizer = small_llama()
    return Policy(wrap(model, tokenizer), prompt=TASK.prompts["bare"])


def last_tokens(policy: Policy, split: str, layer: int) -> torch.Tensor:
    """Block outputs [N, D] at the last prompt token."""
    rows = [policy.prompt_ids(item.question) for item in PAIRED.items(split)]
    spans = [(len(row) - 1, len(row)) for row in rows]
    return read_residuals(policy, rows, spans, [len(row) for row in rows], [layer])[:, 0]


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("side", [1, -1])
def test_a_condition_fires_on_its_share_of_the_prompts_those_of_largest_projection(rate: float, side: int) -> None:
    prompts = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    vector = torch.randn(8, generator=torch.Generator().manual_seed(1))
    (made,) = [one for one in conditions(vector, prompts, [rate]) if one.side == side]
    edit = made.gated(Edit(0, vector))
    assert edit.gate is not None
    fires = (prompts @ edit.gate + edit.gate_bias > 0).tolist()
    projections = (prompts.numpy() @ vector.numpy()) / np.linalg.norm(vector.numpy())
    wanted = set(np.argsort(-side * projections)[: round(rate * 40)].tolist())
    assert {i for i, fired in enumerate(fires) if fired} == wanted


def test_prompts_that_a_direction_cannot_tell_apart_have_no_condition() -> None:
    with pytest.raises(MethodError, match="have the same projection"):
        conditions(torch.ones(4), torch.ones(6, 4), [0.5])


def test_a_conditional_edit_is_the_edit_on_prompts_that_fire_and_the_base_bit_by_bit_on_all_others(
    policy: Policy,
) -> None:
    vector = 30 * torch.randn(32, generator=torch.Generator().manual_seed(2))
    plain, base = last_tokens(policy, "train", 1), last_tokens(policy, "train", 3)
    made = conditions(vector, plain, [0.4])[0]
    edits = {"always": Edit(1, vector), "sometimes": made.gated(Edit(1, vector))}
    after = {name: last_tokens(policy.with_intervention(ActivationEdit((edit,))), "train", 3)
             for name, edit in edits.items()}  # fmt: skip
    fired = [torch.equal(row, of_always) for row, of_always in zip(after["sometimes"], after["always"], strict=True)]
    left = [torch.equal(row, of_base) for row, of_base in zip(after["sometimes"], base, strict=True)]
    assert sum(fired) == 4 and [not one for one in fired] == left


def fitted(method: Contrastive, policy: Policy, folder: Path, score: Any) -> tuple[Edit, list[dict], list[int | None]]:
    log: list[dict[str, Any]] = []
    limits: list[int | None] = []

    def dev_score(tried: Policy, limit: int | None) -> float:
        limits.append(limit)
        return score(tried)

    context = Context(np.random.default_rng(0), folder, dev_score, log=log.append)
    edit = method.fit(policy, Ledger(PAIRED, "toy"), context)
    return edit.edits[0], log, limits


def test_the_fit_keeps_the_side_and_the_rate_that_dev_favours(policy: Policy, tmp_path: Path) -> None:
    """Dev rewards an edit that leaves exactly the prompts alone whose projection on it is above their median."""
    base, inputs = last_tokens(policy, "dev", 3), last_tokens(policy, "dev", 1)

    def score(tried: Policy) -> float:
        vector = tried.interventions[0].edits[0].vector  # type: ignore[attr-defined]
        left = torch.tensor([torch.equal(a, b) for a, b in zip(last_tokens(tried, "dev", 3), base, strict=True)])
        projections = inputs @ vector
        return float((left == (projections > projections.median())).float().mean())

    edit, log, limits = fitted(CONDITIONAL, policy, tmp_path, score)
    rows = [row for row in log if "contrastive/condition" in row]
    assert len(rows) == 6 and limits == [10] + [10] * 6, "two sides at three rates, after the one edit of the search"
    (chosen,) = [row for row in rows if row["contrastive/condition/chosen"]]
    assert chosen["contrastive/condition/dev"] == max(row["contrastive/condition/dev"] for row in rows)
    assert chosen["contrastive/condition/side"] == -1
    assert edit.gate is not None and float(edit.gate @ edit.vector) == pytest.approx(
        -float(edit.vector.norm()), rel=1e-5
    )


def test_the_random_condition_has_the_method_s_vector_rates_and_tries_and_another_gate(
    policy: Policy, tmp_path: Path
) -> None:
    placebo = CONDITIONAL.placebos()["random_condition"]
    (own, log, tries), (other, other_log, other_tries) = (
        fitted(method, policy, tmp_path, lambda tried: 0.0) for method in (CONDITIONAL, placebo)
    )
    assert tries == other_tries and torch.equal(own.vector, other.vector)
    assert own.gate is not None and other.gate is not None
    assert abs(float(torch.nn.functional.cosine_similarity(own.gate, other.gate, dim=0))) < 0.9
    rates = [[row["contrastive/condition/rate"] for row in of if "contrastive/condition" in row]
             for of in (log, other_log)]  # fmt: skip
    assert rates[0] == rates[1] == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    prompts = last_tokens(policy, "train", 1)
    assert int((prompts @ other.gate + other.gate_bias > 0).sum()) == round(0.25 * 10), "ties go to the rarest"


def test_a_method_without_a_condition_has_neither_its_placebo_nor_its_gate() -> None:
    assert "random_condition" not in Contrastive().placebos()
    with pytest.raises(ConfigError, match="only with condition"):
        Contrastive(control="random_condition")


@pytest.mark.parametrize(
    "wrong",
    [{"writes": ("onward",)}, {"positions": ("every",)}, {"condition_rates": ()}, {"condition_rates": (1.0,)},
     {"condition": "sometimes"}],
)  # fmt: skip
def test_settings_that_no_condition_can_have_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        replace(CONDITIONAL, **wrong)
