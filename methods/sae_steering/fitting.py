"""The steps of SAE steering: material, contrast, cause, search, dose-response. Placebos replace one step each.

Knows nothing of placebos and rivals (`placebos.py` builds on this file, `method.py` on both). The formulas and the
papers are in `method.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from elicit.errors import ConfigError, near
from elicit.method import MethodBase, Work
from elicit.policy.activations import OPERATORS, Edit
from elicit.policy.positions import check_write
from elicit.sampling.own import CONTRASTS, by_length, by_verdict, layer_numbers, refuse_strategy, residual_norms
from methods.sae_steering import dashboard
from methods.sae_steering.candidates import (
    Arm,
    Candidate,
    Selection,
    arm_of,
    by_cause,
    by_contrast,
    probes_of,
    survey,
)
from methods.sae_steering.loading import SourceConfig
from methods.sae_steering.material import READS, Material, Pages, material, own_pages
from methods.sae_steering.quality import Gate
from methods.sae_steering.training import TrainConfig
from methods.sae_steering.tries import coarse, search, sweep

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy
    from elicit.records import Item

GATES = ("none", "feature")


@dataclass(frozen=True)
class SaeFit(MethodBase):
    """One feature of one dictionary, written at one layer."""

    contrast: str = "right_minus_wrong"
    """`right_minus_wrong`: verifier labels; `traced_minus_direct`: own length, no labels"""
    items: int = 64
    """train items to sample"""
    samples: int = 16
    """own completions an item, at temperature 1"""
    read: str = "in_context"
    """`in_context`: last prompt token of the next question, the sample before it; `first_generated`: that token"""
    layers: tuple[int | float, ...] = (0.4, 0.6, 0.75)
    """layers to train dictionaries at: 0-based numbers, or fractions of the depth (with a decimal point)"""
    train: TrainConfig = TrainConfig()
    source: SourceConfig = SourceConfig()
    """dictionaries to load; where it names some, they decide the layers and nothing is trained"""
    quality: Gate = Gate()
    """when a dictionary is good enough; one that is not is marked"""
    memory_mb: int = 512
    """activations above this are memory-mapped in the run folder"""
    rates: tuple[float, float] = (1e-4, 0.2)
    """share of tokens on which a candidate fires"""
    words: int = 10
    """tokens in the vocabulary of the ReasonScore"""
    candidates: int = 64
    """features kept by contrast"""
    probes: int = 8
    """items on which causes are measured"""
    probe_strength: float = 1.0
    """strength at which they are"""
    chosen: int = 16
    """features kept by cause, which are tried on dev"""
    operator: str = "add"
    """add | clamp | min_clamp | ablate, see elicit/policy/activations.py"""
    strengths: tuple[float, ...] = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
    """r, in units of the layer's mean residual norm at the last prompt token"""
    writes: tuple[str, ...] = ("last_prompt", "onward", "every")
    """positions: the first is searched for all arms, the others for the best one"""
    first: int | None = None
    """write only the first so many tokens from the last prompt token on"""
    half_life: float | None = None
    """tokens in which the strength halves"""
    sparse: str = "none"
    """`feature`: write only tokens on which the feature itself fires; `none`: all tokens of the position"""
    dev_items: int = 32
    """dev items of the last round of the search, and of the dose-response"""
    halvings: int = 2
    """rounds before the last one, each on half the items of the next and dropping half of the tries"""
    dose_items: int = 8
    """train items on which length and KL of the dose-response are measured"""
    name: str = "sae_steering"

    def __post_init__(self) -> None:
        known = {"contrast": CONTRASTS, "read": READS, "operator": OPERATORS, "sparse": GATES}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ConfigError(f"{name}={getattr(self, name)!r}: {near(getattr(self, name), values)}")
        for write in self.writes:
            check_write(write)
        least = {"items": 2, "samples": 2, "words": 2, "candidates": 1, "probes": 1, "chosen": 1, "dev_items": 1}
        low = [f"{name}={getattr(self, name)}" for name, value in least.items() if getattr(self, name) < value]
        if low or self.halvings < 0 or self.dose_items < 1 or not self.strengths or not self.writes:
            raise ConfigError(f"sae_steering: {', '.join(low) or 'halvings, dose_items, strengths, writes'}: too few")

    def of_seed(self, context: Context) -> Self:
        """The run's seed in that of samples and dictionaries: a method and its placebos of one seed share both."""
        return replace(self, train=replace(self.train, seed=self.train.seed + context.seed))

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> Intervention:
        """The best edit of the search. Raises MethodError for an empty side, an all-dead dictionary, NaN."""
        refuse_strategy(policy)
        items = ledger.items("train", "train", limit=self.items)
        arms, shown = self.of_seed(context).arms(policy, ledger, context, items)
        norms = self.norms(policy, ledger, items, sorted({arm.layer for arm in arms}))

        def edit_of(arm: Arm, strength: float, write: str) -> Edit:
            return self.edit(arm, strength, write, norms)

        strengths = self.searched(len(arms))
        best, tries = search(policy, context, arms, strengths, self.writes[0], edit_of, self.dev_items, self.halvings)
        dose_items = items[: self.dose_items]
        edit, doses = sweep(
            policy, ledger, context, dose_items, arms[best.arm], self.strengths, self.writes, edit_of, self.dev_items
        )
        dashboard.write(context, shown, arms, tries, doses, edit, arms[best.arm])
        kept = edit.edits[0]
        context.say(
            f"sae: layer {kept.layer}, feature {arms[best.arm].feature}, strength {kept.strength:g} at {kept.write}; "
            f"{len(tries)} + {len(doses)} dev tries"
        )
        return edit

    def arms(
        self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item]
    ) -> tuple[list[Arm], dashboard.Shown]:
        """The directions to try, and what the dashboard shows of them."""
        pages = own_pages(policy, ledger, items, self.samples, self.read, self.train.seed)
        sides = self.sides(pages, ledger, context)
        made = self.made(policy, ledger, context, pages, sides)
        selection = self.selected(policy, ledger, made, sides, items)
        for each in selection.candidates:
            context.log({"sae/candidate/layer": each.layer, "sae/candidate/feature": each.feature,
                         "sae/candidate/chosen": each in selection.chosen, "sae/candidate/rate": each.rate,
                         **{f"sae/candidate/{name}": value for name, value in each.scores.items()}})  # fmt: skip
        tried = self.tried(selection)
        reading = self.sparse == "feature" or self.operator != "add"
        arms = [arm_of(made.dictionaries[each.layer], each, reading) for each in tried]
        return arms, dashboard.features(policy, made, sides, tried, context.rng, self.quality)

    def sides(self, pages: Pages, ledger: Ledger, context: Context) -> list[bool | None]:
        """The side of each completion: True positive, False negative, None neither."""
        if self.contrast == "right_minus_wrong":
            return by_verdict(pages.completions, ledger)
        sides, share = by_length(pages.completions)
        context.log({"sae/length_share": share})
        return sides

    def made(
        self, policy: Policy, ledger: Ledger, context: Context, pages: Pages, sides: Sequence[bool | None]
    ) -> Material:
        """Activations, dictionaries and cards."""
        layers = layer_numbers(policy, self.layers)
        reader = self.reader(policy)
        return material(
            policy, reader, ledger, context, pages, sides, layers, self.source, self.train, self.quality, self.memory_mb
        )

    def reader(self, policy: Policy) -> Policy:
        """The policy whose activations are read."""
        return policy

    def selected(
        self, policy: Policy, ledger: Ledger, made: Material, sides: Sequence[bool | None], items: Sequence[Item]
    ) -> Selection:
        """Features kept by contrast, and of these by cause."""
        special = set(policy.checkpoint.tokenizer.all_special_ids) | set(policy.checkpoint.eos_ids)
        surveys = survey(made, sides, self.words, special)
        kept = by_contrast(surveys, self.rates, self.candidates)
        norms = self.norms(policy, ledger, items, sorted(made.dictionaries))
        probes = probes_of(made.pages, sides, self.probes)
        ranked = by_cause(policy, made, kept, probes, norms, self.probe_strength, self.chosen)
        return Selection(ranked[: self.chosen], ranked, surveys)

    def searched(self, arms: int) -> Sequence[float]:
        """The strengths at which every arm is tried; a control with fewer arms tries more of them."""
        return coarse(self.strengths)

    def tried(self, selection: Selection) -> list[Candidate]:
        """The features that are tried; a placebo tries others in their place."""
        return selection.chosen

    def norms(self, policy: Policy, ledger: Ledger, items: Sequence[Item], layers: Sequence[int]) -> dict[int, float]:
        """Mean residual norm of each layer at the last prompt token: the unit of strengths."""
        return dict(zip(layers, residual_norms(policy, ledger, items, layers).tolist(), strict=True))

    def edit(self, arm: Arm, strength: float, write: str, norms: dict[int, float]) -> Edit:
        """One arm at one strength and position. The dose is `strength` for add, the target for clamps."""
        size = norms[arm.layer]
        gate = {"gate": arm.encoder_D, "gate_bias": arm.bias, "gate_threshold": arm.threshold}
        common: dict[str, Any] = {"write": write, "first": self.first, "half_life": self.half_life}
        common |= gate if self.sparse == "feature" and arm.encoder_D is not None else {}
        if self.operator == "add":
            return Edit(arm.layer, arm.unit_D * size, "add", strength, **common)
        common |= {"encoder": arm.encoder_D, "bias": arm.bias, "threshold": arm.threshold}
        if self.operator == "ablate":
            return Edit(arm.layer, arm.unit_D, "ablate", strength, **common)
        return Edit(arm.layer, arm.unit_D, self.operator, 1.0, target=strength * size, **common)

    def work(self, items: int, tokens: float) -> Work:
        """The own samples; readings, dictionaries, search and sweep are not counted."""
        return Work(self.items * self.samples)
