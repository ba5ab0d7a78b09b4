"""Controls of contrastive vectors. Each goes through the same search with the same number of dev tries.

* labels permuted (placebo): the same samples and readings, sides shuffled within each item. The direction still lies in
  the space in which first tokens differ, so on a model whose first token decides much it is the harder placebo: by
  chance its sign may be the right one.
* random direction (placebo): a uniformly random direction per layer at the same norm. It reads no samples, so it saves
  their cost, but not the cost of the tries.
* random condition (placebo, condition=contrast only): the method's own vector, written to prompts that a random unit
  vector chooses, with the same rates and sides to try. What the method gains over it is what its condition knows.
* key pair (rival): last prompt token of the key-tagged prompt minus that of the bare prompt, for tasks with a planted
  key.

Knows nothing of the search. N readings, L layers, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from elicit.errors import MethodError, near
from elicit.policy.layers import width
from elicit.sampling.own import last_prompt_residuals

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.policy.policy import Policy
    from elicit.records import Item


def random_directions(policy: Policy, layers: Sequence[int], rng: np.random.Generator) -> torch.Tensor:
    """One random direction per layer, float32 [L, D]."""
    shape = (len(layers), width(policy.checkpoint.model))
    return torch.from_numpy(rng.standard_normal(shape)).float()


def key_pair(
    policy: Policy, ledger: Ledger, items: Sequence[Item], layers: Sequence[int], key: str | None
) -> torch.Tensor:
    """The planted key as a vector [L, D]: mean over items of the tagged minus the bare prompt's last token, booked.

    `key` names one of the task's keys; None: the first that is a tag. Raises MethodError if there is no such key.
    """
    keys = ledger.task_view.keys
    tags = [name for name, form in keys.items() if not form.prefix]
    name = next(iter(tags), None) if key is None else key
    if name is None or name not in keys:
        clause = near(str(name), keys) if keys else "it has none, so this rival does not exist for it"
        raise MethodError(f"key={name!r} of task {ledger.task_view.name}: {clause}")
    tagged = last_prompt_residuals(policy.with_prompt(keys[name]), ledger, items, layers)
    return (tagged - last_prompt_residuals(policy, ledger, items, layers)).mean(0)
