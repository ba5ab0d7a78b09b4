"""Laws of checkpoints: what was loaded is said, nothing half-written loads, GGUF and its cache are one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from elicit.errors import CheckpointError
from elicit.policy.checkpoint import CheckpointConfig, end_ids, is_base, load_checkpoint, placement, wrap
from tests.policy.tiny import CONFIGS, random_ids, tiny_model, tiny_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model().save_pretrained(tmp_path / "tiny")
    tiny_tokenizer().save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def cpu(path: Path | str, **fields) -> CheckpointConfig:  # type: ignore[no-untyped-def]
    return CheckpointConfig(str(path), device="cpu", **fields)


def test_a_copy_in_another_folder_has_the_same_id_and_another_dtype_has_not(folder: Path, tmp_path: Path) -> None:
    first = load_checkpoint(cpu(folder))
    shutil.copytree(folder, tmp_path / "copy")
    assert load_checkpoint(cpu(tmp_path / "copy")).id == first.id
    assert load_checkpoint(cpu(folder, dtype="bfloat16")).id != first.id
    assert first.id == wrap(tiny_model(), tiny_tokenizer()).id


@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_architecture_loads_frozen_with_plain_generation_settings(architecture: str, tmp_path: Path) -> None:
    tiny_model(architecture).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    checkpoint = load_checkpoint(cpu(tmp_path))
    info = checkpoint.info()
    assert (info["layers"], info["width"], info["vocab"], info["eos_ids"]) == (2, 16, 48, [1])
    assert not checkpoint.model.training
    assert not any(parameter.requires_grad for parameter in checkpoint.model.parameters())
    settings = checkpoint.model.generation_config
    assert (settings.top_k, settings.top_p, settings.temperature, settings.repetition_penalty) == (0, 1.0, 1.0, 1.0)
    assert json.dumps(info)


def test_what_was_chosen_is_said(folder: Path) -> None:
    info = load_checkpoint(CheckpointConfig(str(folder), device="cpu")).info()
    assert any("runs on cpu in float32" in note for note in info["notes"])
    assert info["example"]["tokens"][:3] == ["Q", "u", "e"]
    assert info["attention"] == "sdpa"
    assert load_checkpoint(cpu(folder, attention="eager")).info()["attention"] == "eager"


def test_soft_capping_of_attention_logits_acts_whatever_attention_was_asked_for(tmp_path: Path) -> None:
    """transformers' sdpa leaves it out without a word."""
    model = tiny_model("gemma2")
    model.config.attn_logit_softcapping = 0.01
    for layer in model.model.layers:
        layer.self_attn.attn_logit_softcapping = model.config.attn_logit_softcapping
    ids, capped = random_ids(2, 12), []
    for attention in ("eager", "sdpa"):
        model.set_attn_implementation(attention)
        capped.append(model(ids).logits)
    assert not torch.allclose(*capped, atol=1e-2), "the fault: sdpa is another model"
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    for attention, said in (("auto", True), ("sdpa", True), ("eager", False)):
        checkpoint = load_checkpoint(cpu(tmp_path, attention=attention))
        assert torch.allclose(checkpoint.model(ids).logits, capped[0], atol=1e-5)
        assert checkpoint.info()["attention"] == "eager"
        assert any("attn_logit_softcapping" in note for note in checkpoint.notes) is said
    assert wrap(tiny_model(), tiny_tokenizer()).info()["attention"] == "sdpa"


def test_text_and_ids_go_there_and_back(folder: Path) -> None:
    checkpoint = load_checkpoint(cpu(folder))
    assert checkpoint.decode([*checkpoint.encode("abc 12"), 1]) == "abc 12"


@pytest.mark.parametrize(
    ("breakage", "fault"),
    [
        (lambda f: (f / "config.json").unlink(), "config.json"),
        (lambda f: (f / "config.json").write_text("{"), "not JSON"),
        (lambda f: (f / "model.safetensors").unlink(), "half-written"),
        (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-4]), "cut short"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "cut short"),
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "pickled"),
        (lambda f: (f / "tokenizer.json").unlink(), "tokenizer"),
        (lambda f: (f / "config.json").rename(f / "adapter_config.json"), "PEFT adapter"),
        (lambda f: shutil.rmtree(f), "no folder"),
    ],
)
def test_a_missing_or_half_written_folder_is_refused_with_place_and_mend(folder: Path, breakage, fault: str) -> None:  # type: ignore[no-untyped-def]
    breakage(folder)
    with pytest.raises(CheckpointError, match=fault) as caught:
        load_checkpoint(cpu(folder))
    assert str(folder) in str(caught.value) and "; " in str(caught.value)


def test_a_missing_shard_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="model-00001-of-00001"):
        load_checkpoint(cpu(folder))


@pytest.mark.parametrize("extra", [True, False])
def test_tensors_too_many_or_too_few_are_refused(folder: Path, extra: bool) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    if extra:
        tensors["model.layers.0.mlp.down_proj.bias"] = torch.ones(16)
    else:
        del tensors["model.norm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"down_proj\.bias" if extra else r"lacks model\.norm\.weight"):
        load_checkpoint(cpu(folder))


@pytest.mark.parametrize("device", ["cuda", "cuda:99", "mps", "gpu"])
def test_a_device_that_is_not_here_is_refused_before_anything_is_loaded(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if there.get(device):
        assert placement(CheckpointConfig("x", device=device))[0].type == device
    else:
        with pytest.raises(CheckpointError, match=f"model.device='{device}': .*use auto, cpu or cuda:N"):
            placement(CheckpointConfig("x", device=device))


def test_unknown_organisms_dtypes_and_devices_are_refused_with_what_there_is(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="organism:twin"):
        load_checkpoint(CheckpointConfig("organism:twins"))
    with pytest.raises(CheckpointError, match="bfloat16"):
        load_checkpoint(cpu(folder, dtype="bfloat"))
    with pytest.raises(CheckpointError, match="cuda:N"):
        load_checkpoint(CheckpointConfig(str(folder), device="gpu"))


def test_a_hub_id_offline_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"no-such/model.*HF_HUB_OFFLINE=1"):
        load_checkpoint(cpu("no-such/model"))


def model_naming(generation: object, config: object) -> SimpleNamespace:
    return SimpleNamespace(
        generation_config=SimpleNamespace(eos_token_id=generation), config=SimpleNamespace(eos_token_id=config)
    )


def test_end_ids_come_from_both_configs_and_from_a_tokenizer_only_where_they_are_silent() -> None:
    tokenizer = tiny_tokenizer()
    assert end_ids(model_naming([5, 6], 7), tokenizer)[0] == {5, 6, 7}
    assert "the config is used" in end_ids(model_naming(None, 2), tokenizer)[1][0]
    assert end_ids(model_naming(None, None), tokenizer) == (frozenset({1}), [])


def test_bos_is_prepended_only_where_the_convention_says_so() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = tiny_tokenizer()
    tokenizer.bos_token = "<bos>"
    assert wrap(tiny_model(), tokenizer).bos_id is None
    template = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    tokenizer.backend_tokenizer.post_processor = template
    checkpoint = wrap(tiny_model(), tokenizer)
    assert checkpoint.encode("ab") == [2, *tokenizer("ab", add_special_tokens=False)["input_ids"]]
    assert wrap(tiny_model(), tokenizer, bos=False).bos_id is None


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("SmolLM2-135M-Instruct-Q4_K_M.gguf", False), ("gemma-2-2b-it", False), ("deepseek-llm-7b-chat", False),
        ("Qwen2.5-1.5B-Instruct", False), ("Qwen2.5-1.5B", True), ("Qwen3-1.7B-Base", True), ("Mixtral-8x7B", True),
        ("SmolLM2-135M.gguf", True), ("chatty-things", True),
    ],
)  # fmt: skip
def test_a_name_that_says_post_trained_allows_no_latent_claim_unless_stated(name: str, base: bool) -> None:
    assert is_base(cpu(f"some/{name}"), {})[0] is base
    assert is_base(cpu(f"some/{name}", base_model=True), {}) == (True, [])
    assert is_base(cpu(f"some/{name}", base_model=False), {}) == (False, [])
    found, notes = is_base(cpu("model.gguf"), {"name": name, "finetune": None})
    assert found is base and len(notes) == (not base)


def test_the_metadata_of_a_gguf_file_decides_too_and_a_chat_template_alone_does_not(folder: Path) -> None:
    assert is_base(cpu("model.gguf"), {"name": "Some Model", "finetune": "Instruct"})[0] is False
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ messages[0].content }}"
    tokenizer.save_pretrained(folder)
    info = load_checkpoint(cpu(folder)).info()
    assert info["base_model"] is True and info["base_model_stated"] is False and info["chat_template"]
