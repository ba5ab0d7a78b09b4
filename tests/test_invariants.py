"""The invariants of the workbench (design: architecture), on a tiny random two-layer model, on the CPU.

Bits are compared only of one computation on one batch: equal weights and vectors give equal bits on every machine, and
x + 0 = x in every precision. Batches of other shapes (4) are compared in float64 within a tolerance.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.intervention import Intervention, save
from elicit.policy.policy import Policy, load_intervention
from elicit.policy.positions import forward_positions, positions_of
from elicit.policy.weights import WeightEdit
from tests.policy.tiny import hook_count, random_ids, random_vector, tiny_model, tiny_tokenizer

PROMPT, NEW = 4, 5
NAME = "model.layers.0.self_attn.q_proj.weight"
PAIR = (torch.randn(2, 16, generator=torch.Generator().manual_seed(1)), torch.ones(16, 2))
CHANGES: dict[str, tuple[Intervention, ...]] = {
    "vectors": (ActivationEdit((Edit(0, random_vector(2), write="every"), Edit(1, random_vector(3), write="onward"))),),
    "clamp": (ActivationEdit((Edit(1, random_vector(2), "clamp", target=4.0, write="prompt"),)),),
    "ablation": (ActivationEdit((Edit(0, random_vector(2), "ablate", write="last_prompt"),)),),
    "difference": (WeightEdit({"model.norm.weight": torch.ones(16)}),),
    "lora": (WeightEdit(pairs={NAME: PAIR}, scale=0.5),),
    "stack": (WeightEdit(pairs={NAME: PAIR}), ActivationEdit((Edit(1, random_vector(4), write="every"),))),
}
NULLS: dict[str, tuple[Intervention, ...]] = {
    "empty": (),
    "zero vector": (ActivationEdit((Edit(0, torch.zeros(16), write="every"),)),),
    "zero strength": (ActivationEdit((Edit(1, random_vector(), "clamp", 0.0, "every", 3.0),)),),
    "no edits": (ActivationEdit(()),),
    "fresh LoRA": (WeightEdit(pairs={NAME: (PAIR[0], torch.zeros(16, 2))}),),
    "zero difference": (WeightEdit({"model.norm.weight": torch.zeros(16)}),),
}


def policy_of(interventions: tuple[Intervention, ...], dtype: torch.dtype = torch.float32) -> Policy:
    return Policy(wrap(tiny_model(dtype=dtype), tiny_tokenizer()), interventions)


def logits(policy: Policy, ids: torch.Tensor) -> torch.Tensor:
    lengths = torch.full((len(ids),), PROMPT)
    with torch.no_grad(), forward_positions(positions_of(torch.ones_like(ids)), lengths):
        return policy.checkpoint.model(input_ids=ids).logits


@pytest.mark.parametrize("name", CHANGES)
def test_1_undo_restores_the_base_exactly_also_after_an_exception(name: str) -> None:
    policy, ids = policy_of(CHANGES[name]), random_ids(3, 7)
    base = logits(policy, ids)
    with policy.applied():
        assert not torch.equal(logits(policy, ids), base)
    assert torch.equal(logits(policy, ids), base)
    with pytest.raises(ZeroDivisionError), policy.applied():
        raise ZeroDivisionError
    assert torch.equal(logits(policy, ids), base)
    assert hook_count(policy.checkpoint.model) == 0


@pytest.mark.parametrize("name", NULLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_2_a_change_of_nothing_is_the_base(name: str, dtype: torch.dtype) -> None:
    policy, ids = policy_of(NULLS[name], dtype), random_ids(3, 7)
    base = logits(policy, ids)
    with policy.applied():
        assert torch.equal(logits(policy, ids), base)


@pytest.mark.parametrize("name", CHANGES)
def test_3_save_and_load_give_the_same_id_and_the_same_logits(name: str, tmp_path: Path) -> None:
    policy, ids = policy_of(CHANGES[name]), random_ids(3, 7)
    for i, intervention in enumerate(policy.interventions):
        save(intervention, tmp_path / str(i))
    loaded = tuple(load_intervention(tmp_path / str(i), policy.checkpoint) for i in range(len(policy.interventions)))
    again = Policy(policy.checkpoint, loaded)
    assert again.id == policy.id
    with policy.applied():
        first = logits(policy, ids)
    with again.applied():
        assert torch.equal(logits(again, ids), first)


@pytest.mark.parametrize("write", ["last_prompt", "onward", "every", "prompt", "completion"])
def test_4_cached_generation_is_uncached_generation_wherever_the_edit_writes(write: str) -> None:
    edit = ActivationEdit((Edit(0, random_vector(2), write=write), Edit(1, random_vector(3), "clamp", 0.5, write, 2.0)))
    policy, prompt = policy_of((edit,), torch.float64), random_ids(2, PROMPT)
    with policy.applied():
        cached, uncached = _generate(policy, prompt, True), _generate(policy, prompt, False)
    torch.testing.assert_close(cached, uncached, atol=1e-10, rtol=1e-10)
    base = _generate(policy_of((), torch.float64), prompt, True)
    assert (cached[:, 0] != base[:, 0]).any() == (write != "completion")
    assert not torch.equal(cached[:, 1:], base[:, 1:])


def _generate(policy: Policy, prompt_B_T: torch.Tensor, cached: bool) -> torch.Tensor:
    """Float [B, NEW, V]: the logits along one forced continuation, by hand."""
    continuation, cache, out = random_ids(2, NEW, seed=8), None, []
    for step in range(NEW):
        ids = torch.cat([prompt_B_T, continuation[:, :step]], 1)
        positions, lengths = positions_of(torch.ones_like(ids)), torch.full((2,), PROMPT)
        kept = slice(-1, None) if cached and step else slice(None)
        with torch.no_grad(), forward_positions(positions[:, kept], lengths):
            got = policy.checkpoint.model(
                input_ids=ids[:, kept], position_ids=positions[:, kept], past_key_values=cache, use_cache=cached
            )
        cache = got.past_key_values if cached else None
        out.append(got.logits[:, -1])
    return torch.stack(out, 1)
