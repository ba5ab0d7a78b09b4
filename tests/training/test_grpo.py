"""Laws of the trainer: its update is the reference's, whatever is trained; nothing outlives a fit.

Bits are compared only of the same computation before and after a fit, or of two fits with the same settings and seed.
"""

from __future__ import annotations

import copy
import gc
import os
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import parameters_hash, wrap
from elicit.policy.policy import Policy
from elicit.sampling.likelihood import likelihood
from elicit.sampling.loop.cache import SlotLayer
from elicit.tasks.task import PromptFormat
from elicit.training.rl import grpo, shared_prompt
from elicit.training.rl.grpo import length_buckets
from methods.rl_steering.method import RLSteering
from methods.rlvr.method import RLVR
from tests.policy.tiny import hook_count, random_vector, tiny_model, tiny_tokenizer
from tests.reference import grpo as reference
from tests.toy import ToyTask
from tests.training.harness import Fitted, fitted

TASK = ToyTask()
PROMPT = PromptFormat("short", "{question} :")
SMALL: dict[str, Any] = {
    "steps": 2, "prompts": 2, "samples": 4, "micro_batch": 4, "rewards": {"length": 1.0, "random": 1.0}, "dev_every": 0,
    "kl_every": 0, "gradient_checkpointing": False, "max_new_tokens": 10,
}  # fmt: skip


LONG = PromptFormat("long", "{question} : {question} : {question} : {question} : {question} : {question} :")


def tiny_policy(architecture: str = "llama", prompt: PromptFormat = PROMPT) -> Policy:
    return Policy(wrap(tiny_model(architecture), tiny_tokenizer()), prompt=prompt)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Prompts are shared as soon as one token is saved; the list grows by the completions of each shared row."""
    sizes: list[int] = []
    plain = grpo.shared_pass

    def counted(model: Any, prompt: torch.Tensor, completions: Sequence[torch.Tensor]) -> Any:
        sizes.append(len(completions))
        return plain(model, prompt, completions)

    monkeypatch.setattr(shared_prompt, "WORTH", 1)
    monkeypatch.setattr(grpo, "shared_pass", counted)
    return sizes


class Recorder:
    """Batches, gradients (before clipping) and parameters of every update."""

    def __init__(self) -> None:
        self.batches: list[Any] = []
        self.gradients: list[dict[str, torch.Tensor]] = []
        self.start: dict[str, torch.Tensor] = {}
        self.end: dict[str, torch.Tensor] = {}


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    out, check, trainer_class = Recorder(), grpo.check_gradients, grpo.PolicyGradientTrainer
    plain_train, plain_rollouts = trainer_class.train, trainer_class._rollouts

    def checked(named: dict[str, Any], *others: Any) -> float:
        out.gradients.append({n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in named.items()})
        return check(named, *others)

    def rollouts(trainer: Any, *arguments: Any) -> Any:
        drawn = plain_rollouts(trainer, *arguments)
        out.batches.append(trainer.batch)
        return drawn

    def train(trainer: Any, *arguments: Any, **others: Any) -> Any:
        out.start = {n: p.detach().clone() for n, p in trainer.trainable.trained().items()}
        done = plain_train(trainer, *arguments, **others)
        out.end = {n: p.detach().clone() for n, p in trainer.trainable.trained().items()}
        return done

    monkeypatch.setattr(grpo, "check_gradients", checked)
    monkeypatch.setattr(trainer_class, "_rollouts", rollouts)
    monkeypatch.setattr(trainer_class, "train", train)
    yield out


def reference_gradients(batch: Any, logits: Any, parameters: list[torch.Tensor], limit: int) -> list[torch.Tensor]:
    return reference.gradients(
        logits, parameters, [r.prompt_ids for r in batch.rollouts], [r.path.token_ids for r in batch.rollouts],
        batch.totals_P_G.reshape(-1).tolist(), batch.totals_P_G.shape[1], limit,
    )  # fmt: skip


def assert_same(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> None:
    size = sum(g.square().sum() for g in wanted) ** 0.5
    gap = sum((a - b).square().sum() for a, b in zip(found, wanted, strict=True)) ** 0.5
    assert size > 0 and gap < 1e-4 * size


def assert_adam(recorder: Recorder, lr: float, clip: float) -> None:
    names = list(recorder.start)
    steps = [[step[name] for name in names] for step in recorder.gradients]
    wanted = reference.adam(steps, [recorder.start[name] for name in names], lr, clip)
    for name, tensor in zip(names, wanted, strict=True):
        torch.testing.assert_close(recorder.end[name], tensor, rtol=1e-5, atol=lr * 1e-3)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2"])
def test_the_update_of_all_weights_is_the_references(architecture: str, recorder: Recorder, tmp_path) -> None:
    assert_reference_update(tiny_policy(architecture), recorder, tmp_path)


def test_the_update_with_shared_prompts_is_the_references(shared: list[int], recorder: Recorder, tmp_path) -> None:
    assert_reference_update(tiny_policy(prompt=LONG), recorder, tmp_path)
    assert len(shared) > 1 and min(shared) > 1


def assert_reference_update(policy: Policy, recorder: Recorder, tmp_path) -> None:
    fitted(RLVR(**SMALL, learning_rate=1e-3, max_grad_norm=1e-3), policy, tmp_path, TASK)
    plain = copy.deepcopy(policy.checkpoint.model).requires_grad_(True)
    named = dict(plain.named_parameters())

    def logits(ids: list[int], prompt: int) -> torch.Tensor:
        return plain(input_ids=torch.tensor([ids])).logits[0]

    wanted = reference_gradients(recorder.batches[0], logits, list(named.values()), 10)
    assert_same([recorder.gradients[0][name] for name in named], wanted)
    assert_adam(recorder, 1e-3, 1e-3)


@pytest.mark.parametrize("write", ["every", "onward", "last_prompt", "completion"])
def test_the_update_of_vectors_is_the_references(write: str, recorder: Recorder, tmp_path) -> None:
    policy = tiny_policy()
    done = fitted(RLSteering(**SMALL, learning_rate=0.05, write=write), policy, tmp_path, TASK)
    model = policy.checkpoint.model
    rms = [done.curve(f"vectors/residual_rms/{layer}")[0] for layer in (0, 1)]
    for step, batch in enumerate(recorder.batches):
        u = [(torch.zeros(16) if step == 0 else first_step(recorder, layer)).requires_grad_() for layer in (0, 1)]

        def logits(ids: list[int], prompt: int, u: list[torch.Tensor] = u) -> torch.Tensor:
            places = torch.arange(len(ids))[:, None]
            mask = {
                "every": places >= 0, "onward": places >= prompt - 1, "last_prompt": places == prompt - 1,
                "completion": places >= prompt,
            }[write]  # fmt: skip
            handles = [
                block.register_forward_hook(lambda m, i, o, k=k: o + mask * rms[k] * u[k])
                for k, block in enumerate(model.model.layers)
            ]
            try:
                return model(input_ids=torch.tensor([ids])).logits[0]
            finally:
                for handle in handles:
                    handle.remove()

        wanted = reference_gradients(batch, logits, u, 10)
        assert_same([recorder.gradients[step][f"layer.{layer}"] for layer in (0, 1)], wanted)
    assert_adam(recorder, 0.05, 2.0)


def first_step(recorder: Recorder, layer: int) -> torch.Tensor:
    """The vector after the first update, by the reference's Adam."""
    names = list(recorder.start)
    first = [[recorder.gradients[0][name] for name in names]]
    return reference.adam(first, [recorder.start[name] for name in names], 0.05, 2.0)[names.index(f"layer.{layer}")]


def test_the_update_of_pairs_is_the_references(recorder: Recorder, tmp_path) -> None:
    policy = tiny_policy()
    method = RLVR(**SMALL, parameters="lora", lora_rank=2, lora_alpha=4.0, lora_targets=("q_proj", "down_proj"))
    fitted(method, policy, tmp_path, TASK)
    named = {name: tensor.clone().requires_grad_() for name, tensor in recorder.start.items()}
    model = policy.checkpoint.model

    def logits(ids: list[int], prompt: int) -> torch.Tensor:
        weights = {}
        for name in named:
            if ".lora_A." in name:
                module = name.partition(".lora_A.")[0]
                change = 2.0 * named[name.replace("lora_A", "lora_B")] @ named[name]
                weights[f"{module}.weight"] = model.get_parameter(f"{module}.weight") + change
        return torch.func.functional_call(model, weights, kwargs={"input_ids": torch.tensor([ids])}).logits[0]

    wanted = reference_gradients(recorder.batches[0], logits, list(named.values()), 10)
    assert_same([recorder.gradients[0][name] for name in named], wanted)
    assert_adam(recorder, method.learning_rate, 1.0)


METHODS = {
    "full": RLVR(**SMALL, learning_rate=1e-3),
    "lora": RLVR(**SMALL, learning_rate=1e-2, parameters="lora", lora_rank=2),
    "vectors": RLSteering(**SMALL, learning_rate=0.1),
    "one_layer": RLSteering(**SMALL, learning_rate=0.1, layers=(0.5,), write="onward"),
    "generate": RLSteering(**{**SMALL, "rollouts": "generate"}, learning_rate=0.1),
}


def logprobs(policy: Policy) -> torch.Tensor:
    pairs = [((5, 9, 11), (20, 21, 22)), ((6, 7), (30, 31))]
    return torch.cat([torch.from_numpy(scored.logprobs) for scored in likelihood(policy, pairs)])


@pytest.mark.parametrize("name", METHODS)
def test_the_model_comes_back_bit_for_bit_and_the_edit_is_what_was_trained(name: str, tmp_path) -> None:
    policy = tiny_policy()
    model, tokenizer = policy.checkpoint.model, policy.checkpoint.tokenizer
    before, keys, random = parameters_hash(model), set(model.__dict__), torch.random.get_rng_state()
    plain, generation = logprobs(policy), model.generation_config.to_dict()
    edit = fitted(METHODS[name], policy, tmp_path, TASK).edit
    assert parameters_hash(model) == before and hook_count(model) == 0 and set(model.__dict__) == keys
    assert torch.equal(torch.random.get_rng_state(), random)
    assert model.generation_config.to_dict() == generation and tokenizer.padding_side == "left"
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert torch.equal(logprobs(policy), plain)
    assert not torch.equal(logprobs(policy.with_intervention(edit)), plain)


def test_a_stacked_policy_is_trained_with_its_interventions(tmp_path) -> None:
    steered = tiny_policy().with_intervention(ActivationEdit((Edit(0, random_vector(), write="last_prompt"),)))
    done = fitted(METHODS["vectors"], steered, tmp_path, TASK)
    assert done.curve("rl/kl_sampler") == pytest.approx([0.0, 0.0], abs=1e-9)
    assert hook_count(steered.checkpoint.model) == 0


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path) -> None:
    policy, method = tiny_policy(), METHODS["vectors"]
    runs = [("a", 0), ("b", 0), ("c", 1)]
    a, b, c = (fitted(method, policy, tmp_path / name, TASK, seed).edit.id for name, seed in runs)
    assert a == b != c


@pytest.mark.parametrize("checkpointing", [True, False])
def test_micro_batches_and_checkpointing_change_no_gradient_beyond_rounding(
    checkpointing: bool, recorder: Recorder, tmp_path
) -> None:
    whole = replace(METHODS["full"], steps=1, micro_batch=8)
    parts = replace(whole, micro_batch=2, gradient_checkpointing=checkpointing)
    for name, method in (("whole", whole), ("parts", parts)):
        fitted(method, tiny_policy(), tmp_path / name, TASK)
    one, other = recorder.gradients
    assert_same([other[name] for name in one], list(one.values()))


def test_a_half_precision_base_is_trained_in_float32_masters_and_sampled_as_it_will_be_evaluated(tmp_path) -> None:
    policy = Policy(wrap(tiny_model(dtype=torch.bfloat16), tiny_tokenizer()), prompt=PROMPT)
    before = parameters_hash(policy.checkpoint.model)
    done = fitted(replace(METHODS["full"], learning_rate=1e-6), policy, tmp_path, TASK)
    assert parameters_hash(policy.checkpoint.model) == before
    largest = max(change.abs().max().item() for change in done.edit.differences.values())
    assert 0 < largest < 1e-5, "steps far below bfloat16's resolution survive in the masters"
    assert all(0 <= value < 0.05 for value in done.curve("rl/kl_sampler"))
    assert not any(name.startswith("ACCELERATE_") for name in os.environ), "the next trainer would train in bfloat16"


def test_rows_computed_together_have_similar_lengths_and_no_row_is_lost() -> None:
    lengths = [7, 90, 8, 30, 31, 9, 88, 10]
    sets = list(length_buckets(lengths))
    assert sorted(row for rows in sets for row in rows) == list(range(8))
    assert all(max(lengths[i] for i in rows) <= 1.25 * min(lengths[i] for i in rows) for rows in sets)


def test_curves_have_the_same_keys_whatever_is_trained(tmp_path) -> None:
    chosen = {"kl_every": 1, "dev_every": 1, "dev_items": 2}
    found: list[Fitted] = [
        fitted(replace(METHODS[name], **chosen), tiny_policy(), tmp_path / name, TASK) for name in ("full", "vectors")
    ]
    keys = [{key for row in done.rows for key in row if key.startswith("rl/")} for done in found]
    assert keys[0] == keys[1]
    wanted = {"reward", "entropy", "kl_base", "kl_sampler", "truncated", "zero_variance", "dev", "grad_norm", "tokens"}
    assert {f"rl/{name}" for name in wanted} <= keys[0]
    assert found[0].curve("rl/kl_base")[0] == pytest.approx(0, abs=1e-9) and found[0].curve("rl/kl_base")[1] > 0
    assert found[0].curve("rl/step") == [0, 1, 2] and "s left" in found[0].lines[-2]
    assert "no collapse in 2 updates" in found[0].lines[-1]


@pytest.mark.parametrize("method", [RLVR, RLSteering], ids=["weights", "vectors"])
def test_no_key_or_value_of_the_sampler_is_alive_in_the_backward_pass(
    method: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    born: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []
    plain_init, plain_loss = SlotLayer.__init__, grpo.PolicyGradientTrainer._compute_loss

    def init(layer: SlotLayer, keys: torch.Tensor, values: torch.Tensor, window: Any) -> None:
        born.extend((weakref.ref(keys), weakref.ref(values)))
        plain_init(layer, keys, values, window)

    def loss(trainer: Any, *arguments: Any) -> torch.Tensor:
        out = plain_loss(trainer, *arguments)  # the graph of the backward pass, complete
        gc.collect()
        alive.append(sum(ref() is not None for ref in born))
        return out

    monkeypatch.setattr(SlotLayer, "__init__", init)
    monkeypatch.setattr(grpo.PolicyGradientTrainer, "_compute_loss", loss)
    fitted(method(**SMALL), tiny_policy(), tmp_path / "fit", TASK)
    assert len(alive) >= SMALL["steps"] and born and alive == [0] * len(alive)
