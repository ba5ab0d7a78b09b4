"""Vectors that are added to block outputs, in the files of other tools.

    steering-vectors   one tensor per layer, named by the 0-based layer (safetensors, or a dict of tensors in a .pt)
    GGUF               control vectors of llama.cpp and repeng: tensors direction.1, direction.2, ...

A file of either holds the vectors alone, with their strength; the positions that are written to are the user's choice.
`direction.N` is added to the output of the 0-based block N. llama.cpp has no direction.0, so an edit of block 0 can't
be written in this format. Knows no method.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch

from elicit.errors import ConfigError, DataError
from elicit.files import replacing
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.gguf.header import read_header
from elicit.policy.tensors import check_finite, read_tensors

ARCHITECTURE = "controlvector"
_DIRECTION = re.compile(r"^direction\.(\d+)$")
_LAYER = re.compile(r"^(?:layer[_.]?)?(\d+)$")


def read_steering_vector(file: Path, write: str) -> ActivationEdit:
    """One addition per tensor, named by its layer. Raises DataError if a tensor's name is no layer."""
    tensors = read_tensors(file)
    return _added({name: _layer(_LAYER, name, file) for name in tensors}, tensors, write, file)


def steering_widths(file: Path) -> dict[int, int]:
    """Width of the vector of each layer, from the header; empty for a file that `read_steering_vector` refuses."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np") as tensors:
            named = {name: math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        return {}
    return {int(match[1]): size for name, size in named.items() if (match := _LAYER.match(name))}


def write_steering_vector(edit: ActivationEdit, file: Path) -> list[int]:
    """Write the vectors times their strength, one tensor per layer; returns the layers.

    Raises ConfigError if the edit is no plain addition.
    """
    from safetensors.torch import save_file

    vector = edit.to_steering_vector()
    rows = {str(layer): values.contiguous() for layer, values in vector.layer_activations.items()}
    with replacing(file) as temporary:
        save_file(rows, temporary, metadata={"layer_type": vector.layer_type})
    return sorted(vector.layer_activations)


def read_control_vector(file: Path, write: str) -> ActivationEdit:
    """A GGUF control vector. Raises DataError if the file holds anything else."""
    content = read_header(file)
    if (found := content.metadata.get("general.architecture")) != ARCHITECTURE:
        raise DataError(f"{file}: a GGUF file of {found!r}, not a control vector; a model is chosen with model.path")
    layers = {name: _layer(_DIRECTION, name, file) for name in content.tensors}
    values = {name: torch.from_numpy(content.values(tensor).copy()) for name, tensor in content.tensors.items()}
    check_finite(values.items(), str(file))
    return _added(layers, values, write, file)


def write_control_vector(edit: ActivationEdit, file: Path, model_hint: str, blocks: int) -> None:
    """Write a GGUF control vector. Raises ConfigError if the edit is no plain addition, or edits block 0.

    model_hint: llama.cpp's name of the architecture, a remark for its users; blocks: layers of the model.
    """
    from gguf import GGUFWriter

    directions = edit.to_steering_vector().layer_activations
    if 0 in directions:
        raise ConfigError(
            "format=gguf: a control vector begins at layer 1, this edit writes to layer 0; use format=plain"
        )
    with replacing(file) as temporary:
        writer = GGUFWriter(temporary, ARCHITECTURE)
        writer.add_string(f"{ARCHITECTURE}.model_hint", model_hint)
        writer.add_uint32(f"{ARCHITECTURE}.layer_count", blocks - 1)
        for layer in sorted(directions):
            writer.add_tensor(f"direction.{layer}", directions[layer].float().numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _added(layers: dict[str, int], tensors: dict[str, torch.Tensor], write: str, file: Path) -> ActivationEdit:
    if not tensors:
        raise DataError(f"{file}: it holds no vector; save one tensor per layer")
    flat = {name: tensor.squeeze() for name, tensor in tensors.items()}
    if odd := [name for name, tensor in tensors.items() if not tensor.numel() or tensor.dtype == torch.bool]:
        raise DataError(
            f"{file}: tensor {odd[0]}: expected numbers, got {tensors[odd[0]].numel()} of {tensors[odd[0]].dtype}"
        )
    if twice := [name for name in layers if list(layers.values()).count(layers[name]) > 1]:
        raise DataError(
            f"{file}: tensors {' and '.join(twice[:2])} are of one layer; remove one, or write a YAML file for them"
        )
    if matrices := [name for name, tensor in flat.items() if tensor.ndim != 1]:
        raise DataError(
            f"{file}: tensor {matrices[0]} {tuple(tensors[matrices[0]].shape)}: expected one vector per layer"
        )
    return ActivationEdit(tuple(Edit(layers[name], flat[name], "add", 1.0, write) for name in tensors))


def _layer(pattern: re.Pattern[str], name: str, file: Path) -> int:
    match = pattern.match(name)
    if match is None:
        raise DataError(
            f"{file}: tensor {name!r}: expected one named by its layer; with a YAML file of the same name next to it, "
            "any name can be read (layer, hook_point, operation, scale, write, tensor)"
        )
    return int(match[1])
