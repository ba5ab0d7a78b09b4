"""Conditional steering: a fitted vector is written only to prompts on which a condition fires.

    fires on x   iff   side * (h_l(x) . c) > t        h_l(x): block output at the last prompt token, |c| = 1
    c            the direction of the contrast itself, at the layer that is written to
    t            so that a given share ("rate") of the train prompts fires; side +1 or -1 and rate: the best on dev

The condition is the gate of an `Edit`, read before the edit at the token that is written to, so a conditional vector is
saved, exported and sampled like any gated edit. Because that token is the last prompt token, there is one decision per
prompt.

Paper: conditional activation steering, Lee et al. (arXiv 2409.05907). Left out: a condition layer of its own, the
cosine of h with its projection instead of the projection, and the mean over all prompt tokens. Cost: one forward pass
over the train prompts and 2 x rates tries on dev. Knows nothing about how the vector was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from elicit.errors import MethodError
from elicit.policy.activations import Edit
from elicit.training.halving import Scored, halving

SIDES = (1, -1)
"""fires at large, or at small projections"""


@dataclass(frozen=True, eq=False)
class Condition:
    """One linear test of the residual stream."""

    vector_D: torch.Tensor
    """length 1"""
    side: int
    rate: float
    """share of the train prompts on which it was set to fire"""
    threshold: float
    """of side * (x . c)"""

    def gated(self, edit: Edit) -> Edit:
        """The edit, written only where the condition fires."""
        return replace(edit, gate=self.side * self.vector_D, gate_bias=-self.threshold)


def conditions(vector_D: torch.Tensor, prompts_N_D: torch.Tensor, rates: Sequence[float]) -> list[Condition]:
    """A condition per rate and side; rare ones come first, so that they win ties.

    A threshold lies halfway between the last prompt that fires and the first that does not. Raises MethodError if two
    neighbours have the same projection: then no threshold gives this rate.
    """
    unit_D = vector_D / vector_D.norm()
    out = []
    for rate in sorted(rates):
        for side in SIDES:
            ranked = (side * (prompts_N_D @ unit_D)).sort(descending=True).values.tolist()
            fires = min(max(round(rate * len(ranked)), 1), len(ranked) - 1)
            inside, outside = ranked[fires - 1], ranked[fires]
            if not inside > outside:
                raise MethodError(
                    f"condition: prompts {fires} and {fires + 1} of {len(ranked)} have the same projection {inside:.4g}"
                    ", so no threshold fires on exactly that share: more method.items, or other method.condition_rates"
                )
            out.append(Condition(unit_D, side, rate, (inside + outside) / 2))
    return out


def best_condition(
    options: Sequence[Condition], score: Callable[[Condition, int], float], dev_items: int
) -> tuple[Condition, list[Scored[Condition]]]:
    """(the condition with the best dev score, every try)."""
    return halving(list(options), score, dev_items, 0)
