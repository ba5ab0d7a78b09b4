"""From readings of two sides to one direction per layer.

    mean      d_l = mean over items of ( mean of the item's positive readings - mean of its negative ones )
    pca       first principal component of those paired differences (uncentred), signed along most of them
    logistic  weights of a logistic regression between the two sides, pairs centred

All three are aggregators of the steering-vectors library. Paired: an item counts with both sides or not at all, so what
an item is about cancels. Knows nothing of models or samples. N readings, L layers, D width, P items with both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from elicit.errors import ConfigError, MethodError, near

AGGREGATORS = ("mean", "pca", "logistic")


def paired_difference(readings_N_L_D: torch.Tensor, sides: Sequence[bool | None], items: Sequence[str]) -> torch.Tensor:
    """The mean paired difference [L, D]; readings whose side is None are left out.

    Raises MethodError if no item has both sides, with the number of readings on each side.
    """
    positive_P_L_D, negative_P_L_D = item_means(readings_N_L_D, sides, items)
    return (positive_P_L_D - negative_P_L_D).mean(0)


def aggregated(
    readings_N_L_D: torch.Tensor, sides: Sequence[bool | None], items: Sequence[str], aggregator: str
) -> torch.Tensor:
    """One direction per layer [L, D] by the named aggregator. Raises the errors of `paired_difference`."""
    positive_P_L_D, negative_P_L_D = item_means(readings_N_L_D, sides, items)
    function = aggregator_named(aggregator)
    pairs = zip(positive_P_L_D.unbind(1), negative_P_L_D.unbind(1), strict=True)
    return torch.stack([function(positive_P_D, negative_P_D) for positive_P_D, negative_P_D in pairs])


def aggregator_named(name: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """steering-vectors' aggregator: positive [P, D], negative [P, D] -> [D]. Raises ConfigError for an unknown name."""
    from steering_vectors import logistic_aggregator, mean_aggregator, pca_aggregator

    if name == "mean":
        return mean_aggregator()
    if name == "pca":
        return pca_aggregator()
    if name == "logistic":
        return logistic_aggregator({"max_iter": 1000})
    raise ConfigError(f"aggregator={name!r}: {near(name, AGGREGATORS)}")


def item_means(
    readings_N_L_D: torch.Tensor, sides: Sequence[bool | None], items: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(positive, negative) means [P, L, D] of the items that have both sides, in the order of their first reading."""
    both = items_with_both(sides, items)
    if not both:
        positive, negative = (sum(side is s for side in sides) for s in (True, False))
        raise MethodError(
            f"no item has samples on both sides of the contrast ({positive} positive, {negative} negative in "
            f"{len(set(items))} items): take more samples per item or more items, or another contrast"
        )
    means: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    for item in both:
        members = [i for i, name in enumerate(items) if name == item]
        for side in (True, False):
            means[side].append(readings_N_L_D[[i for i in members if sides[i] is side]].mean(0))
    return torch.stack(means[True]), torch.stack(means[False])


def items_with_both(sides: Sequence[bool | None], items: Sequence[str]) -> list[str]:
    """Items with a positive and a negative sample, in the order of their first one."""
    seen: dict[str, set[bool]] = {}
    for side, item in zip(sides, items, strict=True):
        seen.setdefault(item, set()).update(() if side is None else (side,))
    return [item for item, both in seen.items() if len(both) == 2]


def units(directions_L_D: torch.Tensor, layers: Sequence[int]) -> torch.Tensor:
    """The directions [L, D] scaled to length 1. Raises MethodError if the two sides have the same mean at a layer."""
    norms_L = directions_L_D.norm(dim=-1)
    flat = [layer for layer, norm in zip(layers, norms_L.tolist(), strict=True) if not norm > 0]
    if flat:
        raise MethodError(
            f"layers {flat}: both sides have the same mean activation (before the first generated token they share "
            "their whole prefix): read in_context or at completion_mean"
        )
    return directions_L_D / norms_L[:, None]


def token_share(
    readings_N_L_D: torch.Tensor, sides: Sequence[bool | None], items: Sequence[str], tokens: Sequence[int]
) -> torch.Tensor:
    """Share [L] of the direction that is explained by which token was read at; 1: the direction is the token.

    Each reading is replaced by the mean over all readings of the same token; the share is
    <d, d of those means> / <d, d> (the "token-driven" badge, after arXiv 2601.05679).
    """
    kinds = torch.tensor([sorted(set(tokens)).index(token) for token in tokens])
    sums = torch.zeros(len(set(tokens)), *readings_N_L_D.shape[1:]).index_add_(0, kinds, readings_N_L_D)
    means = (sums / kinds.bincount()[:, None, None])[kinds]
    d = paired_difference(readings_N_L_D, sides, items)
    return (d * paired_difference(means, sides, items)).sum(-1) / (d * d).sum(-1)
