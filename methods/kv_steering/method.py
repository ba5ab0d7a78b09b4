"""KV steering (arXiv 2507.08799): one change of the prompt's keys and values, from own traces.

    K_l = mean over items of ( mean k_l(traced) - mean k_l(direct) ),    V_l likewise
    k_l <- k_l + c_k K_l,   v_l <- v_l + c_v V_l      at the last prompt token, in all layers at once; once

k_l and v_l are read in context: at the last prompt token of the next question on a page that begins with an own
completion (elicit/sampling/contrast.py). The paper's pages hold worked examples written by a larger model, and answers
alone; here traced and direct own samples (class V), or right and wrong ones (class R). c_k and c_v are chosen on dev by
successive halving. What differs from a residual vector that is written at the same token (method=contrastive):
only what later tokens read there is changed, in every layer, with one coefficient for all layers.
Left out: the paper's extra token after the prompt, styles of reasoning, a sequence of edits.
Cost: items x samples completions, one forward pass over each, tries x dev items.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch

from elicit.errors import ConfigError, MethodError, checked
from elicit.method import MethodBase, Work
from elicit.policy.policy import refuse_strategy
from elicit.policy.residuals import layer_numbers
from elicit.sampling.contrast import CONTRASTS, by_length, by_verdict, in_context_rows, permuted
from elicit.sampling.own import own_completions
from elicit.training.halving import halving
from methods.kv_steering.edit import WRITES, CacheEdit, last_keys_values

if TYPE_CHECKING:
    import numpy as np

    from elicit.ledger import Ledger
    from elicit.method import Context, Method
    from elicit.policy.policy import Policy

Control = Literal["none", "labels_permuted", "random_direction", "values_only"]


@dataclass(frozen=True)
class KvSteering(MethodBase):
    """One vector per layer for keys and for values, added once to the prompt's cache."""

    contrast: str = "traced_minus_direct"
    """`traced_minus_direct`: own length, no labels; `right_minus_wrong`: verifier labels"""
    items: int = 64
    """train items to sample"""
    samples: int = 16
    """own completions per item, at temperature 1"""
    layers: tuple[int | float, ...] = ()
    """layers to change, all at once: 0-based numbers, or fractions of the depth; (): all"""
    key_strengths: tuple[float, ...] = (0.0, 0.3, 1.0)
    """c_k to try, in units of the difference"""
    value_strengths: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    """c_v to try"""
    writes: tuple[str, ...] = ("last_prompt",)
    """prompt tokens to try: last_prompt | prompt"""
    dev_items: int = 48
    """dev items of the last round of the search"""
    halvings: int = 2
    """rounds before the last one; each has half the items of the next round and drops half of the tries"""
    control: Control = "none"
    """what replaces the vectors; set by `placebos` and `rivals`, not by hand"""
    name: str = "kv_steering"

    def __post_init__(self) -> None:
        at_least = {"items": 1, "samples": 1, "dev_items": 1, "halvings": 0}
        checked(self, at_least=at_least, one_of={"contrast": CONTRASTS}, label=self.name)
        if not self.key_strengths or not self.value_strengths or not self.writes or set(self.writes) - set(WRITES):
            raise ConfigError(f"{self.name}: at least one strength of each, and writes among {', '.join(WRITES)}")

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> CacheEdit:
        """The best edit of the search. Raises MethodError if no item has samples on both sides of the contrast."""
        refuse_strategy(policy)
        layers = layer_numbers(policy, self.layers)
        # 1) own samples, split into two sides
        items = ledger.items("train", "train", limit=self.items)
        drawn = own_completions(policy, ledger, items, self.samples, int(context.rng.integers(2**31)), self.name)
        drawn = [completion for completion in drawn if completion.token_ids]
        names = [completion.item.id for completion in drawn]
        if self.contrast == "right_minus_wrong":
            sides, about = by_verdict(drawn, ledger)
            context.log({f"{self.name}/{name}": value for name, value in about.items()})
        else:
            sides, share = by_length(drawn)
            context.log({f"{self.name}/length_share": share})
        if self.control == "labels_permuted":
            sides = permuted(sides, names, context.rng)
        # 2) keys and values at the last prompt token of the next question, and their mean paired difference
        rows, lengths, _ = in_context_rows(policy, drawn)
        ledger.activations(len(rows), stage="train")
        readings = last_keys_values(policy, rows, lengths, layers)
        keys_L_K, values_L_K = (paired_difference(one, sides, names) for one in readings)
        if self.control == "random_direction":
            keys_L_K, values_L_K = (random_like(one, context.rng) for one in (keys_L_K, values_L_K))
        # 3) search
        edit = CacheEdit(tuple(layers), keys_L_K, values_L_K)
        return self.search(policy, context, edit)

    def search(self, policy: Policy, context: Context, edit: CacheEdit) -> CacheEdit:
        """The strengths and positions with the best dev score, by successive halving; every try is logged."""
        keys = (0.0,) if self.control == "values_only" else self.key_strengths
        # the weakest come first: they win ties
        grid = itertools.product(self.value_strengths, keys, self.writes)
        edits = [replace(edit, key_strength=k, value_strength=v, write=write) for v, k, write in grid]

        def score(one: CacheEdit, limit: int) -> float:
            return context.dev_score(policy.with_intervention(one), limit)

        best, tries = halving(edits, score, self.dev_items, self.halvings)
        for number, scored in enumerate(tries):
            one = scored.option
            row = {"key": one.key_strength, "value": one.value_strength, "write": one.write, "dev": scored.score}
            context.log({f"{self.name}/try": number, **{f"{self.name}/try/{name}": v for name, v in row.items()}})
        context.say(
            f"{self.name}: keys x {best.key_strength}, values x {best.value_strength}, {best.write}; "
            f"{len(tries)} dev tries"
        )
        return best

    def work(self, items: int, tokens: float) -> Work:
        """The own samples; readings and search are not counted."""
        return Work(self.items * self.samples)

    def placebos(self) -> dict[str, Method]:
        """Sides permuted within each item; random directions of the same norms. Searched in the same way."""
        return {name: replace(self, control=name) for name in ("labels_permuted", "random_direction")}  # type: ignore[arg-type]

    def rivals(self) -> dict[str, Method]:
        """Values alone, and the other contrast."""
        other = next(name for name in CONTRASTS if name != self.contrast)
        return {"values_only": replace(self, control="values_only"), other: replace(self, contrast=other)}


def random_like(vectors_L_K: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Uniformly random directions with the norms of the vectors, [L, K]."""
    random_L_K = torch.from_numpy(rng.standard_normal(tuple(vectors_L_K.shape))).float()
    return random_L_K / random_L_K.norm(dim=-1, keepdim=True) * vectors_L_K.norm(dim=-1, keepdim=True)


def paired_difference(readings_N_L_K: torch.Tensor, sides: Sequence[bool | None], items: Sequence[str]) -> torch.Tensor:
    """Mean over items of (mean of the item's positive readings - mean of its negative ones), [L, K].

    An item counts with both sides or not at all. Raises MethodError if no item has both.
    """
    differences = []
    for item in dict.fromkeys(items):
        of_item = [i for i, name in enumerate(items) if name == item]
        right, wrong = ([i for i in of_item if sides[i] is side] for side in (True, False))
        if right and wrong:
            differences.append(readings_N_L_K[right].mean(0) - readings_N_L_K[wrong].mean(0))
    if not differences:
        raise MethodError(
            f"kv_steering: none of {len(set(items))} items has samples on both sides of the contrast: take more "
            "samples per item or more items, or another contrast"
        )
    return torch.stack(differences).mean(0)
