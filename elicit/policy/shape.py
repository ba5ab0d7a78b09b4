"""The sizes of a model from which its memory follows: of a loaded model, or of its files alone.

A folder's config.json and the header of its safetensors file hold them all, so a plan needs neither torch nor
transformers. Knows nothing of bytes, batches or jobs.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedModel

INPUT_TABLES = ("embed", "wte", "wpe")
"""parts of the names of embedding tables, whose matrices are no linear layers"""

SIZES = ("hidden_size", "num_hidden_layers", "vocab_size", "num_attention_heads", "num_key_value_heads", "head_dim",
         "intermediate_size")  # fmt: skip
"""what is read of a config"""


class Dtype(Protocol):
    """What is read of a torch.dtype."""

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        ...


class Device(Protocol):
    """What is read of a torch.device that is no GPU."""

    @property
    def type(self) -> str:
        """cpu, cuda or mps."""
        ...


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder-only language model."""

    parameters: int
    """tied ones once"""
    layers: int
    width: int
    vocabulary: int
    heads: int | None
    """heads of keys and values; None: a model without attention heads"""
    head_width: int
    queries: int
    """width of all query heads together"""
    inner: int
    """width inside the MLP"""
    normed: int
    """values that the norms of one block read per token"""
    linear: Mapping[str, tuple[int, ...]]
    """shape of each linear layer's matrix by the layer's name, the head left out"""

    @staticmethod
    def of(model: PreTrainedModel | Shape) -> Shape:
        """Of a model, which may be on the meta device."""
        if isinstance(model, Shape):
            return model
        from elicit.policy import layers

        config, head = layers.text_config(model), model.get_output_embeddings()
        linear = {
            name: tuple(module.get_parameter("weight").shape)
            for name, module in model.named_modules()
            if type(module).__name__ in ("Linear", "Conv1D") and module is not head
        }
        sizes = {name: getattr(config, name, None) for name in SIZES}  # some models have other names in their files
        norms = {name: p.numel() for name, p in model.named_parameters() if p.ndim == 1 and "norm" in name}
        return _shape(sizes, sum(p.numel() for p in model.parameters()), linear, norms)

    @staticmethod
    def of_tensors(config: Mapping[str, Any], tensors: Mapping[str, tuple[int, ...]]) -> Shape:
        """Of the values of a config.json and the shapes of all tensors by their names, tied ones once."""
        linear = {
            name.removesuffix(".weight"): size
            for name, size in tensors.items()
            if len(size) == 2 and name != "lm_head.weight" and not any(part in name for part in INPUT_TABLES)
        }
        norms = {name: size[0] for name, size in tensors.items() if len(size) == 1 and "norm" in name}
        return _shape(config, sum(map(math.prod, tensors.values())), linear, norms)

    @staticmethod
    def of_folder(folder: Path) -> Shape | None:
        """Of a checkpoint with config.json and one model.safetensors; None if it has other files or other names."""
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            with (folder / "model.safetensors").open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(length))
            tensors = {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
            return Shape.of_tensors(config, tensors)
        except (OSError, ValueError, KeyError, TypeError, struct.error):
            return None


def _shape(
    config: Mapping[str, Any], parameters: int, linear: Mapping[str, tuple[int, ...]], norms: Mapping[str, int]
) -> Shape:
    width, asking = int(config["hidden_size"]), config.get("num_attention_heads")
    heads = (config.get("num_key_value_heads") or asking) if asking else None
    head = config.get("head_dim") or (width // asking if asking else width)
    queries = (asking or 1) * head
    inner = config.get("intermediate_size") or 4 * width
    layers, vocabulary = int(config["num_hidden_layers"]), int(config["vocab_size"])
    # the first block's norms; a norm of heads (q_norm) reads every head with one weight
    of_heads = {"q_norm": queries, "k_norm": (heads or 1) * head}
    normed = sum(
        next((size for part, size in of_heads.items() if part in name), own)
        for name, own in norms.items()
        if ".0." in name and name.endswith("weight")
    )
    return Shape(parameters, layers, width, vocabulary, heads, head, queries, inner, normed or 2 * width, linear)
