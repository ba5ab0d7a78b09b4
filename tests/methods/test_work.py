"""Laws of the work that methods state: it is the work that the forecast counted from their fields, for every preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elicit.config.compose import build_settings, compose
from elicit.method import Method, MethodBase, Work
from elicit.training.rl.settings import GRPOSettings

PRESETS = sorted(path.stem for path in (Path(__file__).parents[2] / "configs" / "method").glob("*.yaml"))
CRITICS = [f"method/critic={name}" for name in ("file", "program", "self", "verdicts")]
RESPONSES = [f"method/response={name}" for name in ("corrupt", "file", "self")]
CASES = [
    *([f"method={name}"] for name in PRESETS),
    *([f"method={name}", choice] for name in ("critique_ft", "critique_ft_base") for choice in (*CRITICS, *RESPONSES)),
    ["method=critique_ft", "method/critic=self", "method/response=corrupt", "method.items=7", "method.rows=50"],
    ["method=star", "method.rounds=3", "method.sft.steps=null", "method.sft.epochs=1.5"],
    ["method=rlvr", "method.dev_every=0"],
]


def counted_by_hand(method: Any) -> Work:
    """How the forecast counted before methods stated their work: from the names of their fields."""
    if isinstance(method, GRPOSettings):
        rollouts = method.steps * method.prompts * method.samples
        scores = method.steps // method.dev_every * method.dev_items if method.dev_every else 0
        choice = getattr(method, "candidates", 0) * getattr(method, "choice_samples", 0)
        return Work(rollouts + scores + choice, rollouts)
    rounds, items = getattr(method, "rounds", 1), getattr(method, "items", 0)
    parts = (method, getattr(method, "response", None), getattr(method, "critic", None))
    drawn = items * sum(getattr(part, "samples", 0) for part in parts)
    sft = getattr(method, "sft", None)
    rows = getattr(method, "rows", 0) or drawn
    trained = 0 if sft is None else sft.steps * sft.batch if sft.steps else sft.epochs * rows
    return Work(rounds * drawn, rounds * trained)


def built(overrides: list[str]) -> Method:
    return build_settings(compose([*overrides, "model=organism", "task=chain", "tracker=none"])).method


@pytest.mark.parametrize("overrides", CASES, ids=" ".join)
def test_a_method_and_its_controls_state_the_work_that_their_fields_amount_to(overrides: list[str]) -> None:
    method = built(overrides)
    for arm in (method, *method.placebos().values(), *method.rivals().values()):
        assert arm.work(items=200, tokens=64.0) == counted_by_hand(arm)


def test_a_method_that_states_nothing_has_unknown_work_and_no_controls() -> None:
    silent = MethodBase()
    assert silent.work(items=200, tokens=64.0) is None
    assert (silent.placebos(), silent.rivals()) == ({}, {})
    assert (silent.strategy, silent.max_new_tokens, silent.parameters, silent.sft) == (None, None, None, None)


def test_work_adds_up_and_a_trained_row_is_three_passes() -> None:
    assert Work(1, 2) + Work(3, 4) == Work(4, 6)
    assert Work(1, 2).passes == 1 + 3 * 2


@pytest.mark.parametrize(("name", "trained"), [("rlvr", "full"), ("rlvr_7b", "lora"), ("rl_steering", "vectors"),
                                               ("contrastive", None), ("decoding", None), ("star", None)])  # fmt: skip
def test_a_method_names_what_its_policy_gradient_trains(name: str, trained: str | None) -> None:
    assert built([f"method={name}"]).parameters == trained
