"""KV steering against a cache that is changed by hand: what is read later, what is untouched, and what a fit takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from elicit.errors import CheckpointError, ConfigError, MethodError
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.checkpoint import CheckpointConfig, load_checkpoint, parameters_hash
from elicit.policy.decoding import REGIMES
from elicit.policy.intervention import save
from elicit.policy.policy import Policy, load_intervention
from elicit.policy.positions import forward_positions
from elicit.sampling.sample import sample
from elicit.tasks.formal.task import FormalTask
from methods.kv_steering.edit import CacheEdit, last_keys_values, projections
from methods.kv_steering.method import KvSteering, paired_difference, random_like

TASK = FormalTask(n_train=30, n_dev=10, n_test=10, max_size=3, long_sizes=(4, 5))
PROMPT, REST = (3, 5, 7, 2), (4, 6, 1)


def llama(layers: int = 1) -> LlamaForCausalLM:
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=11, hidden_size=16, intermediate_size=24, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.4, eos_token_id=0, bos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).double().eval().requires_grad_(False)


def edit_of(layers: int = 1, **more: object) -> CacheEdit:
    drawn = torch.randn(2, layers, 8, generator=torch.Generator().manual_seed(9))
    return CacheEdit(tuple(range(layers)), drawn[0], drawn[1], **{"key_strength": 0.7, "value_strength": 1.5, **more})  # type: ignore[arg-type]


def logits(model: LlamaForCausalLM, edit: CacheEdit | None, padding: int = 0) -> torch.Tensor:
    """[T, V] of prompt and rest, teacher-forced, right-padded."""
    ids = torch.tensor([[*PROMPT, *REST, *[0] * padding]])
    places = torch.tensor([[*range(7), *[-1] * padding]])
    with torch.no_grad(), forward_positions(places, torch.tensor([len(PROMPT)])):
        if edit is None:
            return model(input_ids=ids).logits[0, :7]
        with edit.applied(model):
            return model(input_ids=ids).logits[0, :7]


def test_later_tokens_read_the_prompts_cache_with_the_vectors_added_once() -> None:
    """One layer: nothing that the last prompt token writes is read later but its key and its value."""
    model, edit = llama(), edit_of()
    cache = DynamicCache()
    with torch.no_grad():
        model(input_ids=torch.tensor([PROMPT]), past_key_values=cache)
        last = len(PROMPT) - 1
        heads = [(s * v[0]).double().view(1, 2, 1, 4) for s, v in ((0.7, edit.keys_L_K), (1.5, edit.values_L_K))]
        cos, sin = model.model.rotary_emb(heads[0], torch.tensor([[last]]))
        rotated = apply_rotary_pos_emb(heads[0], heads[0], cos, sin)[0]
        cache.layers[0].keys[:, :, last] += rotated[:, :, 0]
        cache.layers[0].values[:, :, last] += heads[1][:, :, 0]
        by_hand = model(input_ids=torch.tensor([REST]), past_key_values=cache).logits[0]
    steered, plain = logits(model, edit), logits(model, None)
    assert torch.allclose(steered[len(PROMPT) :], by_hand, atol=1e-9)
    assert torch.equal(steered[:last], plain[:last]) and not torch.allclose(steered[last:], plain[last:], atol=1e-2)


def test_padding_moves_nothing_and_all_prompt_tokens_can_be_written() -> None:
    model = llama(3)
    for write in ("last_prompt", "prompt"):
        edit = edit_of(3, write=write)
        assert torch.allclose(logits(model, edit), logits(model, edit, padding=4), atol=1e-9)
    assert not torch.allclose(logits(model, edit_of(3))[0], logits(model, edit_of(3, write="prompt"))[0], atol=1e-2)


def test_leaving_undoes_it_bit_for_bit_and_a_null_edit_changes_no_bit() -> None:
    model = llama(2)
    before, plain = parameters_hash(model), logits(model, None)
    logits(model, edit_of(2))
    with pytest.raises(RuntimeError, match="without positions"), edit_of(2).applied(model):
        model(input_ids=torch.tensor([PROMPT]))
    assert parameters_hash(model) == before and torch.equal(logits(model, None), plain)
    assert all(not part._forward_hooks for pair in projections(model) for part in pair)
    assert torch.equal(logits(model, edit_of(2, key_strength=0.0, value_strength=0.0)), plain)


def test_a_saved_edit_is_the_same_edit_and_every_part_of_it_is_in_the_id(tmp_path: Path) -> None:
    edit = edit_of(2)
    save(edit, tmp_path)
    loaded = load_intervention(tmp_path)
    assert isinstance(loaded, CacheEdit) and loaded.id == edit.id
    assert torch.equal(logits(llama(2), loaded), logits(llama(2), edit))
    changed = [{"key_strength": 0.6}, {"value_strength": 1.6}, {"write": "prompt"}, {"keys_L_K": -edit.keys_L_K}]
    assert len({edit.id, *(replace(edit, **one).id for one in changed)}) == 5  # type: ignore[arg-type]


def test_an_edit_that_does_not_fit_is_refused() -> None:
    with pytest.raises(CheckpointError, match="layers 0 to 0"):
        edit_of(2).check(llama(1))
    with pytest.raises(CheckpointError, match="8 wide, that of LlamaForCausalLM 16"):
        wide = LlamaConfig(
            vocab_size=11, hidden_size=16, intermediate_size=8, num_hidden_layers=1, num_attention_heads=4
        )
        edit_of(1).check(LlamaForCausalLM(wide))
    with pytest.raises(CheckpointError, match="has no k_proj"):
        edit_of(1).check(GPT2LMHeadModel(GPT2Config(vocab_size=11, n_positions=8, n_embd=8, n_layer=1, n_head=2)))
    with pytest.raises(ConfigError, match="changed once"):
        edit_of(1, write="onward")


def test_the_difference_is_that_of_item_means() -> None:
    rng = np.random.default_rng(3)
    readings = torch.from_numpy(rng.standard_normal((9, 2, 4))).float()
    items, sides = (
        ["a", "a", "a", "b", "b", "c", "c", "a", "b"],
        [True, False, True, True, None, False, True, False, False],
    )
    total = np.zeros((2, 4))
    for item in "abc":
        for side, sign in ((True, 1), (False, -1)):
            own = [readings[i].numpy() for i in range(9) if items[i] == item and sides[i] is side]
            total += sign * sum(own) / len(own) / 3
    assert torch.allclose(paired_difference(readings, sides, items), torch.from_numpy(total).float(), atol=1e-6)
    with pytest.raises(MethodError, match="none of 1 items"):
        paired_difference(readings[:1], [True], ["a"])
    random = random_like(readings[0], rng)
    assert torch.allclose(random.norm(dim=-1), readings[0].norm(dim=-1)) and not torch.allclose(random, readings[0])


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy(load_checkpoint(CheckpointConfig(path="organism", device="cpu", dtype="float32")))


def test_what_is_read_is_what_the_projections_give_row_by_row(policy: Policy) -> None:
    rows = [policy.prompt_ids(item.question) for item in TASK.items("dev", 4)]
    keys, values = last_keys_values(policy, rows, [len(row) for row in rows], [0, 1])
    model = policy.checkpoint.model
    for n, row in enumerate(rows):
        cache = DynamicCache()
        with torch.no_grad():
            model(input_ids=torch.tensor([row]), past_key_values=cache)
        own = cache.layers[1].values[0, :, -1].reshape(-1)
        assert torch.allclose(values[n, 1], own, atol=1e-4)
    assert keys.shape == values.shape == (4, 2, own.numel())


def test_sampling_with_a_cache_is_sampling_by_whole_passes(policy: Policy) -> None:
    model, items = policy.checkpoint.model, TASK.items("dev", 3)
    wide = int(projections(model)[0][0].weight.shape[0])  # type: ignore[union-attr, arg-type]
    drawn = torch.randn(2, 1, wide, generator=torch.Generator().manual_seed(1))
    steered = policy.with_intervention(CacheEdit((1,), drawn[0], drawn[1], 1.0, 3.0))
    for item, _, outcome in sample(steered, items, [0], REGIMES["greedy"], TASK):
        ids, prompt = list(outcome.path.token_ids), list(policy.prompt_ids(item.question))
        width = len(prompt) + len(ids)
        with (
            torch.no_grad(),
            steered.applied(),
            forward_positions(torch.arange(width)[None], torch.tensor([len(prompt)])),
        ):
            rows = model(input_ids=torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
        own = [float(rows[len(prompt) - 1 + place, token]) for place, token in enumerate(ids)]
        assert outcome.path.logprobs == pytest.approx(own, abs=1e-3)


@pytest.mark.parametrize(("contrast", "grade"), [("traced_minus_direct", "V"), ("right_minus_wrong", "R")])
def test_a_fit_takes_the_best_strengths_and_its_controls_as_many_tries(
    policy: Policy, contrast: str, grade: str
) -> None:
    method = KvSteering(contrast=contrast, items=10, samples=8, dev_items=8, halvings=1)
    tries: dict[str, int] = {}
    for name, one in {"method": method, **method.placebos()}.items():
        ledger, log = Ledger(TASK, "test"), []

        def score(tried: Policy, limit: int | None) -> float:
            (edit,) = tried.interventions
            assert isinstance(edit, CacheEdit)
            return float(edit.value_strength == 4.0) + float(edit.key_strength == 0.3)

        edit = one.fit(policy, ledger, Context(np.random.default_rng(0), Path("unused"), score, log.append))
        assert isinstance(edit, CacheEdit) and (edit.value_strength, edit.key_strength) == (4.0, 0.3)
        assert ledger.data_class == grade, name
        tries[name] = sum("kv_steering/try" in row for row in log)
    assert set(tries.values()) == {12 + 6}
    for control in {**method.placebos(), **method.rivals()}.values():
        assert isinstance(control, KvSteering)
        assert replace(control, control="none", contrast=contrast) == method and control != method
