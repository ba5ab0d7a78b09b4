"""Controls of RL steering that change the trained vectors: their negatives, and random directions of the same norms.

* random_directions (placebo): trained in full, then each vector is replaced by a random direction of its norm. Layers,
  write positions and norms are kept, everything else that was trained is lost.
* sign_flipped (rival): the negatives of the trained vectors.

The other controls are settings of the same training: a coin or a spurious reward, or the last layer alone
(`RLSteering.placebos`, `RLSteering.rivals`). D width.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from elicit.policy.activations import ActivationEdit, Edit


def changed(edit: ActivationEdit, after: str, rng: np.random.Generator) -> ActivationEdit:
    """The edit as trained, with its signs flipped, or with random directions."""
    if after == "as_trained":
        return edit
    change = {"sign_flipped": lambda each: -each.vector, "random_directions": lambda each: _random(each, rng)}[after]
    return ActivationEdit(tuple(replace(each, vector=change(each)) for each in edit.edits))


def _random(edit: Edit, rng: np.random.Generator) -> torch.Tensor:
    direction_D = torch.from_numpy(rng.standard_normal(edit.vector.numel())).float()
    return direction_D * (edit.vector.norm() / direction_D.norm())
