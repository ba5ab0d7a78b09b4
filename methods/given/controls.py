"""Controls of a given intervention: what is done to its vectors or matrices after they were read.

* random_same_norm (placebo): every vector is replaced by a random direction of its norm. The rows and columns of every
  matrix change places at random, with random signs: D' = P D Q. So a matrix keeps all its singular values, that is its
  norm and its rank (LoRA pairs stay pairs), and loses what it reads and writes.
* sign_flipped (rival): minus the change.

Layers, positions, operators, gates and encoders are kept. Knows no file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from elicit.errors import ConfigError
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.weights import WeightEdit

if TYPE_CHECKING:
    from elicit.policy.intervention import Intervention


def changed(edit: Intervention, scale: float, control: str, rng: np.random.Generator) -> Intervention:
    """The edit times `scale`, under a control. As it is for scale 1 and control as_given: its id stays."""
    factor = -scale if control == "sign_flipped" else scale
    random = control == "random_same_norm"
    if isinstance(edit, ActivationEdit):
        edits = edit.edits if factor == 1 else [replace(one, strength=one.strength * factor) for one in edit.edits]
        return ActivationEdit(tuple(_redirected(one, rng) for one in edits) if random else tuple(edits))
    if not isinstance(edit, WeightEdit):
        if factor == 1 and not random:
            return edit
        raise ConfigError(
            f"scale={scale:g}, control={control}: a {type(edit).__name__} can only be used as it is given"
        )
    plain = {name: tensor if factor == 1 else tensor * factor for name, tensor in edit.differences.items()}
    pairs = dict(edit.pairs)
    if random:
        plain = {name: shuffled(shuffled(tensor, 0, rng), 1, rng) for name, tensor in plain.items()}
        pairs = {name: (shuffled(a, 1, rng), shuffled(b, 0, rng)) for name, (a, b) in pairs.items()}
    return WeightEdit(plain, pairs, edit.scale if factor == 1 else edit.scale * factor)


def shuffled(tensor: torch.Tensor, axis: int, rng: np.random.Generator) -> torch.Tensor:
    """The tensor with the slices of one axis permuted and given random signs; as it is if it has no such axis."""
    if axis >= tensor.ndim:
        return tensor
    size = tensor.shape[axis]
    signs = torch.from_numpy(rng.choice([-1.0, 1.0], size)).to(tensor.dtype)
    shape = [size if i == axis else 1 for i in range(tensor.ndim)]
    return tensor.index_select(axis, torch.from_numpy(rng.permutation(size))) * signs.reshape(shape)


def _redirected(edit: Edit, rng: np.random.Generator) -> Edit:
    direction_D = torch.from_numpy(rng.standard_normal(edit.vector.numel())).float()
    return replace(edit, vector=direction_D * (edit.vector.norm() / direction_D.norm()))
