"""A checkpoint's shape before anything is loaded: the model on torch's meta device, where tensors have no memory.

    organism, folder   its config.json                  hub id    the hub's cache, else `SHAPES`
    GGUF file          its header                       else      None: nothing is downloaded to make a plan

`SHAPES` holds the values of the config.json of the bases in configs/model; parameters follow from them
(docs/real_bases.md). Knows nothing of jobs, batches or bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import elicit
from elicit.errors import CheckpointError
from elicit.policy import fetched, gguf
from elicit.policy.checkpoint import ORGANISMS

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


def unloaded(config: CheckpointConfig) -> Any | None:
    """The model without its weights; None if its config is not at hand.

    An unreadable checkpoint is reported by the loader, not here.
    """
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
