"""A checkpoint's shape before anything is loaded.

    organism, folder   config.json and the header of model.safetensors
    GGUF file          its header
    hub id             `SHAPES`; else the hub's cache and the model on torch's meta device, where tensors have no memory
    else               None: nothing is downloaded to make a plan

Only the meta device takes torch and transformers, and so seconds. `SHAPES` holds the values of the config.json of the
bases in configs/model; parameters follow from them (docs/real_bases.md). Knows nothing of jobs, batches or bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import elicit
from elicit.errors import CheckpointError
from elicit.policy import fetched, gguf
from elicit.policy.checkpoint import ORGANISMS
from elicit.policy.gguf.architecture import KEYS, architecture_of, tensor_name
from elicit.policy.gguf.header import read_header
from elicit.policy.shape import Shape

if TYPE_CHECKING:
    from elicit.policy.checkpoint import CheckpointConfig

_QWEN = {"model_type": "qwen2", "vocab_size": 151936, "num_key_value_heads": 2, "tie_word_embeddings": True}
_QWEN_1_5B = {**_QWEN, "hidden_size": 1536, "num_hidden_layers": 28, "num_attention_heads": 12,
              "intermediate_size": 8960}  # fmt: skip
SHAPES: dict[str, dict[str, Any]] = {
    "HuggingFaceTB/SmolLM2-135M": {
        "model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 1536, "tie_word_embeddings": True},
    "Qwen/Qwen2.5-0.5B": {**_QWEN, "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14,
                          "intermediate_size": 4864},
    "EleutherAI/pythia-1.4b": {
        "model_type": "gpt_neox", "vocab_size": 50304, "hidden_size": 2048, "num_hidden_layers": 24,
        "num_attention_heads": 16, "intermediate_size": 8192},
    "allenai/OLMo-2-0425-1B": {
        "model_type": "olmo2", "vocab_size": 100352, "hidden_size": 2048, "num_hidden_layers": 16,
        "num_attention_heads": 16, "num_key_value_heads": 16, "intermediate_size": 8192},
    "Qwen/Qwen2.5-1.5B": _QWEN_1_5B,
    "Qwen/Qwen2.5-Math-1.5B": _QWEN_1_5B,
    "Qwen/Qwen3-1.7B-Base": {
        "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 2048, "num_hidden_layers": 28,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 6144,
        "tie_word_embeddings": True},
    "Qwen/Qwen2.5-Math-7B": {
        "model_type": "qwen2", "vocab_size": 152064, "hidden_size": 3584, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "intermediate_size": 18944},
    "meta-llama/Llama-3.1-8B": {
        "model_type": "llama", "vocab_size": 128256, "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336},
}  # fmt: skip


def shape_of(config: CheckpointConfig) -> Shape | None:
    """The sizes of the model; None if its config is not at hand."""
    try:
        if file := _gguf_file(config):
            return of_gguf(file)
    except CheckpointError:
        return None
    if (shape := Shape.of_folder(Path(_source(config)[0]))) is not None:
        return shape
    if config.path in SHAPES:
        return Shape.of_tensors(SHAPES[config.path], tensors_of(SHAPES[config.path]))
    model = unloaded(config)
    return None if model is None else Shape.of(model)


def of_gguf(file: Path) -> Shape:
    """From the header of a GGUF file. Raises CheckpointError if it can't be read, or for an unknown architecture."""
    header = read_header(file)
    kind, name = architecture_of(header), header.metadata["general.architecture"]
    config = {target: header.metadata.get(f"{name}.{key}") for key, target in KEYS.items()}
    config |= {
        "head_dim": header.metadata.get(f"{name}.attention.key_length"),
        "vocab_size": header.tensors["token_embd.weight"].shape[0],
    }
    return Shape.of_tensors(config, {tensor_name(kind, t.name) or t.name: t.shape for t in header.tensors.values()})


def tensors_of(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors that transformers makes for an entry of `SHAPES`; a test compares the two."""
    kind, layers, width = config["model_type"], config["num_hidden_layers"], config["hidden_size"]
    inner, heads = config["intermediate_size"], config["num_attention_heads"]
    head = config.get("head_dim") or width // heads
    queries, keys = heads * head, config.get("num_key_value_heads", heads) * head
    # 1) one block: its matrices, and the vectors of its norms and biases
    if kind == "gpt_neox":
        block: dict[str, tuple[int, ...]] = {
            "attention.query_key_value": (3 * width, width), "attention.dense": (width, width),
            "mlp.dense_h_to_4h": (inner, width), "mlp.dense_4h_to_h": (width, inner),
        }  # fmt: skip
        vectors = sum(rows for rows, _ in block.values()) + 4 * width
    else:
        block = {
            "self_attn.q_proj": (queries, width), "self_attn.k_proj": (keys, width),
            "self_attn.v_proj": (keys, width), "self_attn.o_proj": (width, queries),
            "mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width), "mlp.down_proj": (width, inner),
        }  # fmt: skip
        more = {"qwen2": queries + 2 * keys, "qwen3": 2 * head, "olmo2": queries + keys}  # biases; norms of q and k
        vectors = 2 * width + more.get(kind, 0)
    tensors = {f"layers.{layer}.{name}.weight": size for layer in range(layers) for name, size in block.items()}
    # 2) all vectors as one, the last norm included; the tables, the head only if it is no table
    tensors["vectors"] = (layers * vectors + (2 if kind == "gpt_neox" else 1) * width,)
    tensors["embed.weight"] = (config["vocab_size"], width)
    if not config.get("tie_word_embeddings"):
        tensors["lm_head.weight"] = (config["vocab_size"], width)
    return tensors


def unloaded(config: CheckpointConfig) -> Any | None:
    """The model without its weights; None if its config is not at hand.

    An unreadable checkpoint is reported by the loader, not here.
    """
    import torch
    from transformers import AutoModelForCausalLM

    shape = _config(config)
    if shape is None:
        return None
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(shape, trust_remote_code=False)


def parameters(model: Any) -> int:
    """Parameters of a model, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def _config(config: CheckpointConfig) -> Any | None:
    from transformers import AutoConfig

    try:
        if file := _gguf_file(config):
            return gguf.shape(file)
        source, options = _source(config)
        return AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False, **options)
    except CheckpointError:
        return None
    except (OSError, ValueError, KeyError, ImportError):
        shape = dict(SHAPES.get(config.path, {}))
        return AutoConfig.for_model(shape.pop("model_type"), **shape) if shape else None


def _gguf_file(config: CheckpointConfig) -> Path | None:
    """The GGUF file of a checkpoint that has one. Raises CheckpointError if it was not fetched."""
    if config.path.startswith(fetched.PREFIX):
        return fetched.installed(config.path.removeprefix(fetched.PREFIX), config.cache)
    path = Path(config.path).expanduser()
    return path if path.suffix.lower() == ".gguf" and path.is_file() else None


def _source(config: CheckpointConfig) -> tuple[str, dict[str, Any]]:
    """The path for transformers, and its options."""
    if config.path in ORGANISMS:
        return str(Path(elicit.__file__).parent / "organisms" / "checkpoints" / ORGANISMS[config.path]), {}
    path = Path(config.path).expanduser()
    return (str(path), {}) if path.exists() else (config.path, {"revision": config.revision})
