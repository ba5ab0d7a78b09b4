"""Small GGUF files for the tests, written with gguf-py by the rules of llama.cpp's convert_hf_to_gguf.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHARACTERS = [*SPECIAL, *"abcdefghijklmnopqrstuvwxyz0123456789:.,?+", "Ġ", "Ċ", "ab", "cd"]
"""a tiny byte-level vocabulary of 48 tokens, as many as the models of tiny.py have"""
NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}  # fmt: skip


def write_tokenizer(writer: gguf.GGUFWriter, size: int) -> None:
    """A byte-level vocabulary whose metadata, like SmolLM2's, have BOS 1, EOS 2 and no BOS in front of a text."""
    tokens = [*CHARACTERS, *(f"[PAD{number}]" for number in range(len(CHARACTERS), size))][:size]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [5 if token.startswith("[PAD") else 1 for token in tokens[3:]])
    writer.add_token_merges(["a b", "c d"])
    for role, number in (("bos", 1), ("eos", 2), ("unk", 0), ("pad", 2)):
        getattr(writer, f"add_{role}_token_id")(number)
    writer.add_add_bos_token(False)


def rope_theta(config: Any) -> float:
    """Base of the rotary frequencies; transformers 5 keeps it in `rope_parameters`, by kind of layer for Gemma-3."""
    if hasattr(config, "rope_theta"):
        return float(config.rope_theta)
    parameters = config.rope_parameters
    return float(parameters.get("full_attention", parameters)["rope_theta"])


def write_model(file: Path, architecture: str, model: Any, extra: dict[str, Any] | None = None) -> None:
    """A transformers model in float32. `extra`: further keys (numbers) and tensors (arrays)."""
    config = model.config
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_name("tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope_theta(config))
    if architecture in ("qwen3", "gemma2", "gemma3"):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if architecture.startswith("gemma"):
        writer.add_sliding_window(config.sliding_window)
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    write_tokenizer(writer, config.vocab_size)
    for name, parameter in model.named_parameters():
        writer.add_tensor(*converted(architecture, config, name, parameter.detach().float().numpy()))
    for name, value in (extra or {}).items():
        if isinstance(value, np.ndarray):
            writer.add_tensor(name, value)
        else:
            writer.add_uint32(f"{architecture}.{name}", value)
    close(writer)


def converted(architecture: str, config: Any, name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """Name and values of one parameter in llama.cpp."""
    stem, _, suffix = name.rpartition(".")
    outside = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    gemma = architecture.startswith("gemma")
    if gemma and stem.endswith("norm"):
        values = values + 1
    if stem in outside:
        return f"{outside[stem]}.{suffix}", values
    _, _, number, part = stem.split(".", 3)
    if architecture == "llama" and part in ("self_attn.q_proj", "self_attn.k_proj"):
        heads = config.num_attention_heads if "q_proj" in part else config.num_key_value_heads
        values = values.reshape(heads, 2, values.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(values.shape)
    norms = {
        "post_attention_layernorm": "post_attention_norm" if gemma else "ffn_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    }
    return f"blk.{number}.{ {**NAMES, **norms}[part] }.{suffix}", np.ascontiguousarray(values)


def write_quantised(file: Path, name: str = "tiny") -> None:
    """A small Llama with Q8_0 matrices."""
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name(name)
    sizes = {"block_count": 2, "context_length": 64, "embedding_length": 32, "feed_forward_length": 32}
    sizes |= {"head_count": 2, "head_count_kv": 1, "rope_dimension_count": 16, "vocab_size": len(CHARACTERS)}
    for field, value in sizes.items():
        getattr(writer, f"add_{field}")(value)
    writer.add_layer_norm_rms_eps(1e-6)
    write_tokenizer(writer, len(CHARACTERS))
    shapes = {"token_embd.weight": (len(CHARACTERS), 32), "output_norm.weight": (32,)}
    for i in range(2):
        square = ("attn_q", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
        shapes |= {f"blk.{i}.{name}.weight": (32,) for name in ("attn_norm", "ffn_norm")}
        shapes |= {f"blk.{i}.{name}.weight": (32, 32) for name in square}
        shapes |= {f"blk.{i}.{name}.weight": (16, 32) for name in ("attn_k", "attn_v")}
    for i, (tensor, shape) in enumerate(shapes.items()):
        values = torch.randn(shape, generator=torch.Generator().manual_seed(i)).numpy()
        if len(shape) == 2 and not tensor.startswith("token"):
            quantised = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(tensor, quantised, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(tensor, values)
    close(writer)


def close(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
