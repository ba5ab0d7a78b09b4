"""Every decoding strategy gives the same outcomes on the vLLM loop as on the step loop (keyed draw, without vLLM)."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from elicit.config.build import build
from elicit.files import seed_of
from elicit.policy.decoding import REGIMES, Request, Sampling
from elicit.sampling.loop.step_loop import StepLoop
from elicit.sampling.vllm.loop import VllmLoop
from elicit.tasks.task import StopRules
from elicit.tasks.view import Judged
from methods.decoding.budget_forcing import ForcedTo
from tests.methods.decoding.test_decoding_on_the_loop import LastDigit
from tests.sampling.models import prompts, tiny_model, tokenizer
from tests.vllm.fake import FakeClient

PRESETS = sorted((Path(__file__).parents[2] / "configs" / "method" / "strategy").glob("*.yaml"))
SMALL = {"n": 4, "k": 3, "warmup": 2, "wave": 1, "window": 3, "rounds": 2, "steps": 3, "answer_tokens": 3}
"""fields of the presets, made small"""
EOS = frozenset({1})


class Task(LastDigit):
    """Reads the last digit; accepts a completion that states an even one."""

    stop = StopRules(("7.",), 16)

    def verdict(self, item: str, text: str, finished: bool) -> Judged:
        stated = self.extract(text, finished).strict
        return Judged(stated is not None and int(stated) % 2 == 0, "it is odd")


def preset(path: Path) -> Any:
    strategy = build(yaml.safe_load(path.read_text(encoding="utf-8")), path.name)
    small = {field.name: SMALL[field.name] for field in fields(strategy) if field.name in SMALL}
    if path.stem == "power_mh":
        small["block"] = 16
    if path.stem == "budget_forcing":
        small |= {"continuation": " Add", "marker": " is"}
    return replace(strategy, **small)


STRATEGIES = {path.stem: preset(path) for path in PRESETS}
STRATEGIES |= {f"regime {name}": Sampling(regime.rule) for name, regime in REGIMES.items()}
STRATEGIES["B2"] = ForcedTo(times=3, tokens=8, answer_tokens=3, continuation=" Add", marker=" is")


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_model(dtype=torch.float64, spread=0.3)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_has_the_same_outcomes_on_both_loops(model: Any, name: str) -> None:
    strategy, task = STRATEGIES[name], Task()
    requests = [
        Request(f"i{place}", j, seed_of("test", place, j), prompt, "base")
        for place, prompt in enumerate(prompts(3))
        for j in range(1 if strategy.deterministic else 2)
    ]
    ours = strategy.run(StepLoop(model, tokenizer(), EOS), requests, task)  # type: ignore[arg-type]
    loop = VllmLoop(FakeClient(model, capacity=6), tokenizer(), EOS, len(tokenizer()))
    theirs = strategy.run(loop, requests, task)  # type: ignore[arg-type]
    for one, other in zip(ours, theirs, strict=True):
        assert one.path.token_ids == other.path.token_ids and one.path.text == other.path.text
        assert (one.winner, one.total_tokens, one.aux_forward_tokens) == (
            other.winner, other.total_tokens, other.aux_forward_tokens,
        )  # fmt: skip
        assert [c.path.token_ids for c in one.chains] == [c.path.token_ids for c in other.chains]
        assert [c.path.finish for c in one.chains] == [c.path.finish for c in other.chains]
        for a, b in zip(one.chains, other.chains, strict=True):
            assert a.scalars == pytest.approx(b.scalars, abs=1e-6, nan_ok=True)
