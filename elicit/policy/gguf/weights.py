"""Dequantised weights as one safetensors file, written tensor by tensor: the memory needed is that of the largest one.

Nothing may be left over and nothing may be missing: the names and shapes are compared with those of the transformers
model before anything is written. Format: github.com/huggingface/safetensors (length, JSON header, values).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from elicit.console import Progress
from elicit.errors import CheckpointError
from elicit.policy.gguf.architecture import Architecture, tensor_name, value_change
from elicit.policy.gguf.header import GgufFile, Tensor


def write_weights(file: GgufFile, kind: Architecture, config: Any, target: Path, progress: Progress) -> None:
    """Write `target`; `progress` counts megabytes.

    Raises CheckpointError if the tensors are not those of the model, OSError if the disk is full.
    """
    tensors = matched(file, kind, parameter_shapes(config))
    # 1) the header: names and where their values are
    offsets, end = {}, 0
    for name, tensor in tensors.items():
        offsets[name] = {
            "dtype": "F32",
            "shape": tensor.shape,
            "data_offsets": (end, end := end + 4 * prod(tensor.shape)),
        }
    header = json.dumps({"__metadata__": {"format": "pt"}, **offsets}).encode()
    header += b" " * (-len(header) % 8)
    # 2) the values, in that order
    with target.open("wb") as handle:
        handle.write(len(header).to_bytes(8, "little") + header)
        for tensor in tensors.values():
            values = file.values(tensor)
            change = value_change(kind, tensor.name, config)
            handle.write((values if change is None else change(values)).astype("<f4", copy=False).tobytes())
            progress(handle.tell() // 10**6, end // 10**6)


def parameter_shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the model's parameters, tied ones once."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def matched(file: GgufFile, kind: Architecture, wanted: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors of the file under the model's names. Raises CheckpointError for one too many, one missing or one of
    another shape."""
    named = {tensor_name(kind, name): tensor for name, tensor in file.tensors.items()}
    strange = [tensor.name for name, tensor in named.items() if name not in wanted]
    missing = [name for name in wanted if name not in named]
    other = [name for name in wanted if name in named and named[name].shape != wanted[name]]
    if strange or missing or other:
        faults = [f"{len(strange)} that the model would ignore ({strange[0]})"] if strange else []
        faults += [f"{len(missing)} missing ({missing[0]})"] if missing else []
        faults += [f"{named[other[0]].name} of shape {named[other[0]].shape}, not {wanted[other[0]]}"] if other else []
        raise CheckpointError(
            f"{file.path}: its tensors are not those of the model: {'; '.join(faults)}. Use safetensors"
        )
    return {name: named[name] for name in wanted}
