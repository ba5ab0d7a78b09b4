"""Tiny random models of several architectures, and a character tokenizer, for the tests of the policy room."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from tokenizers.decoders import Fuse
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    Olmo2Config,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

WIDTH, LAYERS, VOCABULARY = 16, 2, 48
SHARED = {"vocab_size": VOCABULARY, "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 2}
IDS = {"eos_token_id": 1, "pad_token_id": 0, "bos_token_id": None}
GATED = {**SHARED, **IDS, "intermediate_size": 32, "num_key_value_heads": 1, "max_position_embeddings": 64}
CONFIGS: dict[str, Any] = {
    "llama": lambda: LlamaConfig(**GATED),
    "qwen2": lambda: Qwen2Config(**GATED),
    "qwen3": lambda: Qwen3Config(**GATED, head_dim=8),
    "gemma2": lambda: Gemma2Config(**GATED, head_dim=8),
    "gemma3": lambda: Gemma3TextConfig(**GATED, head_dim=8),
    "olmo2": lambda: Olmo2Config(**GATED),
    "gpt_neox": lambda: GPTNeoXConfig(**SHARED, **IDS, intermediate_size=32, max_position_embeddings=64),
    "gpt2": lambda: GPT2Config(vocab_size=VOCABULARY, n_embd=WIDTH, n_layer=LAYERS, n_head=2, n_positions=64, **IDS),
}


def tiny_model(architecture: str = "llama", seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
    """A frozen random model with weights large enough that an edit shows."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(CONFIGS[architecture]()).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8.0)
    return model.eval().requires_grad_(False)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """One token a character; <pad> is 0, <eos> is 1, <bos> is 2."""
    characters = ["<pad>", "<eos>", "<bos>", "<unk>", *"\n .,:+?0123456789", *"abcdefghijklmnopqrstuvwxyzQA"]
    vocabulary = {token: i for i, token in enumerate(characters)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


def random_ids(rows: int, tokens: int, seed: int = 1) -> torch.Tensor:
    """Int [B, T] of ordinary tokens."""
    return torch.randint(3, VOCABULARY, (rows, tokens), generator=torch.Generator().manual_seed(seed))


def random_vector(seed: int = 2, width: int = WIDTH, scale: float = 3.0) -> torch.Tensor:
    """Float32 [D]."""
    return scale * torch.randn(width, generator=torch.Generator().manual_seed(seed))


def hook_count(model: Any) -> int:
    """Forward hooks anywhere in the model."""
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())
