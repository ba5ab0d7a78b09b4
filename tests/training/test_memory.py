"""Laws of the memory estimate, on the true shapes of real models without their weights."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from elicit.errors import MethodError
from elicit.training.memory import GB, check, estimate
from elicit.training.trainable import Lora

LLAMA_8B = LlamaConfig(
    vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
    num_key_value_heads=8, max_position_embeddings=8192,
)  # fmt: skip


@pytest.fixture(scope="module")
def llama():
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(LLAMA_8B)


def of(model, trained, checkpointing=True):
    return estimate(model, trained, 4, 2048, 512, checkpointing, torch.bfloat16)


def test_all_weights_of_8_billion_are_refused_on_one_gpu_before_training_starts(llama) -> None:
    parameters = sum(p.numel() for p in llama.parameters())
    assert 8.0e9 < parameters < 8.1e9
    full = of(llama, parameters)
    assert full.fixed == parameters * 18
    with pytest.raises(MethodError, match=r"145 GB .* device has 80 GB: use parameters=lora"):
        check(full, int(80 * GB), "rlvr", "use parameters=lora")
    with pytest.raises(MethodError):
        check(full, int(141 * GB), "rlvr", "use parameters=lora")


def test_pairs_and_vectors_fit_it(llama) -> None:
    for trained in (Lora(32, 64.0, (), 0).size(llama), 32 * 4096):
        memory = of(llama, trained)
        check(memory, int(80 * GB), "rlvr", "")
        assert 16 * GB < memory.fixed < 18 * GB


def test_vectors_of_a_7b_base_are_a_checkpoint_below_a_megabyte() -> None:
    assert 28 * 3584 * 4 < 1e6 and 32 * 4096 * 4 < 1e6


def test_checkpointing_saves_activations_and_nothing_else(llama) -> None:
    plain, saved = of(llama, 1, False), of(llama, 1, True)
    assert saved.activations < plain.activations / 10 and saved.fixed == plain.fixed
