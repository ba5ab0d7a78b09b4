"""Contrastive vectors: the baseline that every other activation method has to beat.

    d_l  = aggregate over items of ( mean h_l(positive side) - mean h_l(negative side) )    mean, pca or logistic
    h_l  <- h_l + s * R_l * d_l / |d_l|        at the write positions; layer, strength and positions chosen on dev

h_l is the output of block l, R_l its mean norm at the last prompt token. The two sides are right and wrong own samples
(class R), traced and direct own samples (class V, elicit/sampling/own.py), or two prompts.

Before its first generated token the samples of one item share their whole prefix, so d is exactly 0 there. By default
h_l is therefore read *in context*: at the last prompt token of the next question on a page that begins with the sample
(an in-context vector, arXiv 2311.06668). That is also the position that is written to. A vector that is read at the
first generated token writes "this token has been generated" instead, which a base may follow or not.

With `condition=contrast` the vector is written only to prompts on which a condition fires (condition.py, 2409.05907).

Papers: Rimsky et al. (arXiv 2312.06681), Turner et al. (arXiv 2308.10248), on own samples instead of written pairs.
Left out: combining layers, per-token schedules, a teacher's text.
Cost: items x samples completions, one forward pass to the deepest layer, tries x dev items.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from elicit.errors import ConfigError, near
from elicit.method import MethodBase, Work
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.policy import refuse_strategy
from elicit.policy.positions import check_write
from elicit.policy.residuals import layer_numbers, read_residuals
from elicit.sampling.contrast import by_length, by_verdict, in_context_rows, permuted, prompt_pair
from elicit.sampling.dose import dose_meter
from elicit.sampling.dose_range import dose_range
from elicit.sampling.own import last_prompt_residuals, own_completions, residual_norms
from elicit.training.halving import halving
from methods.contrastive import controls
from methods.contrastive.condition import Condition, best_condition, conditions
from methods.contrastive.direction import AGGREGATORS, aggregated, aggregator_named, items_with_both, token_share, units

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context, Method
    from elicit.policy.policy import Policy
    from elicit.records import Item

CONTRASTS = ("right_minus_wrong", "traced_minus_direct", "prompt_pair")
READS = ("in_context", "first_generated", "completion_mean")
CONDITIONS = ("none", "contrast")
Control = Literal["none", "labels_permuted", "random_direction", "random_condition", "key_pair"]
PLACEBOS: tuple[Control, ...] = ("labels_permuted", "random_direction")
RIVALS: tuple[Control, ...] = ("key_pair",)


@dataclass(frozen=True)
class Readings:
    """N activations of both sides of the contrast."""

    values_N_L_D: torch.Tensor
    sides: list[bool | None]
    """True positive, False negative, None neither"""
    items: list[str]
    """item id of each"""
    first_tokens: list[int] | None = None
    """first generated token of each; None if nothing was generated"""


@dataclass(frozen=True)
class Contrastive(MethodBase):
    """One steering vector at one layer."""

    contrast: str = "right_minus_wrong"
    """`right_minus_wrong`: verifier labels; `traced_minus_direct`: own length, no labels; `prompt_pair`: the same
    items asked in two of the task's fixed prompts, nothing sampled"""
    items: int = 64
    """train items to sample"""
    samples: int = 16
    """own completions per item, at temperature 1"""
    pair: tuple[str, str] = ("step_by_step", "bare")
    """prompt_pair: names of the positive and the negative prompt"""
    read: str = "in_context"
    """`in_context`: last prompt token of the next question, after the sample; `first_generated`: that token of
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
    """rounds before the last one; each has half the items of the next round and drops half of the tries"""
    dose_items: int = 16
    """train items on which length and KL of the dose-response are measured; 0: no dose-response"""
    positions: tuple[str, ...] = ("last_prompt", "onward", "every")
    """further positions at which the dose-response writes the chosen vector"""
    position_strengths: tuple[float, ...] = (0.1, 0.2, 0.5)
    """strengths at those: a vector that is written at many tokens acts at a fraction of the dose"""
    condition: str = "none"
    """`contrast`: write only to prompts that lie on one side of a threshold along the same direction; `none`: to all"""
    condition_rates: tuple[float, ...] = (0.25, 0.5, 0.75)
    """condition=contrast: shares of the train prompts on which it may fire; each is tried on both sides"""
    control: Control = "none"
    """what replaces the readings (controls.py); set by `placebos` and `rivals`, not by hand"""
    key: str | None = None
    """control=key_pair: name among the task's keys; null: the first that is a tag (forces no text after the prompt)"""
    name: str = "contrastive"

    def __post_init__(self) -> None:
        known = {"contrast": CONTRASTS, "read": READS, "aggregator": AGGREGATORS, "condition": CONDITIONS,
                 "control": get_args(Control)}  # fmt: skip
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ConfigError(f"{name}={getattr(self, name)!r}: {near(getattr(self, name), values)}")
        for write in (*self.writes, *self.positions):
            check_write(write)
        for name in ("items", "samples", "dev_items"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: at least 1")
        if min(self.halvings, self.dose_items) < 0 or not self.strengths or not self.writes:
            raise ConfigError(
                "contrastive: halvings and dose_items of at least 0, at least one strength and one write position"
            )
        if self.condition == "none":
            if self.control == "random_condition":
                raise ConfigError("control='random_condition': only with condition=contrast")
            return
        if {*self.writes, *self.positions} - {"last_prompt"}:
            raise ConfigError(
                f"writes={list(self.writes)}, positions={list(self.positions)}: a condition is read at the last prompt "
                "token, where it decides about the prompt; condition=contrast needs writes=[last_prompt], positions=[]"
            )
        if not self.condition_rates or not all(0 < rate < 1 for rate in self.condition_rates) or self.items < 2:
            raise ConfigError(
                f"condition_rates={list(self.condition_rates)}, items={self.items}: with condition=contrast, at least "
                "one share between 0 and 1 and at least 2 items"
            )

    def placebos(self) -> dict[str, Method]:
        """Labels permuted within each item; random directions of the same norm; if the method has a condition, a random
        one at the same rates. Each is searched in the same way."""
        of_condition: tuple[Control, ...] = () if self.condition == "none" else ("random_condition",)
        return {name: replace(self, control=name) for name in (*PLACEBOS, *of_condition)}

    def rivals(self) -> dict[str, Method]:
        """Key-tagged minus bare prompts, for tasks that have a key."""
        return {name: replace(self, control=name) for name in RIVALS}

    def work(self, items: int, tokens: float) -> Work:
        """The own samples; readings, search and dose-response are not counted."""
        return Work(self.items * self.samples)

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> ActivationEdit:
        """The best single-layer edit of the search. Raises MethodError if a side of the contrast is empty."""
        refuse_strategy(policy)
        layers = layer_numbers(policy, self.layers)
        items = ledger.items("train", "train", limit=self.items)
        # 1) extract readings of both sides, 2) aggregate them to a direction per layer; controls replace these steps
        match self.control:
            case "random_direction":
                directions_L_D = controls.random_directions(policy, layers, context.rng)
            case "key_pair":
                directions_L_D = controls.key_pair(policy, ledger, items, layers, self.key)
            case _:
                aggregator_named(self.aggregator)  # imports the library before an hour of sampling, not after it
                readings = self.extract(policy, ledger, context, items, layers)
                directions_L_D = self.aggregate(readings, layers, context)
        # 3) search: vectors as long as the residual stream is, every layer at every strength and position
        vectors_L_D = units(directions_L_D, layers) * residual_norms(policy, ledger, items, layers)[:, None]
        best = self.search(policy, context, layers, vectors_L_D)
        if self.condition == "contrast":
            best = self.conditional(policy, ledger, context, items, best)
        # 4) edit: the choice is final, the dose-response only describes it
        if self.dose_items:
            self.dose_response(policy, ledger, context, items[: self.dose_items], best)
        return ActivationEdit((best,))

    def extract(
        self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item], layers: Sequence[int]
    ) -> Readings:
        """Block outputs of both sides at the read positions, booked."""
        if self.contrast == "prompt_pair":
            return self.extract_prompts(policy, ledger, items, layers)
        # 1) own samples, split into two sides
        draw = int(context.rng.integers(2**31))
        completions = own_completions(policy, ledger, items, self.samples, draw)
        completions = [completion for completion in completions if completion.token_ids]
        if self.contrast == "right_minus_wrong":
            sides, about = by_verdict(completions, ledger)
            context.log({f"contrastive/{name}": value for name, value in about.items()})
        else:
            sides, share = by_length(completions)
            context.log({"contrastive/length_share": share})
        # 2) the rows that the model reads, and the span of each that is averaged
        if self.read == "in_context":
            rows, starts, spans = in_context_rows(policy, completions)
        else:
            rows = [completion.prompt_ids + completion.token_ids for completion in completions]
            starts = [len(completion.prompt_ids) for completion in completions]
            first = self.read == "first_generated"
            spans = [(start, start + 1 if first else len(row)) for start, row in zip(starts, rows, strict=True)]
        ledger.activations(sum(end - start for start, end in spans), stage="train")
        values_N_L_D = read_residuals(policy, rows, spans, starts, layers)
        names = [completion.item.id for completion in completions]
        return Readings(values_N_L_D, sides, names, [completion.token_ids[0] for completion in completions])

    def extract_prompts(self, policy: Policy, ledger: Ledger, items: Sequence[Item], layers: Sequence[int]) -> Readings:
        """The last prompt token of each item under the positive and under the negative prompt. Exemplars are booked.

        Raises MethodError for a name that is no prompt of the task.
        """
        prompts = prompt_pair(ledger, self.pair)
        readings = [last_prompt_residuals(policy.with_prompt(prompt), ledger, items, layers) for prompt in prompts]
        pairs_N_L_D = torch.stack(readings, 1).flatten(0, 1)
        return Readings(pairs_N_L_D, [True, False] * len(items), [item.id for item in items for _ in self.pair])

    def aggregate(self, readings: Readings, layers: Sequence[int], context: Context) -> torch.Tensor:
        """One direction per layer [L, D], of any length; the share that the first token explains is logged."""
        sides, values_N_L_D = readings.sides, readings.values_N_L_D
        if self.control == "labels_permuted":
            sides = permuted(sides, readings.items, context.rng)
        directions_L_D = aggregated(values_N_L_D, sides, readings.items, self.aggregator)
        if readings.first_tokens is not None:
            shares_L = token_share(values_N_L_D, sides, readings.items, readings.first_tokens)
            report = {f"contrastive/token_share/{layer}": shares_L[i].item() for i, layer in enumerate(layers)}
            context.log({"contrastive/items_with_both": len(items_with_both(sides, readings.items)), **report})
        return directions_L_D

    def search(self, policy: Policy, context: Context, layers: Sequence[int], vectors_L_D: torch.Tensor) -> Edit:
        """The edit with the best dev score, by successive halving; every try is logged."""
        # the weakest and earliest edits come first: they win ties
        grid = itertools.product(self.strengths, self.writes, zip(layers, vectors_L_D, strict=True))
        edits = [Edit(layer, vector_D, "add", strength, write) for strength, write, (layer, vector_D) in grid]

        def score(edit: Edit, limit: int) -> float:
            return context.dev_score(policy.with_intervention(ActivationEdit((edit,))), limit)

        best, tries = halving(edits, score, self.dev_items, self.halvings)
        for number, scored in enumerate(tries):
            row = {**_described(scored.option), "dev": scored.score, "dev_items": scored.limit}
            context.log({"contrastive/try": number, **_named("try", row)})
        final = next(scored for scored in reversed(tries) if scored.option is best)
        context.log(_named("chosen", {**_described(best), "accuracy": final.score, "dev_items": final.limit}))
        context.say(f"contrastive: layer {best.layer}, strength {best.strength}, {best.write}; {len(tries)} dev tries")
        return best

    def conditional(self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item], best: Edit) -> Edit:
        """The edit with the condition of the best dev score; every try is logged."""
        vector_D = best.vector
        if self.control == "random_condition":
            vector_D = controls.random_directions(policy, [best.layer], context.rng)[0]
        prompts_N_D = last_prompt_residuals(policy, ledger, items, [best.layer])[:, 0]
        options = conditions(vector_D, prompts_N_D, self.condition_rates)

        def score(option: Condition, limit: int) -> float:
            return context.dev_score(policy.with_intervention(ActivationEdit((option.gated(best),))), limit)

        chosen, tries = best_condition(options, score, self.dev_items)
        for number, scored in enumerate(tries):
            option = scored.option
            row = {"side": option.side, "rate": option.rate, "threshold": option.threshold, "dev": scored.score}
            row |= {"dev_items": scored.limit, "chosen": option is chosen}
            context.log({"contrastive/condition": number, **_named("condition", row)})
        context.say(
            f"contrastive: fires on {chosen.rate:.0%} of the prompts, side {chosen.side:+d}; {len(tries)} tries"
        )
        return chosen.gated(best)

    def dose_response(
        self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item], best: Edit
    ) -> None:
        """Log accuracy, length and KL of the chosen vector by position and strength, and the range of good doses."""
        measure = dose_meter(policy, ledger, items)
        cells = [(best.write, strength) for strength in (0.0, *self.strengths)]
        others = [write for write in self.positions if write != best.write]
        rows = []
        for write, strength in [*cells, *itertools.product(others, self.position_strengths)]:
            edit = ActivationEdit((replace(best, strength=strength, write=write),))
            accuracy = context.dev_score(policy.with_intervention(edit), self.dev_items)
            row = {"write": write, "strength": strength, "accuracy": accuracy, **measure(edit)}
            rows.append({**row, "dev_items": self.dev_items})
            context.log(_named("dose", rows[-1]))
        if (doses := dose_range(rows, best.write)) is not None:
            context.log(doses.row("contrastive"))
            context.say(f"contrastive: {doses.line}")


def _described(edit: Edit) -> dict[str, Any]:
    return {"layer": edit.layer, "strength": edit.strength, "write": edit.write}


def _named(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    return {f"contrastive/{kind}/{name}": value for name, value in row.items()}
