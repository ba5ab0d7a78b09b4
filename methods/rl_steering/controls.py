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

from elicit.policy.activations import ActivationEdit


def changed(edit: ActivationEdit, after: str, rng: np.random.Generator) -> ActivationEdit:
    """The edit as trained, with its signs flipped, or with random directions."""
    if after == "as_trained":
        return edit
    edits = []
    for one in edit.edits:
        vector_D = -one.vector
        if after == "random_directions":
            direction_D = torch.from_numpy(rng.standard_normal(one.vector.numel())).float()
            vector_D = direction_D * (one.vector.norm() / direction_D.norm())
        edits.append(replace(one, vector=vector_D))
    return ActivationEdit(tuple(edits))
