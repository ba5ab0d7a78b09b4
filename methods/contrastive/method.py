"""Contrastive vectors: the baseline that the other activation methods must beat.

    d_l  = mean over items of ( mean h_l(positive own samples) - mean h_l(negative own samples) )
    h_l  <- h_l + s * R_l * d_l / |d_l|        at the write positions; l, s and they chosen on dev

h_l is the output of block l, R_l its mean norm at the last prompt token. Positive and negative: right
and wrong (class R), or traced and direct (class V, see samples.py). Before its first generated token the
samples of one item share their whole prefix and d is exactly 0, so by default h_l is read *in context*: at
the last prompt token of the next question on a page that begins with the sample (an in-context vector,
arXiv 2311.06668). That is the very position that is written to; a vector read at the first generated
token writes "that token has been said" there instead, which a base may follow or not.
After Rimsky et al. (arXiv 2312.06681) and Turner et al. (arXiv 2308.10248), on own samples instead
of written pairs. Left out: combining layers, per-token schedules, a teacher's text.
Cost: items x samples completions, one forward pass to the deepest layer, tries x dev items.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from elicit.errors import ConfigError, MethodError, near
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.layers import at_depth, blocks
from elicit.policy.positions import check_write
from methods.contrastive.direction import items_with_both, paired_difference, token_share, units
from methods.contrastive.residuals import read_residuals
from methods.contrastive.samples import Completion, by_length, by_verdict, own_completions
from methods.contrastive.search import halving

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context, Method
    from elicit.policy.policy import Policy
    from elicit.records import Item

CONTRASTS = ("right_minus_wrong", "traced_minus_direct")
READS = ("in_context", "first_generated", "completion_mean")
PAGE_BREAK = "\n\n"


@dataclass(frozen=True)
class Contrastive:
    """One steering vector at one layer, from the base's own samples."""

    contrast: str = "right_minus_wrong"
    """`right_minus_wrong`: verifier labels; `traced_minus_direct`: own length, no labels"""
    items: int = 64
    """train items to sample"""
    samples: int = 16
    """own completions an item, at temperature 1"""
    read: str = "in_context"
    """`in_context`: last prompt token of the next question, the sample before it; `first_generated`: that token of
    the sample; `completion_mean`: the mean over the sample's tokens"""
    layers: tuple[int | float, ...] = ()
    """layers to try: 0-based numbers, or fractions of the depth (with a decimal point); (): all"""
    strengths: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0)
    """in units of the layer's mean residual norm at the last prompt token"""
    writes: tuple[str, ...] = ("last_prompt",)
    """positions to try: last_prompt | onward | every | prompt | completion"""
    dev_items: int = 48
    """dev items of the last round of the search"""
    halvings: int = 2
    """rounds before the last one, each on half the items of the next and dropping half of the tries"""
    name: str = "contrastive"

    def __post_init__(self) -> None:
        if self.contrast not in CONTRASTS:
            raise ConfigError(f"contrast={self.contrast!r}: {near(self.contrast, CONTRASTS)}")
        if self.read not in READS:
            raise ConfigError(f"read={self.read!r}: {near(self.read, READS)}")
        for write in self.writes:
            check_write(write)
        for name in ("items", "samples", "dev_items"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: at least 1")
        if self.halvings < 0 or not self.strengths or not self.writes:
            raise ConfigError("contrastive: halvings of at least 0, and at least one strength and one write position")

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> ActivationEdit:
        """The best single-layer edit of the search. Raises MethodError where a side of the contrast is empty."""
        refuse_strategy(policy)
        layers = self.layer_numbers(policy)
        items = ledger.items("train", "train", limit=self.items)
        directions_L_D = units(self.directions(policy, ledger, context, items, layers), layers)
        norms_L = residual_norms(policy, ledger, items, layers)
        vectors_L_D = directions_L_D * norms_L[:, None]
        return ActivationEdit((self.search(policy, context, self.tries(layers, vectors_L_D)),))

    def tries(self, layers: Sequence[int], vectors_L_D: torch.Tensor) -> list[Edit]:
        """Every edit to try, the weakest and earliest first (they win ties)."""
        grid = itertools.product(self.strengths, self.writes, zip(layers, vectors_L_D, strict=True))
        return [Edit(layer, vector_D, "add", strength, write) for strength, write, (layer, vector_D) in grid]

    def directions(
        self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item], layers: Sequence[int]
    ) -> torch.Tensor:
        """One direction a layer [L, D], of any length: sample, split, read, subtract."""
        draw = int(context.rng.integers(2**31))
        completions = own_completions(policy, ledger, items, self.samples, draw)
        completions = [completion for completion in completions if completion.token_ids]
        sides = self.split(completions, ledger, context)
        names = [completion.item.id for completion in completions]
        readings_N_L_D = self.readings(policy, ledger, completions, layers)
        difference_L_D = paired_difference(readings_N_L_D, sides, names)
        shares = token_share(readings_N_L_D, sides, names, [completion.token_ids[0] for completion in completions])
        report = {f"contrastive/token_share/{layer}": shares[i].item() for i, layer in enumerate(layers)}
        context.log({"contrastive/items_with_both": len(items_with_both(sides, names)), **report})
        return difference_L_D

    def split(self, completions: Sequence[Completion], ledger: Ledger, context: Context) -> list[bool | None]:
        """The side of each completion: True positive, False negative, None neither."""
        if self.contrast == "right_minus_wrong":
            return by_verdict(completions, ledger)
        sides, share = by_length(completions)
        context.log({"contrastive/length_share": share})
        return sides

    def readings(
        self, policy: Policy, ledger: Ledger, completions: Sequence[Completion], layers: Sequence[int]
    ) -> torch.Tensor:
        """Activations [N, L, D] at the read positions, booked."""
        if self.read == "in_context":
            rows, starts, spans = in_context_rows(policy, completions)
        else:
            rows = [completion.prompt_ids + completion.token_ids for completion in completions]
            starts = [len(completion.prompt_ids) for completion in completions]
            first = self.read == "first_generated"
            spans = [(start, start + 1 if first else len(row)) for start, row in zip(starts, rows, strict=True)]
        ledger.activations(sum(end - start for start, end in spans), stage="train")
        return read_residuals(policy, rows, spans, starts, layers)

    def search(self, policy: Policy, context: Context, edits: Sequence[Edit]) -> Edit:
        """The edit with the best dev score."""

        def score(edit: Edit, limit: int) -> float:
            return context.dev_score(policy.with_intervention(ActivationEdit((edit,))), limit)

        best, tries = halving(edits, score, self.dev_items, self.halvings)
        for number, each in enumerate(tries):
            edit = each.option
            context.log({"contrastive/try": number, **_described(edit), "dev": each.score, "dev_items": each.limit})
        context.say(f"contrastive: layer {best.layer}, strength {best.strength}, {best.write}; {len(tries)} dev tries")
        return best

    def layer_numbers(self, policy: Policy) -> list[int]:
        """The layers to try, 0-based. Raises ConfigError for one that does not exist."""
        model = policy.checkpoint.model
        count = len(blocks(model))
        wanted = self.layers or tuple(range(count))
        numbers = [at_depth(model, layer) if isinstance(layer, float) else layer for layer in wanted]
        beyond = [number for number in numbers if not 0 <= number < count]
        if beyond:
            raise ConfigError(f"layers={list(wanted)}: {beyond[0]} is none of 0 to {count - 1}; fractions need a point")
        return sorted(set(numbers))

    def placebos(self) -> dict[str, Method]:
        """Labels permuted inside each item; random directions of the same norm. Each searched alike."""
        from methods.contrastive.placebos import PermutedLabels, RandomDirection, same_settings

        return {
            "labels_permuted": same_settings(self, PermutedLabels),
            "random_direction": same_settings(self, RandomDirection),
        }

    def rivals(self) -> dict[str, Method]:
        """Key-tagged minus bare prompts, for tasks that have a key."""
        from methods.contrastive.placebos import KeyPair, same_settings

        return {"key_pair": same_settings(self, KeyPair)}


def in_context_rows(
    policy: Policy, completions: Sequence[Completion]
) -> tuple[list[tuple[int, ...]], list[int], list[tuple[int, int]]]:
    """(rows, prompt lengths, spans): each completion on a page before the prompt of another item.

    The other item is the next one in the order of first appearance, the same for all samples of an item, so
    that positive and negative rows of an item differ in the sample alone.
    """
    checkpoint = policy.checkpoint
    prompts = {completion.item.id: completion.prompt_ids for completion in completions}
    following = dict(zip(prompts, [*list(prompts.values())[1:], next(iter(prompts.values()))], strict=True))
    joint = tuple(checkpoint.tokenizer(PAGE_BREAK, add_special_tokens=False)["input_ids"])
    rows = []
    for completion in completions:
        said = completion.token_ids[:-1] if completion.token_ids[-1] in checkpoint.eos_ids else completion.token_ids
        after = following[completion.item.id]
        after = after[1:] if checkpoint.bos_id is not None else after
        rows.append(completion.prompt_ids + said + joint + after)
    lengths = [len(row) for row in rows]
    return rows, lengths, [(length - 1, length) for length in lengths]


def residual_norms(policy: Policy, ledger: Ledger, items: Sequence[Item], layers: Sequence[int]) -> torch.Tensor:
    """Mean norm [L] of the residual stream at the last prompt token, booked."""
    return last_prompt_residuals(policy, ledger, items, layers).norm(dim=-1).mean(0)


def last_prompt_residuals(policy: Policy, ledger: Ledger, items: Sequence[Item], layers: Sequence[int]) -> torch.Tensor:
    """Activations [P, L, D] at the last prompt token of each item, booked."""
    prompts = [policy.prompt_ids(item.question) for item in items]
    lengths = [len(prompt) for prompt in prompts]
    ledger.activations(len(prompts), stage="train")
    return read_residuals(policy, prompts, [(length - 1, length) for length in lengths], lengths, layers)


def refuse_strategy(policy: Policy) -> None:
    """Raises MethodError for a policy with a decoding strategy: own samples are plain draws at T=1."""
    if policy.strategy is not None:
        raise MethodError(
            f"the policy decodes with {type(policy.strategy).__name__}: fit on the policy without it and stack it after"
        )


def _described(edit: Edit) -> dict[str, Any]:
    return {"layer": edit.layer, "strength": edit.strength, "write": edit.write}
