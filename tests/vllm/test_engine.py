"""Which engine samples, what its samples are called, and the guard that it draws what the step loop draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path as File
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from elicit.config.compose import build_settings, compose
from elicit.errors import ConfigError, StageError
from elicit.evaluate.stages.generate import generate
from elicit.evaluate.store import SampleFolder
from elicit.files import read_rows, shards
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.decoding import REGIMES, Loop, Path
from elicit.policy.policy import Policy
from elicit.policy.positions import WRITES
from elicit.sampling.engine import EngineConfig, choice, set_engine
from elicit.sampling.loop.step_loop import StepLoop
from elicit.sampling.vllm import guard
from elicit.sampling.vllm.engine import VllmEngine
from elicit.sampling.vllm.loop import VllmLoop
from elicit.sampling.vllm.residuals import edited
from tests.sampling.models import tiny_model, tokenizer
from tests.toy import ToyTask
from tests.vllm.fake import FakeClient

TASK = ToyTask()
ITEMS = TASK.items("test", limit=4)


def policy(**fields: Any) -> Policy:
    return Policy(wrap(tiny_model(dtype=torch.float32, spread=0.3), tokenizer()), **fields)


class FakeEngine:
    """Implements `SamplingEngine` with the fake client, for policies without edits."""

    name = "fake-1"

    def __init__(self, policy: Policy, mix: bool = False) -> None:
        self.mix, self.client = mix, FakeClient(policy.checkpoint.model, capacity=16)

    def draws(self, policy: Policy) -> bool:
        return not policy.interventions

    @contextmanager
    def drawing(self, policy: Policy, progress: Callable[[int, int], None] | None = None) -> Iterator[Loop]:
        yield VllmLoop(self.client, policy.checkpoint.tokenizer, policy.end_ids, len(tokenizer()), progress)


def test_the_choice_has_a_reason_and_auto_wants_cuda() -> None:
    table = {
        ("auto", "cpu", False): "loop", ("auto", "cpu", True): "loop", ("auto", "cuda", True): "vllm",
        ("auto", "cuda", False): "loop", ("loop", "cuda", True): "loop", ("vllm", "cpu", True): "vllm",
    }  # fmt: skip
    for (kind, device, there), wanted in table.items():
        chosen, reason = choice(EngineConfig(kind), device, there)  # type: ignore[arg-type]
        assert chosen == wanted and reason.startswith(f"engine={kind}")
    with pytest.raises(ConfigError, match="make vllm"):
        choice(EngineConfig("vllm"), "cpu", False)
    with pytest.raises(ConfigError, match="2 launched processes"):
        choice(EngineConfig("vllm"), "cuda", True, 2)
    assert choice(EngineConfig(), "cuda", True, 2)[0] == "loop"


def test_the_group_builds_its_settings_and_the_default_leaves_no_trace_in_a_configuration() -> None:
    assert "engine" not in compose(["model=organism"])
    assert build_settings(compose(["model=organism"])).engine is None
    built = build_settings(compose(["engine=vllm", "engine.rows=8", "engine.mix=true"])).engine
    assert built == EngineConfig("vllm", mix=True, rows=8)
    with pytest.raises(ConfigError, match=r"gpu_memory=2"):
        EngineConfig(gpu_memory=2.0)


def test_without_vllm_nothing_changes_and_the_choice_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elicit.sampling.engine.installed", lambda: False)
    lines: list[str] = []
    checkpoint = set_engine(policy().checkpoint, None, lines.append)
    assert checkpoint.engine is None and lines == ["engine: step loop (engine=auto, and vLLM is not installed)"]


def test_what_vllm_can_not_express_is_refused_by_name_or_left_to_the_step_loop() -> None:
    in_memory, lines = policy(), []
    strict = VllmEngine(in_memory.checkpoint, EngineConfig("vllm"))
    with pytest.raises(ConfigError, match=f"policy {in_memory.id}: the checkpoint exists in memory only"):
        strict.draws(in_memory)
    lenient = VllmEngine(in_memory.checkpoint, EngineConfig("auto"), lines.append)
    assert not lenient.draws(in_memory) and not lenient.draws(in_memory)
    assert len(lines) == 1 and "step loop for policy" in lines[0]
    graphs = VllmEngine(in_memory.checkpoint, EngineConfig("vllm", eager=False))
    in_memory.checkpoint.source = "somewhere"
    steered = in_memory.with_intervention(ActivationEdit((Edit(0, torch.ones(32)),)))
    assert graphs.draws(in_memory)
    with pytest.raises(ConfigError, match=r"engine\.eager=true"):
        graphs.draws(steered)


def test_a_store_names_its_engine_and_mixes_only_if_it_is_told_to(tmp_path: File) -> None:
    base = policy()
    by_loop = generate(base, TASK, ITEMS, REGIMES["support"], 2, tmp_path / "loop")
    base.checkpoint.engine = FakeEngine(base)
    by_engine = generate(base, TASK, ITEMS, REGIMES["support"], 2, tmp_path / "engine")
    assert SampleFolder(by_loop).manifest["settings"]["engine"] == "step-loop"
    assert SampleFolder(by_engine).manifest["settings"]["engine"] == "fake-1"
    ours, theirs = (
        sorted((row["item"], row["j"], tuple(row["token_ids"])) for row in read_rows(shards(folder)))
        for folder in (by_loop, by_engine)
    )
    assert ours == theirs, "a sample's key means the same draw on both"
    with pytest.raises(StageError, match="another engine"):
        generate(base, TASK, ITEMS, REGIMES["support"], 4, tmp_path / "loop")
    base.checkpoint.engine = FakeEngine(base, mix=True)
    mixed = SampleFolder(generate(base, TASK, ITEMS, REGIMES["support"], 4, tmp_path / "loop"))
    assert mixed.manifest["settings"]["engine"] == "mixed" and mixed.largest_n == 4
    base.checkpoint.engine = None
    with pytest.raises(StageError, match="another engine"):
        generate(base, TASK, ITEMS, REGIMES["support"], 6, tmp_path / "loop")


def test_a_policy_that_the_engine_does_not_draw_goes_to_the_step_loop(tmp_path: File) -> None:
    base = policy()
    base.checkpoint.engine = FakeEngine(base)
    steered = base.with_intervention(ActivationEdit((Edit(0, torch.ones(32)),)))
    folder = generate(steered, TASK, ITEMS, REGIMES["support"], 1, tmp_path)
    assert SampleFolder(folder).manifest["settings"]["engine"] == "step-loop"


class Pair(nn.Module):
    """A block of vLLM's layout: (h, r) with the residual stream h + r after it; flat [N, D]."""

    def __init__(self, weight: torch.Tensor, paired: bool) -> None:
        super().__init__()
        self.weight, self.paired = weight, paired

    def forward(self, x: Any) -> Any:
        residual = x[0] + x[1] if isinstance(x, tuple) else x
        delta = torch.tanh(residual @ self.weight)
        return (delta, residual) if self.paired else residual + delta


class Flat(nn.Module):
    """A model of token-wise blocks with vLLM's layout, so that a forward pass is easily restated."""

    def __init__(self, paired: bool) -> None:
        super().__init__()
        self.config = transformers.LlamaConfig(num_hidden_layers=3, hidden_size=8)
        generator = torch.Generator().manual_seed(0)
        self.layers = nn.ModuleList(Pair(torch.randn(8, 8, generator=generator), paired) for _ in range(3))

    def forward(self, x_N_D: torch.Tensor) -> torch.Tensor:
        out: Any = x_N_D
        for layer in self.layers:
            out = layer(out)
        return out[0] + out[1] if isinstance(out, tuple) else out


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("operator", ["add", "clamp", "ablate"])
@pytest.mark.parametrize("paired", [True, False])
def test_an_edit_writes_the_tokens_it_names_whatever_the_batch_holds(write: str, operator: str, paired: bool) -> None:
    """Two requests with prompts of 3 and 5 tokens: a chunk of one prompt, a last chunk, single tokens, padding."""
    positions = torch.tensor([0, 1, 2, 3, 4, 7, 2, 3, -1])
    prompts = torch.tensor([5, 5, 3, 3, 5, 5, 5, 5, 0])
    model, vector = Flat(paired), torch.randn(8, generator=torch.Generator().manual_seed(1))
    edit = Edit(1, vector, operator, 1.5, write, target=2.0 if operator == "clamp" else None)
    x = torch.randn(9, 8, generator=torch.Generator().manual_seed(2))
    with edited(model, [ActivationEdit((edit,))], lambda: (positions, prompts)) as calls:
        steered = model(x)

    # the plain formula, token by token
    def meant(p: int, n: int) -> bool:
        return p >= 0 and {"every": True, "prompt": p < n, "completion": p >= n, "last_prompt": p == n - 1,
                           "onward": p >= n - 1}[write]  # fmt: skip

    unit = vector / vector.norm()
    wanted = []
    for token, position, prompt in zip(x, positions.tolist(), prompts.tolist(), strict=True):
        for place, layer in enumerate(model.layers):
            token = token + torch.tanh(token @ layer.weight)
            if place == 1 and meant(position, prompt):
                clamp, ablate = (2.0 - token @ unit) * unit, -(token @ unit) * unit
                token = token + 1.5 * {"add": vector, "clamp": clamp, "ablate": ablate}[operator]
        wanted.append(token)
    assert torch.allclose(steered, torch.stack(wanted), atol=1e-5)
    assert calls.fired == 1 and calls.written == 1
    assert torch.equal(model(x), Flat(paired)(x)), "leaving removes the edit"
    assert "forward" not in model.__dict__


def paths(logprob: float, token: int = 5, gap: float = 0.5) -> list[Path]:
    return [Path([3, token], [-1.0, logprob], [0.5, gap], [], [], "length", "")]


def test_the_guard_allows_ties_and_float_noise_and_nothing_else() -> None:
    one = torch.float32
    guard.check("e", paths(-2.0), paths(-2.0005), one)
    guard.check("e", paths(-2.0, gap=1e-4), paths(-2.4, token=6), one)
    with pytest.raises(StageError, match="e disagrees with the step loop: prompt 1, token 2: the step loop takes 5"):
        guard.check("e", paths(-2.0), paths(-2.0, token=6), one)
    with pytest.raises(StageError, match=r"log-prob -2\.1000, the step loop's is -2\.0000"):
        guard.check("e", paths(-2.0), paths(-2.1), one)
    guard.check("e", paths(-2.0), paths(-2.1), torch.bfloat16)
    with pytest.raises(StageError, match="disagrees"):
        guard.check("e", paths(-2.0), paths(float("nan")), one)


def test_the_guard_finds_an_edit_that_was_silently_not_applied() -> None:
    plain, edited_ = paths(-2.0), paths(-2.0015)
    with pytest.raises(StageError, match="does not apply the policy's edits"):
        guard.check("e", edited_, plain, torch.float32, (plain, plain))
    guard.check("e", edited_, paths(-2.0014), torch.float32, (plain, plain))
    guard.check("e", plain, plain, torch.float32, (plain, plain))  # an edit without effect on these prompts


def test_the_guard_s_paths_are_short_and_greedy() -> None:
    base = policy()
    loop = StepLoop(base.checkpoint)
    rows = [tuple(base.checkpoint.encode(text)) for text in guard.TEXTS]
    drawn = guard.greedy(loop, rows)
    assert len(drawn) == 4 and max(len(path.token_ids) for path in drawn) <= guard.TOKENS
    assert not guard.moved(drawn, guard.greedy(loop, rows))
