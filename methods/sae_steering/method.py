"""SAE feature steering: one sparse feature of the base's own activations, selected by contrast and chosen by cause.

    x ~ b + sum_f a_f(x) d_f                     a TopK dictionary of the output of block l (arXiv 2406.04093)
    h_l <- h_l + r R_l d_f                       add, at the write positions; R_l mean residual norm
    h_l <- h_l + (r R_l - a_f(h_l)) d_f          clamp: equal to encode, set a_f, decode, add the error back
    f, r and the positions: contrast -> 64 features -> causal scores -> 16 -> successive halving on dev

Own samples are read on pages of two questions (`read=in_context`), because before its first token the samples of one
item share their whole prefix. The sides are right and wrong (class R), traced and direct (class V), or two prompts read
at their own last token (class V, 2601.08058). Contrast scores
(scores.py): paired Cohen's d, traced - direct, ReasonScore (2503.18878). Causal scores (cause.py): output score
(2505.20063), token confidence (2510.03659), preference for the positive sample. Token-injection badge (2601.05679).
Left out: several features at once, transcoders, crosscoders, features of attention or MLP outputs.
Cost: items x samples completions, one forward pass over their pages to the deepest layer, the dictionaries, 64 x
probes x 2 short rows, and chosen x strengths tries by halving plus positions x strengths on dev.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from elicit.errors import ConfigError, checked, near
from elicit.method import MethodBase, Work
from elicit.policy.activations import OPERATORS, Edit
from elicit.policy.policy import refuse_strategy
from elicit.policy.positions import check_write
from elicit.sampling.contrast import CONTRASTS, by_length, by_verdict, permuted
from elicit.sampling.own import residual_norms
from methods.sae_steering import controls, dashboard
from methods.sae_steering.candidates import (
    Direction,
    by_cause,
    by_contrast,
    direction_of,
    log_candidates,
    probes_of,
    survey,
)
from methods.sae_steering.loading import SourceConfig
from methods.sae_steering.material import READS, FitInputs, Pages, material, own_pages
from methods.sae_steering.quality import Gate
from methods.sae_steering.training import TrainConfig
from methods.sae_steering.tries import coarse, search, spread, sweep

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context, Method
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy
    from elicit.records import Item

GATES = ("none", "feature")
Control = Literal[
    "none", "live_feature", "random_direction", "random_model", "covariance_direction", "shuffled_decoder",
    "activity_matched", "frozen_decoder", "difference_of_means", "negative_dose", "reconstruction", "labels_permuted",
]  # fmt: skip


@dataclass(frozen=True)
class SaeSteering(MethodBase):
    """One feature of one dictionary, written at one layer."""

    contrast: str = "right_minus_wrong"
    """`right_minus_wrong`: verifier labels; `traced_minus_direct`: own length, no labels; `prompt_pair`: samples after
    two of the task's fixed prompts, no labels; `samples` is then the number for both prompts together"""
    pair: tuple[str, str] = ("step_by_step", "bare")
    """prompt_pair: names of the positive and the negative prompt; the edit is written after the policy's own prompt"""
    items: int = 64
    """train items to sample"""
    samples: int = 16
    """own completions per item, at temperature 1"""
    read: str = "in_context"
    """`in_context`: last prompt token of the next question, after the sample; `first_generated`: that token"""
    layers: tuple[int | float, ...] = (0.4, 0.6, 0.75)
    """layers to train dictionaries at: 0-based numbers, or fractions of the depth (with a decimal point)"""
    train: TrainConfig = TrainConfig()
    source: SourceConfig = SourceConfig()
    """dictionaries to load; if it names any, they decide the layers and nothing is trained"""
    quality: Gate = Gate()
    """when a dictionary is good enough; one that is not is marked"""
    memory_mb: int = 512
    """activations above this are memory-mapped in the run folder"""
    rates: tuple[float, float] = (1e-4, 0.2)
    """share of tokens on which a candidate fires: least and most"""
    words: int = 10
    """tokens in the vocabulary of the ReasonScore"""
    candidates: int = 64
    """features kept by contrast"""
    probes: int = 8
    """items on which causal scores are measured"""
    probe_strength: float = 1.0
    """strength at which they are measured"""
    chosen: int = 16
    """features kept by causal scores; these are tried on dev"""
    operator: str = "add"
    """add | clamp | min_clamp | ablate, see elicit/policy/activations.py"""
    strengths: tuple[float, ...] = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
    """r, in units of the layer's mean residual norm at the last prompt token"""
    writes: tuple[str, ...] = ("last_prompt", "onward", "every")
    """positions: the first is searched for all features, the others for the best one"""
    first: int | None = None
    """write only this many tokens, counted from the last prompt token; null: all"""
    half_life: float | None = None
    """tokens in which the strength halves; null: constant"""
    sparse: str = "none"
    """`feature`: write only tokens on which the feature itself fires; `none`: all tokens of the position"""
    dev_items: int = 32
    """dev items of the last round of the search, and of the dose-response"""
    halvings: int = 2
    """rounds before the last one; each has half the items of the next round and drops half of the tries"""
    dose_items: int = 8
    """train items on which length and KL of the dose-response are measured"""
    control: Control = "none"
    """what replaces one step (controls.py); set by `placebos` and `rivals`, not by hand"""
    name: str = "sae_steering"

    def __post_init__(self) -> None:
        known = {"contrast": (*CONTRASTS, "prompt_pair"), "read": READS, "operator": OPERATORS, "sparse": GATES,
                 "control": get_args(Control)}  # fmt: skip
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ConfigError(f"{name}={getattr(self, name)!r}: {near(getattr(self, name), values)}")
        for write in self.writes:
            check_write(write)
        least = {"items": 2, "samples": 2, "words": 2, "candidates": 1, "probes": 1, "chosen": 1, "dev_items": 1}
        checked(self, at_least={**least, "halvings": 0, "dose_items": 1}, label="sae_steering")
        for name in ("strengths", "writes"):
            if not getattr(self, name):
                raise ConfigError(f"sae_steering: {name}=[]: give at least one")
        if self.control in controls.WITHOUT_DICTIONARY and not self.plain:
            raise ConfigError(
                f"operator={self.operator!r}, sparse={self.sparse!r}: a direction without a dictionary has no feature "
                "to read; use the placebo live_feature or another control with a dictionary"
            )

    @property
    def plain(self) -> bool:
        """Whether the edit needs no dictionary to be read while it acts."""
        return self.operator == "add" and self.sparse == "none"

    def placebos(self) -> dict[str, Method]:
        """The strongest sensible single one first; those without a dictionary only for a plain addition."""
        names: list[Control] = ["live_feature"]
        names += ["random_direction"] if self.plain else []
        names += [] if self.source.given else ["random_model"]
        names += ["covariance_direction"] if self.plain else []
        names += ["shuffled_decoder", "activity_matched"]
        names += [] if self.source.given else ["frozen_decoder"]
        return {name: replace(self, control=name) for name in names}

    def rivals(self) -> dict[str, Method]:
        """Difference of means at equal norm; features subtracted; the dictionary alone; selection by shuffled sides."""
        names: list[Control] = ["difference_of_means"] if self.plain else []
        names += ["negative_dose", "reconstruction", "labels_permuted"]
        return {name: replace(self, control=name) for name in names}

    def work(self, items: int, tokens: float) -> Work:
        """The own samples; readings, dictionaries, search and sweep are not counted."""
        return Work(self.items * self.samples)

    def of_seed(self, context: Context) -> Self:
        """With the run's seed added to that of samples and dictionaries: a method and its placebos share both."""
        return replace(self, train=replace(self.train, seed=self.train.seed + context.seed))

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> Intervention:
        """The best edit of the search. Raises MethodError for an empty side, an all-dead dictionary, NaN."""
        refuse_strategy(policy)
        settings, inputs = self.of_seed(context), FitInputs(policy, ledger, context)
        items = ledger.items("train", "train", limit=self.items)
        if self.control == "reconstruction":
            return controls.reconstruction(settings, inputs, items)
        # 1) to 5) the directions to try: features of a dictionary (`select`), or those of a control without one
        if self.control in controls.WITHOUT_DICTIONARY:
            directions, shown = controls.directions(settings, inputs, items), dashboard.Dashboard()
        else:
            directions, shown = settings.select(inputs, items)
        norms = mean_norms(inputs, items, sorted({direction.layer for direction in directions}))

        def edit_of(direction: Direction, strength: float, write: str) -> Edit:
            return self.edit(direction, strength, write, norms)

        # 6) search: every direction at every other strength, by successive halving on dev
        strengths = coarse(self.strengths)
        if self.control == "difference_of_means":
            # it has fewer directions, so it gets more strengths: the number of tries is the same
            count = round(self.chosen * len(strengths) / len(directions))
            strengths = spread(self.strengths, max(len(strengths), count))
        best, tries = search(self, inputs, directions, strengths, edit_of)
        # 7) sweep: the best direction at all strengths and positions; the edit is the best cell
        best_direction = directions[best.arm]
        edit, doses = sweep(self, inputs, items[: self.dose_items], best_direction, edit_of)
        # 8) what a report shows
        dashboard.write(context, shown, directions, tries, doses, edit, best_direction)
        kept = edit.edits[0]
        if any(card["layer"] == kept.layer and card["faults"] for card in shown.cards):
            context.warn(f"the edit is of layer {kept.layer}, whose dictionary misses the gate")
        context.say(
            f"sae: layer {kept.layer}, feature {best_direction.feature}, strength {kept.strength:g} at {kept.write}; "
            f"{len(tries)} + {len(doses)} dev tries"
        )
        return edit

    def select(self, inputs: FitInputs, items: Sequence[Item]) -> tuple[list[Direction], dashboard.Dashboard]:
        """(the features to try as directions, what the dashboard shows of them). `self` is of the run's seed."""
        policy, context = inputs.policy, inputs.context
        # 1) own samples on pages, and the side of each
        pages = own_pages(self, inputs, items)
        sides = self.sides(inputs, pages)
        # 2) activations of all pages, one dictionary per layer, its codes and its quality card
        reader = controls.random_model(policy, self.train.seed) if self.control == "random_model" else policy
        made = material(self, inputs, pages, sides, reader)
        if self.control == "shuffled_decoder":
            made = controls.shuffled_decoder(made, context.rng)
        # 3) contrast: the features whose activations differ most between the sides
        special = set(policy.checkpoint.tokenizer.all_special_ids) | set(policy.checkpoint.eos_ids)
        surveys = survey(made, sides, self.words, special)
        candidates = by_contrast(surveys, self.rates, self.candidates)
        # 4) cause: those among them that change the output most when they are written
        norms = mean_norms(inputs, items, sorted(made.dictionaries))
        candidates = by_cause(self, policy, made, candidates, probes_of(policy, pages, sides, self.probes), norms)
        chosen = candidates[: self.chosen]
        log_candidates(context, candidates, chosen)
        tried = chosen
        if self.control in ("live_feature", "activity_matched"):
            tried = controls.live_features(chosen, candidates, surveys, self.control == "activity_matched")
        # 5) directions; clamps and gates also need the feature's encoder row
        directions = [direction_of(made.dictionaries[feature.layer], feature, not self.plain) for feature in tried]
        return directions, dashboard.features(policy, made, sides, tried, context.rng, self.quality)

    def sides(self, inputs: FitInputs, pages: Pages) -> list[bool | None]:
        """The side of each completion: True positive, False negative, None neither."""
        if pages.prompted is not None:
            sides = list(pages.prompted)
        elif self.contrast == "right_minus_wrong":
            sides, about = by_verdict(pages.completions, inputs.ledger)
            inputs.context.log({f"sae/{name}": value for name, value in about.items()})
        else:
            sides, share = by_length(pages.completions)
            inputs.context.log({"sae/length_share": share})
        if self.control == "labels_permuted":
            return permuted(sides, pages.items, inputs.context.rng)
        return sides

    def edit(self, direction: Direction, strength: float, write: str, norms: dict[int, float]) -> Edit:
        """One direction at one strength and position. The dose is `strength` for add, the target for clamps."""
        if self.control == "negative_dose":
            strength = -strength
        size = norms[direction.layer]
        gate = {"gate": direction.encoder_D, "gate_bias": direction.bias, "gate_threshold": direction.threshold}
        common: dict[str, Any] = {"write": write, "first": self.first, "half_life": self.half_life}
        common |= gate if self.sparse == "feature" and direction.encoder_D is not None else {}
        if self.operator == "add":
            return Edit(direction.layer, direction.unit_D * size, "add", strength, **common)
        common |= {"encoder": direction.encoder_D, "bias": direction.bias, "threshold": direction.threshold}
        if self.operator == "ablate":
            return Edit(direction.layer, direction.unit_D, "ablate", strength, **common)
        return Edit(direction.layer, direction.unit_D, self.operator, 1.0, target=strength * size, **common)


def mean_norms(inputs: FitInputs, items: Sequence[Item], layers: Sequence[int]) -> dict[int, float]:
    """Mean residual norm of each layer at the last prompt token, booked: the unit of strengths."""
    return dict(zip(layers, residual_norms(inputs.policy, inputs.ledger, items, layers).tolist(), strict=True))
