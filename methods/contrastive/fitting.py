"""The steps of a contrastive vector: sample, split, read, subtract, search. Placebos replace one step each.

Knows nothing of placebos and rivals (`placebos.py` builds on this file, `method.py` on both). The formulas and
the papers are in `method.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from elicit.errors import ConfigError, MethodError, near
from elicit.method import MethodBase, Work
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.positions import check_write
from elicit.policy.residuals import read_residuals
from elicit.sampling.dose import dose_meter
from elicit.sampling.own import (
    Completion,
    by_length,
    by_verdict,
    in_context_rows,
    last_prompt_residuals,
    layer_numbers,
    own_completions,
    refuse_strategy,
    residual_norms,
)
from elicit.training.halving import halving
from methods.contrastive.direction import AGGREGATORS, aggregated, aggregator_named, items_with_both, token_share, units

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.policy import Policy
    from elicit.records import Item
    from elicit.tasks.task import PromptFormat

CONTRASTS = ("right_minus_wrong", "traced_minus_direct", "prompt_pair")
READS = ("in_context", "first_generated", "completion_mean")


@dataclass(frozen=True)
class ContrastiveFit(MethodBase):
    """One steering vector at one layer."""

    contrast: str = "right_minus_wrong"
    """`right_minus_wrong`: verifier labels; `traced_minus_direct`: own length, no labels; `prompt_pair`: the same
    items asked in two of the task's fixed prompts, nothing sampled"""
    items: int = 64
    """train items to sample"""
    samples: int = 16
    """own completions an item, at temperature 1"""
    pair: tuple[str, str] = ("step_by_step", "bare")
    """prompt_pair: names of the positive and the negative prompt"""
    read: str = "in_context"
    """`in_context`: last prompt token of the next question, the sample before it; `first_generated`: that token of
    the sample; `completion_mean`: the mean over the sample's tokens"""
    aggregator: str = "mean"
    """from paired readings to a direction: mean | pca | logistic (steering-vectors)"""
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
    dose_items: int = 16
    """train items on which length and KL of the dose-response are measured; 0: no dose-response"""
    positions: tuple[str, ...] = ("last_prompt", "onward", "every")
    """where the dose-response also writes the chosen vector, besides the position that was chosen"""
    position_strengths: tuple[float, ...] = (0.1, 0.2, 0.5)
    """strengths there: what is written at many tokens acts at a fraction of the dose"""
    name: str = "contrastive"

    def __post_init__(self) -> None:
        for name, known in (("contrast", CONTRASTS), ("read", READS), ("aggregator", AGGREGATORS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name}={getattr(self, name)!r}: {near(getattr(self, name), known)}")
        for write in (*self.writes, *self.positions):
            check_write(write)
        for name in ("items", "samples", "dev_items"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: at least 1")
        if min(self.halvings, self.dose_items) < 0 or not self.strengths or not self.writes:
            raise ConfigError(
                "contrastive: halvings and dose_items of at least 0, at least one strength and one write position"
            )

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> ActivationEdit:
        """The best single-layer edit of the search. Raises MethodError where a side of the contrast is empty."""
        refuse_strategy(policy)
        layers = self.layer_numbers(policy)
        items = ledger.items("train", "train", limit=self.items)
        directions_L_D = units(self.directions(policy, ledger, context, items, layers), layers)
        norms_L = residual_norms(policy, ledger, items, layers)
        best = self.search(policy, context, self.tries(layers, directions_L_D * norms_L[:, None]))
        if self.dose_items:
            self.dose_response(policy, ledger, context, items[: self.dose_items], best)
        return ActivationEdit((best,))

    def tries(self, layers: Sequence[int], vectors_L_D: torch.Tensor) -> list[Edit]:
        """Every edit to try, the weakest and earliest first (they win ties)."""
        grid = itertools.product(self.strengths, self.writes, zip(layers, vectors_L_D, strict=True))
        return [Edit(layer, vector_D, "add", strength, write) for strength, write, (layer, vector_D) in grid]

    def directions(
        self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item], layers: Sequence[int]
    ) -> torch.Tensor:
        """One direction a layer [L, D], of any length: sample, split, read, aggregate."""
        aggregator_named(self.aggregator)  # the library is imported before an hour of sampling, not after
        if self.contrast == "prompt_pair":
            return self.prompt_pair(policy, ledger, context, items, layers)
        draw = int(context.rng.integers(2**31))
        completions = own_completions(policy, ledger, items, self.samples, draw)
        completions = [completion for completion in completions if completion.token_ids]
        sides = self.split(completions, ledger, context)
        names = [completion.item.id for completion in completions]
        readings_N_L_D = self.readings(policy, ledger, completions, layers)
        directions_L_D = aggregated(readings_N_L_D, sides, names, self.aggregator)
        shares = token_share(readings_N_L_D, sides, names, [completion.token_ids[0] for completion in completions])
        report = {f"contrastive/token_share/{layer}": shares[i].item() for i, layer in enumerate(layers)}
        context.log({"contrastive/items_with_both": len(items_with_both(sides, names)), **report})
        return directions_L_D

    def prompt_pair(
        self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item], layers: Sequence[int]
    ) -> torch.Tensor:
        """Last prompt token of the positive prompt minus that of the negative one, aggregated over items [L, D]."""
        readings = []
        for name in self.pair:
            prompt = _prompt(name, ledger)
            for part in (part for exemplar in prompt.exemplars for part in exemplar):
                ledger.foreign(part, f"exemplars of {prompt.name}", "-")
            readings.append(last_prompt_residuals(policy.with_prompt(prompt), ledger, items, layers))
        sides = self.permuted([True, False] * len(items), [item.id for item in items for _ in "ab"], context)
        both_N_L_D = torch.stack(readings, 1).flatten(0, 1)
        return aggregated(both_N_L_D, sides, [item.id for item in items for _ in "ab"], self.aggregator)

    def permuted(self, sides: list[bool | None], items: Sequence[str], context: Context) -> list[bool | None]:
        """The sides that are used; the placebo of permuted labels shuffles them here."""
        return sides

    def split(self, completions: Sequence[Completion], ledger: Ledger, context: Context) -> list[bool | None]:
        """The side of each completion: True positive, False negative, None neither."""
        if self.contrast == "right_minus_wrong":
            sides = by_verdict(completions, ledger)
        else:
            sides, share = by_length(completions)
            context.log({"contrastive/length_share": share})
        return self.permuted(sides, [completion.item.id for completion in completions], context)

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
            row = {**_described(each.option), "dev": each.score, "dev_items": each.limit}
            context.log({"contrastive/try": number, **_named("try", row)})
        found = next(each for each in reversed(tries) if each.option is best)
        context.log(_named("chosen", {**_described(best), "accuracy": found.score, "dev_items": found.limit}))
        context.say(f"contrastive: layer {best.layer}, strength {best.strength}, {best.write}; {len(tries)} dev tries")
        return best

    def dose_response(
        self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item], best: Edit
    ) -> None:
        """Accuracy, length and KL of the chosen vector by position and strength, logged; the choice stands before."""
        measure = dose_meter(policy, ledger, items)
        cells = [(best.write, strength) for strength in (0.0, *self.strengths)]
        others = [write for write in self.positions if write != best.write]
        for write, strength in [*cells, *itertools.product(others, self.position_strengths)]:
            edit = ActivationEdit((replace(best, strength=strength, write=write),))
            accuracy = context.dev_score(policy.with_intervention(edit), self.dev_items)
            row = {"write": write, "strength": strength, "accuracy": accuracy, **measure(edit)}
            context.log(_named("dose", {**row, "dev_items": self.dev_items}))

    def layer_numbers(self, policy: Policy) -> list[int]:
        """The layers to try, 0-based. Raises ConfigError for one that does not exist."""
        return layer_numbers(policy, self.layers)

    def work(self, items: int, tokens: float) -> Work:
        """The own samples; readings, search and dose-response are not counted."""
        return Work(self.items * self.samples)


def _prompt(name: str, ledger: Ledger) -> PromptFormat:
    prompts = ledger.task_view.prompts
    if name not in prompts:
        raise MethodError(f"pair: {name!r} is no prompt of task {ledger.task_view.name}: {near(name, prompts)}")
    return prompts[name]


def _described(edit: Edit) -> dict[str, Any]:
    return {"layer": edit.layer, "strength": edit.strength, "write": edit.write}


def _named(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    return {f"contrastive/{kind}/{name}": value for name, value in row.items()}
