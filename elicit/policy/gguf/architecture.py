"""What a GGUF architecture is in transformers: its configuration, the names of its tensors, and what the conversion
to GGUF changed in their values.

    llama            query and key rows are interleaved for llama.cpp's rotary embedding: put back in halves
    gemma2, gemma3   1 was added to the weights of the norms: subtracted again
    qwen2, qwen3     unchanged

A key or a tensor that this table does not know is refused: transformers would ignore it, and the model would run and be
another one (Llama-3.1's `rope_freqs`, Mixtral's experts, `rope.scaling`). Source: llama.cpp's convert_hf_to_gguf.py.
Knows no tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from elicit.errors import CheckpointError, near
from elicit.policy.gguf.header import GgufFile

if TYPE_CHECKING:
    import numpy as np

KEYS = {
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "embedding_length": "hidden_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
OPTIONAL_KEYS = (
    "rope.freq_base",
    "rope.dimension_count",
    "attention.key_length",
    "attention.value_length",
    "vocab_size",
)
TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""of block N: `blk.N.attn_q.weight` is `model.layers.N.self_attn.q_proj.weight`"""
GEMMA_TENSORS = {
    **TENSORS,
    "ffn_norm": "pre_feedforward_layernorm",
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


@dataclass(frozen=True)
class Architecture:
    """One line of `ARCHITECTURES`."""

    model_type: str
    """of transformers"""
    tensors: Mapping[str, str] = field(default_factory=lambda: TENSORS)
    keys: Mapping[str, str] = field(default_factory=dict)
    """further keys -> fields of the configuration"""
    norm_offset: float = 0.0
    interleaved: bool = False
    blocks_of_largest: int = 0
    """blocks of the 27 B model, which scales its queries in its own way (Gemma)"""


ARCHITECTURES = {
    "llama": Architecture("llama", interleaved=True),
    "qwen2": Architecture("qwen2"),
    "qwen3": Architecture("qwen3"),
    "gemma2": Architecture(
        "gemma2",
        GEMMA_TENSORS,
        {
            "attention.sliding_window": "sliding_window",
            "attn_logit_softcapping": "attn_logit_softcapping",
            "final_logit_softcapping": "final_logit_softcapping",
        },
        norm_offset=1.0,
        blocks_of_largest=46,
    ),
    "gemma3": Architecture(
        "gemma3_text",
        GEMMA_TENSORS,
        {"attention.sliding_window": "sliding_window"},
        norm_offset=1.0,
        blocks_of_largest=62,
    ),
}


def architecture_of(file: GgufFile) -> Architecture:
    """Raises CheckpointError for an architecture without a line, and for a key that would be ignored."""
    name = str(file.metadata.get("general.architecture"))
    if name not in ARCHITECTURES:
        raise CheckpointError(
            f"{file.path}: general.architecture={name!r} can't be read from GGUF; {near(name, ARCHITECTURES)}. Use "
            "the safetensors weights"
        )
    known = {*KEYS, *OPTIONAL_KEYS, *ARCHITECTURES[name].keys}
    for key in file.metadata:
        head, _, rest = key.partition(".")
        if head == name and rest not in known:
            raise CheckpointError(
                f"{file.path}: {key}={file.metadata[key]!r} would be ignored, and the model would be another one; use "
                "the safetensors weights"
            )
    return ARCHITECTURES[name]


def configuration(file: GgufFile) -> Any:
    """The transformers configuration. Raises CheckpointError for a key that is missing or unknown."""
    from transformers import AutoConfig

    kind, name = architecture_of(file), str(file.metadata["general.architecture"])

    def stated(key: str) -> Any:
        return file.metadata.get(f"{name}.{key}")

    if missing := [key for key in KEYS if stated(key) is None]:
        raise CheckpointError(f"{file.path}: its metadata lack {name}.{missing[0]}; download it again")
    fields = {target: stated(key) for key, target in {**KEYS, **kind.keys}.items() if stated(key) is not None}
    # 1) the width of a head, and the rotary embedding over all of it
    heads = fields["num_attention_heads"]
    width = stated("attention.key_length") or stated("rope.dimension_count") or fields["hidden_size"] // heads
    if any(stated(key) not in (None, width) for key in ("rope.dimension_count", "attention.value_length")):
        raise CheckpointError(
            f"{file.path}: heads of {width} with a rotary or value width that differs; use safetensors"
        )
    fields |= {"head_dim": width, "rope_theta": stated("rope.freq_base") or 10000.0}
    # 2) Gemma scales its queries by a number that the file does not hold
    if kind.blocks_of_largest:
        largest = fields["num_hidden_layers"] == kind.blocks_of_largest
        fields["query_pre_attn_scalar"] = fields["hidden_size"] // heads if largest else width
    # 3) what the tensors say
    fields["vocab_size"] = file.tensors["token_embd.weight"].shape[0]
    fields["tie_word_embeddings"] = "output.weight" not in file.tensors
    if kind.model_type == "llama":
        fields["attention_bias"] = "blk.0.attn_q.bias" in file.tensors
    return AutoConfig.for_model(kind.model_type, **fields)


def tensor_name(kind: Architecture, name: str) -> str | None:
    """The name in transformers of a tensor of a GGUF file; None for one that has none."""
    stem, _, suffix = name.rpartition(".")
    if stem in OUTSIDE:
        return f"{OUTSIDE[stem]}.{suffix}"
    blk, _, rest = stem.partition(".")
    number, _, part = rest.partition(".")
    if blk != "blk" or part not in kind.tensors:
        return None
    return f"model.layers.{number}.{kind.tensors[part]}.{suffix}"


def value_change(kind: Architecture, name: str, config: Any) -> Callable[[np.ndarray], np.ndarray] | None:
    """What turns the values of a tensor back into those of transformers; None for most tensors."""
    part = name.split(".")[-2]
    if kind.norm_offset and part.endswith("norm"):
        return lambda values: values - kind.norm_offset
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    if kind.interleaved and part in heads:
        return lambda values: _halves(values, heads[part])
    return None


def _halves(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows (even, odd, even, odd, ...) of each head as (all even, all odd)."""
    split = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
    return split.swapaxes(1, 2).reshape(rows.shape)
