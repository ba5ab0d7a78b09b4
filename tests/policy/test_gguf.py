"""Laws of GGUF files: a file and its cache are one checkpoint, every value is the file's, what would be ignored is
refused."""

from __future__ import annotations

import json
from pathlib import Path

import gguf as reference_package
import numpy as np
import pytest
import torch

from elicit.errors import CheckpointError
from elicit.policy import fetched, gguf
from elicit.policy.cache import cache_root
from elicit.policy.checkpoint import CheckpointConfig, load_checkpoint
from elicit.policy.gguf.header import read_header
from tests.policy.gguf_files import close, rope_theta, write_model, write_quantised
from tests.policy.tiny import tiny_model
from tests.reference.ggml import BLOCKS

SENTENCE = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."


def cpu(path: Path | str, **fields) -> CheckpointConfig:  # type: ignore[no-untyped-def]
    return CheckpointConfig(str(path), device="cpu", **fields)


def test_a_file_and_its_cache_are_one_checkpoint_with_the_files_own_conventions(tmp_path: Path) -> None:
    file, cache = tmp_path / "tiny.gguf", tmp_path / "cache"
    write_quantised(file)
    first = load_checkpoint(cpu(file, cache=str(cache)))
    weights = next(cache.glob("gguf/*/model.safetensors"))
    written = weights.stat().st_mtime_ns
    second = load_checkpoint(cpu(file, cache=str(cache)))
    assert weights.stat().st_mtime_ns == written
    assert first.id == second.id == load_checkpoint(cpu(weights.parent)).id
    assert (first.bos_id, first.tokenizer.eos_token) == (None, "<|im_end|>")
    assert first.decode(first.encode("ab 12")) == "ab 12"
    assert first.info()["gguf"]["pre_tokenizer"] == "smollm"
    assert not list(cache.glob("gguf/.*"))


def test_a_text_ends_with_every_end_token_of_the_vocabulary_and_not_with_the_named_one_alone(tmp_path: Path) -> None:
    write_quantised(tmp_path / "tiny.gguf")
    checkpoint = load_checkpoint(cpu(tmp_path / "tiny.gguf", cache=str(tmp_path)))
    assert checkpoint.eos_ids == {0, 2}  # <|endoftext|> and <|im_end|>; the file names the second


def test_a_folder_of_another_format_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_quantised(tmp_path / "tiny.gguf")
    old, _, _ = gguf.dequantised(tmp_path / "tiny.gguf", str(tmp_path))
    monkeypatch.setattr(gguf, "FORMAT", gguf.FORMAT + 1)
    new, facts, _ = gguf.dequantised(tmp_path / "tiny.gguf", str(tmp_path))
    assert new != old and facts["gguf"]["format"] == gguf.FORMAT


def test_a_file_cut_short_is_refused_and_leaves_no_cache(tmp_path: Path) -> None:
    file, cache = tmp_path / "tiny.gguf", tmp_path / "cache"
    write_quantised(file)
    complete = file.read_bytes()
    for length in (0, 3, 40, 1500, len(complete) - 1):
        file.write_bytes(complete[:length])
        with pytest.raises(CheckpointError, match=r"tiny\.gguf: not a GGUF file that can be read"):
            load_checkpoint(cpu(file, cache=str(cache)))
    assert not list(cache.glob("gguf/*")) and not list(cache.glob("gguf/.*"))
    with pytest.raises(CheckpointError, match="no such GGUF file"):
        load_checkpoint(cpu(tmp_path / "none.gguf"))


def test_the_header_is_that_of_gguf_py(tmp_path: Path) -> None:
    write_quantised(tmp_path / "tiny.gguf")
    ours, theirs = read_header(tmp_path / "tiny.gguf"), reference_package.GGUFReader(tmp_path / "tiny.gguf")
    stated = {key: field.contents() for key, field in theirs.fields.items() if not key.startswith("GGUF.")}
    assert dict(ours.metadata) == stated
    for tensor in theirs.tensors:
        mine = ours.tensors[tensor.name]
        assert (mine.shape, mine.type) == (tuple(reversed(tensor.shape.tolist())), tensor.tensor_type)
        assert mine.offset == tensor.data_offset


@pytest.mark.parametrize("kind", BLOCKS, ids=[name for name, *_ in BLOCKS.values()])
def test_dequantised_values_are_those_of_the_published_block_layout(kind: int, tmp_path: Path) -> None:
    _, values, size, read = BLOCKS[kind]
    rows, blocks = 3, 2
    stored = np.random.default_rng(kind).integers(0, 256, (rows, blocks, size), dtype=np.uint8)
    for at in {3: (0, 2), 6: (0,), 8: (0,), 12: (0, 2), 14: (208,)}[kind]:  # random bytes are no sensible scales
        scales = np.random.default_rng(at).normal(size=(rows, blocks)).astype("<f2")
        stored[..., at : at + 2] = scales[..., None].view(np.uint8).reshape(rows, blocks, 2)
    writer = reference_package.GGUFWriter(tmp_path / "one.gguf", "llama")
    writer.add_tensor("matrix", stored.reshape(rows, -1), raw_dtype=reference_package.GGMLQuantizationType(kind))
    close(writer)
    file = read_header(tmp_path / "one.gguf")
    wanted = [[number for block in row for number in read(block.tobytes())] for row in stored]
    found = file.values(file.tensors["matrix"])
    assert found.shape == (rows, blocks * values)
    assert np.allclose(found, wanted, rtol=1e-5, atol=1e-5)


ARCHITECTURES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma2": "gemma2", "gemma3": "gemma3"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_written_by_the_rules_of_llama_cpp_is_read_as_the_same_model(architecture: str, tmp_path: Path) -> None:
    model = tiny_model(architecture)
    write_model(tmp_path / "tiny.gguf", architecture, model)
    loaded = load_checkpoint(cpu(tmp_path / "tiny.gguf", cache=str(tmp_path))).model
    there = dict(loaded.named_parameters())
    for name, parameter in model.named_parameters():
        assert torch.allclose(there.pop(name), parameter, atol=1e-6), name
    assert not there
    assert rope_theta(loaded.config) == pytest.approx(rope_theta(model.config))
    for field in ("head_dim", "rms_norm_eps", "sliding_window", "layer_types", "tie_word_embeddings",
                  "attn_logit_softcapping", "final_logit_softcapping", "rope_local_base_freq"):  # fmt: skip
        if hasattr(model.config, field) and (field, architecture) != ("head_dim", "llama"):
            assert getattr(loaded.config, field) == pytest.approx(getattr(model.config, field)), field


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        ({"expert_count": 8}, r"llama\.expert_count=8 would be ignored"),
        ({"rope_freqs.weight": np.ones(4, np.float32)}, r"1 that the model would ignore \(rope_freqs\.weight\)"),
        ({"rope.dimension_count": 4, "attention.key_length": 8}, "rotary or value width that differs"),
    ],
)
def test_what_transformers_would_ignore_is_refused(extra: dict[str, object], fault: str, tmp_path: Path) -> None:
    write_model(tmp_path / "tiny.gguf", "llama", tiny_model(), extra)
    with pytest.raises(CheckpointError, match=fault):
        load_checkpoint(cpu(tmp_path / "tiny.gguf", cache=str(tmp_path)))


def test_an_architecture_without_a_line_is_refused_with_those_that_have_one(tmp_path: Path) -> None:
    write_model(tmp_path / "tiny.gguf", "gemma", tiny_model("gemma2"))
    with pytest.raises(CheckpointError, match=r"architecture='gemma' can't be read from GGUF; did you mean gemma"):
        load_checkpoint(cpu(tmp_path / "tiny.gguf", cache=str(tmp_path)))


def test_a_missing_tensor_and_one_of_another_shape_are_refused(tmp_path: Path) -> None:
    narrow = tiny_model()
    narrow.model.norm.weight = torch.nn.Parameter(torch.ones(8))
    write_model(tmp_path / "narrow.gguf", "llama", narrow)
    with pytest.raises(CheckpointError, match=r"output_norm\.weight of shape \(8,\), not \(16,\)"):
        load_checkpoint(cpu(tmp_path / "narrow.gguf", cache=str(tmp_path)))
    short = tiny_model()
    del short.model.layers[1].mlp.up_proj.weight
    write_model(tmp_path / "short.gguf", "llama", short)
    with pytest.raises(CheckpointError, match=r"1 missing \(model\.layers\.1\.mlp\.up_proj\.weight\)"):
        load_checkpoint(cpu(tmp_path / "short.gguf", cache=str(tmp_path)))


def test_a_home_that_can_not_be_written_is_replaced_aloud_and_a_chosen_folder_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.delenv("ELICIT_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    root, notes = cache_root(None)
    assert root.is_dir() and "can't be written" in notes[0]
    with pytest.raises(CheckpointError, match="ELICIT_CACHE"):
        cache_root(str(tmp_path / "file" / "cache"))


@pytest.mark.skipif(not fetched.file_of("gemma3-270m").is_file(), reason="needs `elicit fetch gemma3-270m`")
def test_gemma_reads_a_sentence_of_gsm8k_as_26_tokens_at_3_8_nats_or_less() -> None:
    checkpoint = load_checkpoint(cpu("fetched:gemma3-270m"))
    ids = checkpoint.encode(SENTENCE)
    with torch.no_grad():
        logprobs = torch.log_softmax(checkpoint.model(torch.tensor([ids])).logits[0, :-1].double(), -1)
    nats = -logprobs.gather(1, torch.tensor(ids[1:])[:, None]).mean().item()
    assert len(ids) == 26 and nats <= 3.8
    assert checkpoint.base_model and json.dumps(checkpoint.info())
