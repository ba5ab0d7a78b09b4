"""Vectors as plain safetensors and a small YAML file that states what is done with them.

    edits:
    - layer: 12                   # 0-based block
      hook_point: resid_post      # its output; resid_pre: its input
      operation: add              # add | clamp | min_clamp | ablate
      scale: 4.0                  # in units of the vector
      write: every                # every | onward | last_prompt | prompt | completion
      tensor: vector.0            # its name in the file; not needed if the file holds one tensor

The YAML file has the name of the safetensors file. Every field of an edit (`policy/activations.py`) can be stated, so
an edit that is written and read is the same one, bit for bit. A file with one edit may state its fields at the top
level. Knows no method.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from elicit.errors import ConfigError, DataError, near
from elicit.files import read_yaml, record, replacing, write_text
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.tensors import read_tensors

HOOK_POINTS = {"resid_post": 0, "resid_pre": -1}
"""site -> the block whose output it is, relative to the layer. TransformerLens' names for the residual stream"""
_LENS_NAME = re.compile(r"^(?:blocks\.(?P<layer>\d+)\.)?(?:hook_)?(?P<site>\w+)$")
STEM = "steering"


@dataclass(frozen=True)
class VectorCard:
    """One entry of the YAML file. Fields that are not explained here are those of `Edit`."""

    layer: int | None = None
    """may be left out if the hook point names it: blocks.12.hook_resid_post"""
    hook_point: str = "resid_post"
    operation: str = "add"
    scale: float = 1.0
    write: str = "every"
    tensor: str | None = None
    """name of the vector in the safetensors file"""
    target: float | None = None
    encoder: str | None = None
    """name of a tensor, as `gate`"""
    bias: float = 0.0
    threshold: float = 0.0
    first: int | None = None
    half_life: float | None = None
    gate: str | None = None
    gate_bias: float = 0.0
    gate_threshold: float = 0.0

    def edit(self, tensors: Mapping[str, torch.Tensor], place: str) -> Edit:
        """The edit with its tensors. Raises DataError for a site or a tensor that does not exist."""
        match = _LENS_NAME.match(self.hook_point)
        site = match["site"] if match else self.hook_point
        if match is None or site not in HOOK_POINTS:
            known = " or ".join(HOOK_POINTS)
            raise DataError(
                f"{place}: hook_point={self.hook_point!r}: only the residual stream is written to: choose {known}"
            )
        stated = None if match["layer"] is None else int(match["layer"])
        layers = {number for number in (self.layer, stated) if number is not None}
        if len(layers) != 1:
            raise DataError(f"{place}: layer={self.layer}, hook_point={self.hook_point!r}: expected one layer")
        block = layers.pop() + HOOK_POINTS[site]
        if block < 0:
            raise DataError(
                f"{place}: hook_point={self.hook_point!r}, layer={self.layer}: only outputs of blocks are written to, "
                "the first is layer=0 of resid_post; choose another layer"
            )

        def named(name: str | None) -> torch.Tensor:
            if name is None and len(tensors) == 1:
                return next(iter(tensors.values())).reshape(-1)
            if name is None or name not in tensors:
                raise DataError(f"{place}: tensor={name!r}: {near(str(name), tensors)}")
            return tensors[name].reshape(-1)

        encoder, gate = (None if name is None else named(name) for name in (self.encoder, self.gate))
        shared = {name: getattr(self, name) for name in _SHARED}
        try:
            return Edit(block, named(self.tensor), self.operation, self.scale, encoder=encoder, gate=gate, **shared)
        except ConfigError as fault:
            raise DataError(f"{place}: {fault}") from None


_SHARED = ("write", "target", "bias", "threshold", "first", "half_life", "gate_bias", "gate_threshold")
"""fields of a card and of an edit with one name"""


@dataclass(frozen=True)
class VectorCards:
    """The content of the YAML file."""

    edits: tuple[VectorCard, ...]


def read_plain(card: Path, weights: Path) -> ActivationEdit:
    """Raises DataError that names the file and what is wrong in it."""
    content = read_yaml(card)
    cards = record(VectorCards, content if "edits" in content else {"edits": [content]}, card)
    if not cards.edits:
        raise DataError(f"{card}: edits: it is empty; give one entry per layer that is written to")
    tensors = read_tensors(weights)
    return ActivationEdit(tuple(one.edit(tensors, f"{card}, edit {i}") for i, one in enumerate(cards.edits)))


def write_plain(edit: ActivationEdit, folder: Path) -> list[Path]:
    """Write steering.yaml and steering.safetensors; returns both paths."""
    import yaml
    from safetensors.torch import save_file

    tensors = edit.tensors()
    with replacing(folder / f"{STEM}.safetensors") as temporary:
        save_file(tensors, temporary)
    rows: list[dict[str, Any]] = []
    defaults = {f.name: f.default for f in dataclasses.fields(VectorCard)}
    for i, one in enumerate(edit.edits):
        row = {"layer": one.layer, "hook_point": "resid_post", "operation": one.operator, "scale": one.strength}
        row |= {"write": one.write, "tensor": f"vector.{i}"}
        row |= {name: f"{name}.{i}" for name in ("encoder", "gate") if f"{name}.{i}" in tensors}
        shared = {name: getattr(one, name) for name in _SHARED}
        row |= {name: value for name, value in shared.items() if repr(value) != repr(defaults[name])}
        rows.append(row)
    write_text(folder / f"{STEM}.yaml", yaml.safe_dump({"edits": rows}, sort_keys=False))
    return [folder / f"{STEM}.yaml", folder / f"{STEM}.safetensors"]
