"""Laws of the memory estimate, on the true shapes of real models without their weights."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig

from elicit.config.compose import build_settings, compose
from elicit.errors import MethodError
from elicit.experiment.forecast.shape import SHAPES, unloaded
from elicit.policy.checkpoint import CheckpointConfig
from elicit.policy.shape import Shape
from elicit.training import memory as memory_module
from elicit.training.memory import GB, check, estimate, estimate_rl, kept_per_token
from elicit.training.rl.vectors import Vectors
from elicit.training.trainable import FullWeights, Lora
from tests.policy.tiny import tiny_model
from tests.sampling import models

LLAMA_8B = LlamaConfig(
    vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
    num_key_value_heads=8, max_position_embeddings=8192,
)  # fmt: skip


@pytest.fixture(scope="module")
def llama():
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(LLAMA_8B)


def of(model, trained, checkpointing=True, vectors=False):
    return estimate(model, trained, micro_batch=4, tokens=2048, rows=512, checkpointing=checkpointing,
                    dtype=torch.bfloat16, vectors=vectors)  # fmt: skip


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


def test_a_model_without_attention_keeps_no_keys() -> None:
    mamba = models.tiny_model("mamba")
    memory = of(mamba, 1)
    assert memory.cache == 0 and memory.weights == 2 * sum(p.numel() for p in mamba.parameters())


def test_vectors_of_a_7b_base_are_a_checkpoint_below_a_megabyte() -> None:
    assert 28 * 3584 * 4 < 1e6 and 32 * 4096 * 4 < 1e6


def test_checkpointing_saves_activations_and_nothing_else(llama) -> None:
    plain, saved = of(llama, 1, False), of(llama, 1, True)
    assert saved.activations < plain.activations / 10 and saved.fixed == plain.fixed


def test_the_estimate_is_the_sum_over_parameters_tokens_and_rows(llama) -> None:
    """Restated with the shapes of Llama-3.1-8B: 8,030,261,248 parameters, 32 layers of 4096, 8 x 128 keys."""
    parameters = 8_030_261_248
    rows = {"micro_batch": 2, "tokens": 1000, "rows": 100, "dtype": torch.bfloat16}
    vectors = estimate(llama, 32 * 4096, checkpointing=False, vectors=True, **rows)
    kept = 4096 * 4 * 2 + 2 * (4096 * 2 + 1024 * 2 + 14336 * 3)
    assert vectors.weights == 2 * parameters and vectors.sampler == 0
    assert vectors.masters + vectors.gradients + vectors.optimizer == 16 * 32 * 4096
    assert vectors.activations == 2 * 1000 * 32 * kept
    assert vectors.cache == 100 * 1000 * 32 * 2 * 1024 * 2
    assert vectors.logits == 8 * 2 * 1000 * 32768 * 4
    assert vectors.total == 2 * parameters + 16 * 32 * 4096 + max(vectors.cache, vectors.activations + vectors.logits)

    full = estimate(llama, parameters, checkpointing=True, **rows)
    kept = 4096 * 8 * 2 + 2 * (4096 * 4 + 1024 * 2 + 14336 * 4)
    assert full.fixed == 18 * parameters and full.sampler == 2 * parameters
    assert full.activations == 2 * 1000 * (32 * 4096 * 4 + kept)
    assert full.logits == 8 * 2 * 1000 * 32768 * 4 + 128256 * 4096 * 4
    few = estimate(llama, parameters, checkpointing=True, labelled=40, copies=1, **rows)
    assert few.logits == 2 * 40 * 32768 * 4 + 128256 * 4096 * 4 and few.activations == full.activations
    assert estimate(llama, 1, checkpointing=True, **{**rows, "micro_batch": 8}).logits == 8 * 4096 * 32768 * 4


def llama_of(depth: int, dtype: torch.dtype):
    config = LlamaConfig(vocab_size=48, hidden_size=64, intermediate_size=224, num_hidden_layers=depth,
                         num_attention_heads=4, num_key_value_heads=1, max_position_embeddings=64)  # fmt: skip
    return AutoModelForCausalLM.from_config(config).to(dtype).requires_grad_(False)


def gemma_of(depth: int, dtype: torch.dtype):
    """Norms before and after attention and MLP, norms of heads, and query heads that are wider than the residual."""
    config = Gemma3TextConfig(vocab_size=48, hidden_size=64, intermediate_size=224, num_hidden_layers=depth,
                              num_attention_heads=4, num_key_value_heads=1, head_dim=32, max_position_embeddings=64,
                              sliding_window=32)  # fmt: skip
    return AutoModelForCausalLM.from_config(config).to(dtype).requires_grad_(False)


def saved_per_token(made, depth: int, trained: str, dtype: torch.dtype, rows: int = 2, tokens: int = 8) -> float:
    """Bytes of the activations that autograd saves in one forward pass, in the setting of the trainer."""
    model, storages = made(depth, dtype), {}
    trainable = {"vectors": lambda: Vectors(range(depth), 64, [1.0] * depth, "every"), "full": FullWeights,
                 "lora": lambda: Lora(1, 1.0, (), 0)}[trained]()  # fmt: skip

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.shape[:1] in ((rows,), (rows * tokens,)):  # a tensor of tokens, not of weights
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    half = dtype == torch.bfloat16 and trained != "vectors"
    watched = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with trainable.attached(model), torch.autocast("cpu", torch.bfloat16, enabled=half), watched:
        ids = torch.zeros(rows, tokens, dtype=torch.long)
        out = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
    assert out.requires_grad
    return sum(storage.nbytes() for storage in storages.values()) / (rows * tokens)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("trained", ["vectors", "lora", "full"])
def test_a_block_keeps_what_autograd_saves(trained: str, dtype: torch.dtype) -> None:
    """As the difference of two depths: embedding and head drop out. Sizes of tensors alone: no kernel decides them."""
    measured = (saved_per_token(llama_of, 4, trained, dtype) - saved_per_token(llama_of, 2, trained, dtype)) / 2
    stated = kept_per_token(llama_of(1, dtype), dtype.itemsize, trained == "vectors")
    assert stated == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("trained", ["vectors", "lora", "full"])
def test_further_norms_and_wide_queries_of_a_block_are_counted(trained: str, dtype: torch.dtype) -> None:
    measured = (saved_per_token(gemma_of, 4, trained, dtype) - saved_per_token(gemma_of, 2, trained, dtype)) / 2
    stated = kept_per_token(gemma_of(1, dtype), dtype.itemsize, trained == "vectors")
    assert 0.9 * measured < stated < 1.25 * measured


@pytest.mark.parametrize("made", [llama_of, gemma_of])
def test_a_shape_read_from_the_files_is_that_of_the_model(made) -> None:
    model = made(2, torch.float32)
    tensors = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert Shape.of_tensors(model.config.to_dict(), tensors) == Shape.of(model)


@pytest.mark.parametrize("base", ["Qwen/Qwen2.5-Math-7B", "meta-llama/Llama-3.1-8B"])
@pytest.mark.parametrize("limit", [400, 1024, 3072])
def test_the_preset_of_steering_at_7_billion_fits_one_gpu_of_80_gb(
    base: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert base in SHAPES
    model = unloaded(CheckpointConfig(path=base))
    method = build_settings(compose(["method=rl_steering_7b", "model=organism", "task=chain", "tracker=none"])).method
    monkeypatch.setattr(memory_module, "available", lambda device: int(80 * GB))
    layers = model.config.num_hidden_layers
    needed = estimate_rl(model, method, layers * model.config.hidden_size, vectors=True, tokens=limit + 256,
                         device=torch.device("cuda"), dtype=torch.bfloat16)  # fmt: skip
    assert needed.total < 0.9 * 80 * GB, str(needed)


def test_rollouts_are_counted_as_many_as_the_loop_keeps_alive_within_its_cache(monkeypatch) -> None:
    model = tiny_model()
    method = build_settings(compose(["method=rl_steering_7b", "model=organism", "task=chain", "tracker=none"])).method
    per_token = 2 * 2 * 1 * 8 * 4

    def cache(device: str, tokens: int) -> int:
        where = {"tokens": tokens, "device": torch.device(device), "dtype": torch.float32}
        return estimate_rl(model, method, 0, vectors=True, **where).cache

    assert method.batch == 64 * 16 and cache("cpu", 10) == per_token * 128 * 10 and cache("cpu", 10**9) == 2 * 2**30
    monkeypatch.setattr(memory_module, "available", lambda device: 10**9)
    weights = 4 * sum(parameter.numel() for parameter in model.parameters())
    assert cache("cuda", 10) == per_token * 256 * 10 and cache("cuda", 10**9) == int(0.6 * (10**9 - weights))
