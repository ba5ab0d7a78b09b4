"""A fine-tuned checkpoint as a difference from its base.

    difference[name] = weights of the folder[name] - weights of the base[name]            float32

Read file by file, by the names of the base's parameters. A folder of another architecture, or with a larger vocabulary,
is no change of this base and is refused. Knows no method.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from elicit.errors import CheckpointError, DataError, near
from elicit.files import read_json
from elicit.policy.tensors import read_tensors
from elicit.policy.weights import WeightEdit


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a transformers folder. Raises DataError if it has none."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return tuple(folder / name for name in sorted(set(read_json(index)["weight_map"].values())))
    if not (folder / "model.safetensors").is_file():
        raise DataError(f"{folder}: no model.safetensors; save it again with save_pretrained(safe_serialization=True)")
    return (folder / "model.safetensors",)


def read_merged(folder: Path, model: nn.Module) -> WeightEdit:
    """The difference of the folder's weights from `model`'s. Raises CheckpointError if they do not fit."""
    differences: dict[str, torch.Tensor] = {}
    for name, parameter, weight in _pairs(folder, model):
        if not torch.equal(parameter.detach().cpu().float(), weight.float()):
            differences[name] = weight.float() - parameter.detach().cpu().float()
    return WeightEdit(differences)


def gives(edit: WeightEdit, folder: Path, model: nn.Module) -> bool:
    """Whether `model` with this edit has exactly the weights of the folder."""
    with edit.applied(model):
        return all(torch.equal(p.detach().cpu(), weight.to(p.dtype)) for _, p, weight in _pairs(folder, model))


def _pairs(folder: Path, model: nn.Module) -> Iterator[tuple[str, nn.Parameter, torch.Tensor]]:
    """Name, the model's parameter and the folder's weight, each parameter once."""
    first = {id(parameter): name for name, parameter in model.named_parameters()}
    names = {name: first[id(p)] for name, p in model.named_parameters(remove_duplicate=False)}
    buffers, done = {name for name, _ in model.named_buffers()}, set()
    for file in weight_files(folder):
        for name, weight in read_tensors(file).items():
            if name in buffers:
                continue
            if name not in names:
                raise CheckpointError(f"{file}: {type(model).__name__} has no parameter {name}; {near(name, names)}")
            parameter = model.get_parameter(names[name])
            if parameter.shape != weight.shape:
                raise CheckpointError(
                    f"{file}: {name} is {tuple(weight.shape)}, {tuple(parameter.shape)} in the base: it is a change of "
                    "another base, or of one with more tokens; choose the base that it was made from with model="
                )
            if names[name] not in done:
                done.add(names[name])
                yield names[name], parameter, weight
    if missing := sorted(set(names.values()) - done):
        raise CheckpointError(f"{folder}: no weights for {missing[0]}; is the folder complete?")
