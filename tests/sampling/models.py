"""Tiny random models of many architectures and a byte-level tokenizer, made in milliseconds."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers import models as token_models

SIZE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = {**SIZE, "num_key_value_heads": 2, "max_position_embeddings": 256}
OLD = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", GROUPED),
    "gpt2": ("GPT2", OLD),
    "gpt_neox": ("GPTNeoX", {**SIZE, "max_position_embeddings": 256}),
    "gemma2": ("Gemma2", {**GROUPED, "head_dim": 8, "sliding_window": 6}),
    "gemma3": ("Gemma3Text", {**GROUPED, "head_dim": 8, "sliding_window": 6, "sliding_window_pattern": 2}),
    "mistral": ("Mistral", {**GROUPED, "sliding_window": 6}),
    "qwen2": ("Qwen2", GROUPED),
    "qwen3": ("Qwen3", {**GROUPED, "head_dim": 8}),
    "phi": ("Phi", {**SIZE, "max_position_embeddings": 256}),
    "opt": ("OPT", {**SIZE, "ffn_dim": 48, "word_embed_proj_dim": 32, "max_position_embeddings": 256}),
    "bloom": ("Bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "falcon": ("Falcon", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}),
    "gptj": ("GPTJ", {**OLD, "rotary_dim": 8}),
    "gpt_neo": ("GPTNeo", {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "max_position_embeddings": 256,
                           "attention_types": [[["global", "local"], 1]], "window_size": 6}),
    "mamba": ("Mamba", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}),
}  # fmt: skip

TEXT = (
    "Question: Start with 3. Add 4.\nAnswer: The answer is 7.\n\nQuestion: Add 12 and 30.\n"
    "Answer: First, 12 and 30 make 42. The answer is 42. caf\u00e9 na\u00efve\n"
)


@cache
def tokenizer() -> Any:
    """Byte-level BPE with <pad> = 0 and <eos> = 1; some words are one token, anything else is bytes."""
    plain = Tokenizer(token_models.BPE(unk_token=None))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    plain.train_from_iterator([TEXT] * 3, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", eos_token="<eos>", padding_side="left"
    )


def tiny_model(name: str = "llama", dtype: torch.dtype = torch.float64, seed: int = 0, spread: float = 0.15) -> Any:
    """A random model in evaluation mode; `spread` is the scale of its weights: larger is more decided."""
    family, fields = CONFIGS[name]
    torch.manual_seed(seed)
    config = getattr(transformers, f"{family}Config")(
        vocab_size=len(tokenizer()), bos_token_id=None, eos_token_id=1, pad_token_id=0, **fields
    )
    config.initializer_range = spread
    return transformers.AutoModelForCausalLM.from_config(config).to(dtype).eval()


def prompts(count: int = 5) -> list[tuple[int, ...]]:
    """Prompts of different lengths."""
    questions = [f"Add {place} and {'7' * (place + 1)}. {'Add 4. ' * (place % 4)}" for place in range(count)]
    texts = [f"Question: {question}\nAnswer:" for question in questions]
    return [tuple(tokenizer()(text).input_ids) for text in texts]
