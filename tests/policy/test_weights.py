"""Laws of weight edits: undone bit for bit, equal to what PEFT and a merged model compute."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from elicit.errors import CheckpointError, ConfigError, DataError
from elicit.policy.intervention import save
from elicit.policy.policy import load_intervention
from elicit.policy.weights import WeightEdit
from tests.policy.tiny import random_ids, tiny_model, tiny_tokenizer

QUERY = {"llama": "model.layers.0.self_attn.q_proj.weight", "gpt2": "transformer.h.0.attn.c_attn.weight"}


def logits(model, ids: torch.Tensor) -> torch.Tensor:  # type: ignore[no-untyped-def]
    with torch.no_grad():
        return model(input_ids=ids).logits


def lora(architecture: str = "llama", zero: bool = False, rank: int = 2) -> WeightEdit:
    shape = tuple(tiny_model(architecture).get_parameter(QUERY[architecture]).shape)
    rows, columns = shape[::-1] if architecture == "gpt2" else shape
    generator = torch.Generator().manual_seed(5)
    a = torch.randn(rank, columns, generator=generator)
    b = torch.zeros(rows, rank) if zero else torch.randn(rows, rank, generator=generator)
    return WeightEdit(pairs={QUERY[architecture]: (a, b)}, scale=0.5)


def test_the_very_same_tensors_come_back_also_after_an_exception() -> None:
    model, ids = tiny_model(), random_ids(2, 4)
    base = logits(model, ids)
    before = {name: parameter.data_ptr() for name, parameter in model.named_parameters()}
    with pytest.raises(KeyError), lora().applied(model):
        assert not torch.equal(logits(model, ids), base)
        raise KeyError
    assert {name: parameter.data_ptr() for name, parameter in model.named_parameters()} == before
    assert torch.equal(logits(model, ids), base)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fresh_lora_is_the_base_bit_for_bit(dtype: torch.dtype) -> None:
    model, ids = tiny_model(dtype=dtype), random_ids(2, 4)
    base = logits(model, ids)
    with lora(zero=True).applied(model):
        assert torch.equal(logits(model, ids), base)


@pytest.mark.parametrize("architecture", QUERY)
def test_a_pair_adds_scale_times_b_a(architecture: str) -> None:
    model, edit, name = tiny_model(architecture), lora(architecture), QUERY[architecture]
    base = model.get_parameter(name).clone()
    a, b = edit.pairs[name]
    product = 0.5 * b @ a
    with edit.applied(model):
        expected = base + (product.T if architecture == "gpt2" else product)
        torch.testing.assert_close(model.get_parameter(name).data, expected)


def test_a_difference_between_two_models_makes_one_of_the_other() -> None:
    one, two, ids = tiny_model(seed=0), tiny_model(seed=0), random_ids(2, 4)
    two.model.layers[1].mlp.up_proj.weight.data += 0.25
    edit = WeightEdit.between(dict(one.named_parameters()), dict(two.named_parameters()))
    assert list(edit.differences) == ["model.layers.1.mlp.up_proj.weight"]
    with edit.applied(one):
        torch.testing.assert_close(logits(one, ids), logits(two, ids))


def test_peft_computes_the_same_from_the_exported_adapter(tmp_path: Path) -> None:
    from peft import PeftModel

    model, ids, edit = tiny_model(), random_ids(2, 4), lora()
    edit.save_peft(tmp_path / "adapter", "tiny")
    with edit.applied(model):
        ours = logits(model, ids)
    theirs = logits(PeftModel.from_pretrained(model, str(tmp_path / "adapter")), ids)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert WeightEdit.from_peft(tmp_path / "adapter").id == edit.id


def test_an_adapter_that_peft_wrote_is_read_back(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    peft_model = get_peft_model(tiny_model(), LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj"]))
    for name, parameter in peft_model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_()
    ids = random_ids(2, 4)
    theirs = logits(peft_model.eval(), ids)
    peft_model.save_pretrained(str(tmp_path))
    model = tiny_model()
    with WeightEdit.from_peft(tmp_path).applied(model):
        torch.testing.assert_close(logits(model, ids), theirs, atol=1e-4, rtol=1e-4)


def test_merged_weights_are_the_edited_model(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model, ids, edit = tiny_model(), random_ids(2, 4), lora()
    edit.save_merged(model, tiny_tokenizer(), tmp_path)
    with edit.applied(model):
        expected = logits(model, ids)
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path), ids), expected)


def test_the_id_is_content_and_survives_the_folder(tmp_path: Path) -> None:
    edit = WeightEdit({"model.norm.weight": torch.ones(16)}, lora().pairs, scale=0.5)
    save(edit, tmp_path)
    loaded = load_intervention(tmp_path)
    assert loaded.id == edit.id
    assert WeightEdit(edit.differences, edit.pairs, scale=0.6).id != edit.id


def test_names_and_shapes_that_the_model_lacks_are_refused() -> None:
    model = tiny_model()
    with pytest.raises(CheckpointError, match=r"did you mean model\.norm\.weight"):
        WeightEdit({"model.norn.weight": torch.ones(16)}).check(model)
    with pytest.raises(CheckpointError, match=r"\(16,\).*\(8,\)"):
        WeightEdit({"model.norm.weight": torch.ones(8)}).check(model)


def test_the_second_name_of_a_tied_parameter_is_refused() -> None:
    with pytest.raises(CheckpointError, match="tied"):
        WeightEdit({"lm_head.weight": torch.ones(48, 16)}).check(tiny_model("gpt2"))


def test_pairs_without_a_common_rank_and_halves_of_pairs_are_refused() -> None:
    with pytest.raises(ConfigError, match="share no rank"):
        WeightEdit(pairs={"x": (torch.ones(2, 4), torch.ones(4, 3))})
    with pytest.raises(DataError, match="one matrix only"):
        WeightEdit.from_spec({"scale": 1.0}, {"lora_A:x": torch.ones(2, 4)})
