"""vLLM itself against the step loop, on the organism: one engine for the module, started once (about a minute).

Runs if vLLM is installed (`make test-vllm`); `make test` skips it. The same paths up to near-ties: where one differs,
the job's uniform number is at a boundary of the CDF (`benchmarks/engines.gap`).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path as File
from typing import Any

import pytest
import torch

from elicit.errors import StageError
from elicit.evaluate.stages.generate import generate
from elicit.evaluate.store import SampleFolder
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import Checkpoint, CheckpointConfig, load_checkpoint
from elicit.policy.decoding import REGIMES, PathJob, PickRule
from elicit.policy.policy import Policy
from elicit.policy.weights import WeightEdit
from elicit.sampling.engine import EngineConfig, set_engine
from elicit.sampling.loop.rules import ConfidenceCut
from elicit.sampling.loop.step_loop import StepLoop
from elicit.sampling.vllm import residuals
from elicit.tasks.task import StopRules

pytestmark = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: make test-vllm")

STOP = StopRules(("\n\n",), 24)
TIE = 1e-4
"""largest gap in the CDF at which two engines may part"""
TEXTS = [
    "Question: Start with 3. Add 4. Take away 2.\nAnswer:",
    "Question: Start with 12. Double it.\nAnswer:",
    "Question: a -> b, b -> c. Where do you end if you start at a and make 2 steps?\nAnswer: Step by step, " * 2,
    "Question:",
]


@pytest.fixture(scope="module")
def checkpoint() -> Iterator[Checkpoint]:
    loaded = load_checkpoint(CheckpointConfig("organism", device="cpu", dtype="float32"))
    # a pass of 48 tokens cuts the longest prompt into chunks, next to rows that write
    set_engine(loaded, EngineConfig("vllm", rows=16, max_model_len=256, cache_gib=0.25, prefill_tokens=48))
    yield loaded
    loaded.engine.client.close()  # type: ignore[union-attr]


def jobs(checkpoint: Checkpoint, count: int = 32) -> list[PathJob]:
    prompts = [tuple(checkpoint.encode(text)) for text in TEXTS]
    assert max(map(len, prompts)) > 48, "one prompt has to be prefilled in chunks"
    made = [PathJob(prompts[k % len(prompts)], 7 * k, stream=k % 3) for k in range(count)]
    made[1] = PathJob(prompts[1], 7, forced=(20, 21, 22, 23))
    made[2] = PathJob(prompts[2], 8, first_rank=1)
    made[3] = PathJob(prompts[3], 9, forced=(20,), first_rank=2)
    return made


def assert_agree(policy: Policy, rule: PickRule, rows: list[PathJob], step_rule: Any = None) -> None:
    from benchmarks.engines import gap

    checkpoint = policy.checkpoint
    with policy.applied():
        ours = StepLoop(checkpoint).run(rows, rule, STOP, step_rule)
    assert checkpoint.engine is not None
    with checkpoint.engine.drawing(policy) as loop:
        theirs = loop.run(rows, rule, STOP, step_rule)
    parted = 0
    for job, one, other in zip(rows, ours, theirs, strict=True):
        if one.token_ids != other.token_ids:
            parted += 1
            with policy.applied():
                apart = gap(checkpoint, job, rule, one, other)
            assert apart is not None and apart < TIE
            continue
        assert (one.finish, one.text) == (other.finish, other.text)
        for name in ("logprobs", "gaps", "confidences", "log_z", "certainties"):
            assert torch.allclose(torch.tensor(getattr(one, name)), torch.tensor(getattr(other, name)), atol=2e-3), name
    assert parted <= len(rows) // 10


@pytest.mark.parametrize(
    "rule",
    [PickRule(), PickRule(temperature=0.0), REGIMES["compare"].rule, PickRule(top_k=5), PickRule(min_p=0.1),
     PickRule(temperature=0.25, alpha=4.0)],
)  # fmt: skip
def test_the_paths_are_those_of_the_step_loop(checkpoint: Checkpoint, rule: PickRule) -> None:
    assert_agree(Policy(checkpoint), rule, jobs(checkpoint))


def test_a_step_rule_cuts_the_same_paths(checkpoint: Checkpoint) -> None:
    rows = jobs(checkpoint)
    assert_agree(Policy(checkpoint), PickRule(), rows, ConfidenceCut((4.0,) * len(rows), window=4))


def steering(checkpoint: Checkpoint, operator: str, write: str) -> ActivationEdit:
    width = checkpoint.model.config.hidden_size
    vector = torch.randn(width, generator=torch.Generator().manual_seed(3))
    return ActivationEdit((Edit(1, vector, operator, 0.5, write, target=3.0 if operator == "clamp" else None),))


@pytest.mark.parametrize("write", ["every", "onward", "last_prompt", "prompt", "completion"])
@pytest.mark.parametrize("operator", ["add", "clamp", "ablate"])
def test_steered_paths_are_those_of_the_steered_step_loop(checkpoint: Checkpoint, operator: str, write: str) -> None:
    assert_agree(Policy(checkpoint, (steering(checkpoint, operator, write),)), PickRule(), jobs(checkpoint))
    assert checkpoint.engine.calls.written > 0  # type: ignore[union-attr]


def noise(checkpoint: Checkpoint, low_rank: bool) -> WeightEdit:
    generator = torch.Generator().manual_seed(5)
    names = ["model.layers.1.self_attn.q_proj.weight", "model.layers.2.mlp.down_proj.weight"]
    if low_rank:
        shapes = {name: checkpoint.model.get_parameter(name).shape for name in names}
        pairs = {name: (torch.randn(2, into, generator=generator), torch.randn(out, 2, generator=generator))
                 for name, (out, into) in shapes.items()}  # fmt: skip
        return WeightEdit(pairs=pairs, scale=0.02)
    names += ["model.norm.weight", "model.embed_tokens.weight"]
    return WeightEdit({
        name: 0.05 * torch.randn(checkpoint.model.get_parameter(name).shape, generator=generator) for name in names
    })  # fmt: skip


@pytest.mark.parametrize("low_rank", [False, True])
def test_edited_weights_are_drawn_and_undone(checkpoint: Checkpoint, low_rank: bool) -> None:
    edit, rows = noise(checkpoint, low_rank), jobs(checkpoint)
    assert_agree(Policy(checkpoint, (edit,)), PickRule(), rows)
    assert_agree(Policy(checkpoint, (edit, steering(checkpoint, "add", "onward"))), PickRule(), rows)
    assert_agree(Policy(checkpoint), PickRule(), rows)


def test_an_edit_that_does_not_reach_vllm_stops_the_run(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(residuals.ResidualStream, "hook", lambda self, layer: lambda module, inputs, output: None)
    policy = Policy(checkpoint, (steering(checkpoint, "add", "completion"),))
    with pytest.raises(StageError, match="does not apply the policy's edits"), checkpoint.engine.drawing(policy):  # type: ignore[union-attr]
        raise AssertionError("the guard lets it draw")


def test_samples_of_vllm_name_it(checkpoint: Checkpoint, tmp_path: File) -> None:
    from tests.toy import ToyTask

    task = ToyTask()
    folder = generate(Policy(checkpoint), task, task.items("test", limit=3), REGIMES["support"], 2, tmp_path)
    assert SampleFolder(folder).manifest["settings"]["engine"].startswith("vllm-0.")


@pytest.mark.parametrize("trained", ["full", "lora", "vectors"])
def test_rollouts_come_from_the_model_that_is_trained(checkpoint: Checkpoint, trained: str, tmp_path: File) -> None:
    """Three updates, each drawn with what the last one learned: else the gap to the trainer would show it."""
    from methods.rl_steering.method import RLSteering
    from methods.rlvr.method import RLVR
    from tests.training.harness import fitted
    from tests.training.test_grpo import SMALL, TASK

    settings = {**SMALL, "steps": 3, "rollouts": "vllm", "rewards": {"random": 1.0}}
    method: Any = RLSteering(learning_rate=0.05, write="completion", **settings)
    if trained != "vectors":
        method = RLVR(parameters=trained, learning_rate=1e-3, **settings)
    out = fitted(method, Policy(checkpoint), tmp_path, TASK)
    gaps = out.curve("rl/kl_sampler")
    assert len(gaps) == 3 and max(gaps) < 1e-5
    assert any(bool(tensor.any()) for tensor in out.edit.tensors().values())
    # vLLM has the checkpoint's parameters again, and no vectors
    assert_agree(Policy(checkpoint), PickRule(), jobs(checkpoint))
