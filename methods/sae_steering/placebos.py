"""Controls of SAE steering; each is searched with as many dev tries as the method.

Placebos, without information about the items:
* live_feature: each chosen feature replaced by a live one that was no candidate, nearest in firing rate and norm.
* random_direction: as many random directions, spread over the same layers. Reads no samples.
* random_model: the dictionary of the same model with random weights, through the whole selection.
* covariance_direction: random directions with the covariance of the residual stream.
* shuffled_decoder: decoder rows permuted among the features, through the whole selection.
Rivals, informative:
* difference_of_means: positive minus negative mean at the read position, at the same norms; one direction a layer, each
  at so many more strengths that the tries are as many.
* negative_dose: the chosen features, subtracted.
* reconstruction: no feature touched, the layer's output replaced by what its dictionary makes of it. It has neither
  features nor strengths: every layer at every position is all there is to try.
* labels_permuted: sides shuffled inside each item, through the whole selection. No placebo: the length contrast, the
  causal scores and dev still choose among live features, and they may find a good one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from elicit.errors import ConfigError, MethodError
from elicit.files import seed_of
from elicit.policy.layers import width
from elicit.policy.policy import refuse_strategy
from elicit.policy.residuals import layer_numbers, read_residuals
from elicit.sampling.dose import dose_meter
from methods.sae_steering.candidates import Arm, Candidate, Selection
from methods.sae_steering.dashboard import Shown
from methods.sae_steering.fitting import SaeFit
from methods.sae_steering.loading import load
from methods.sae_steering.material import Material, Pages, own_pages
from methods.sae_steering.reconstruction import Reconstruction
from methods.sae_steering.scores import item_means
from methods.sae_steering.store import collect
from methods.sae_steering.tries import best_dose, coarse, log_choice, spread

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.activations import Edit
    from elicit.policy.policy import Policy
    from elicit.records import Item

S = TypeVar("S", bound=SaeFit)
COVARIANCE_ROWS = 128


@dataclass(frozen=True)
class LiveFeature(SaeFit):
    """Live features matched on firing rate and norm."""

    def tried(self, selection: Selection) -> list[Candidate]:
        taken = {(each.layer, each.feature) for each in selection.candidates}
        surveys = {found.dictionary.layer: found for found in selection.surveys}
        out = []
        for each in selection.chosen:
            found = surveys[each.layer]
            match = nearest_live(each, found.statistics.rate_F, found.dictionary.norms_F, taken)
            taken.add((each.layer, match))
            rate, least = (getattr(found.statistics, name)[match].item() for name in ("rate_F", "least_F"))
            out.append(Candidate(each.layer, match, rate, found.dictionary.norms_F[match].item(), least))
        return out


def nearest_live(each: Candidate, rate_F: torch.Tensor, norms_F: torch.Tensor, taken: set[tuple[int, int]]) -> int:
    """The live feature of the layer nearest in log rate and log norm that is not taken. Raises MethodError for none."""
    free = [f for f in (rate_F > 0).nonzero()[:, 0].tolist() if (each.layer, f) not in taken and norms_F[f] > 0]
    if not free:
        raise MethodError(
            f"layer {each.layer} has no live feature besides the candidates: fewer method.candidates, or a larger "
            "dictionary"
        )
    away_n = (rate_F[free].log() - np.log(max(each.rate, 1e-12))).square()
    away_n += (norms_F[free].log() - np.log(max(each.norm, 1e-12))).square()
    return free[int(away_n.argmin())]


@dataclass(frozen=True)
class WithoutDictionary(SaeFit):
    """Arms that are no features."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.operator != "add" or self.sparse != "none":
            raise ConfigError(
                f"operator={self.operator!r}, sparse={self.sparse!r}: a direction without a dictionary has no feature "
                "to read; the placebo live_feature and the others of a dictionary go with it"
            )

    def arms(self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item]) -> tuple[list[Arm], Shown]:
        layers = sorted(load(self.source, policy, ledger)) if self.source.given else layer_numbers(policy, self.layers)
        units = self.units(policy, ledger, context, items, layers)
        return [Arm(layer, unit_D / unit_D.norm()) for layer, unit_D in units], Shown()

    def units(
        self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item], layers: Sequence[int]
    ) -> list[tuple[int, torch.Tensor]]:
        """(layer, direction of any length) of every arm: here at random."""
        size = width(policy.checkpoint.model)
        draws = torch.from_numpy(context.rng.standard_normal((self.chosen, size))).float()
        return [(layers[place % len(layers)], draw_D) for place, draw_D in enumerate(draws)]


@dataclass(frozen=True)
class RandomDirection(WithoutDictionary):
    """Random directions of the same norm."""


@dataclass(frozen=True)
class CovarianceDirection(WithoutDictionary):
    """Random directions with the residual stream's covariance: sums of centred activations with random weights."""

    def units(
        self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item], layers: Sequence[int]
    ) -> list[tuple[int, torch.Tensor]]:
        pages = own_pages(policy, ledger, items, self.samples, self.read, self.train.seed)
        some = slice(0, len(pages.rows), max(1, len(pages.rows) // COVARIANCE_ROWS))
        store = collect(policy, pages.rows[some], pages.prompt_lengths[some], [None] * len(pages.rows[some]), layers)
        ledger.activations(len(store), stage="train")
        weights = torch.from_numpy(context.rng.standard_normal((self.chosen, len(store)))).float()
        out = []
        for place, weights_N in enumerate(weights):
            layer = layers[place % len(layers)]
            array_N_D = torch.from_numpy(store.arrays[layer])
            out.append((layer, weights_N @ (array_N_D - array_N_D.mean(0))))
        return out


@dataclass(frozen=True)
class DifferenceOfMeans(WithoutDictionary):
    """Positive minus negative mean at the read position, paired by item: one direction a layer."""

    def units(
        self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item], layers: Sequence[int]
    ) -> list[tuple[int, torch.Tensor]]:
        pages = own_pages(policy, ledger, items, self.samples, self.read, self.train.seed)
        sides = self.sides(pages, ledger, context)
        ledger.activations(len(pages.rows), stage="train")
        spans = [(position, position + 1) for position in pages.reads]
        readings_N_L_D = read_residuals(policy, pages.rows, spans, pages.prompt_lengths, layers)
        positive, negative = item_means(readings_N_L_D.flatten(1), sides, pages.items)
        return list(zip(layers, (positive - negative).mean(0).view(len(layers), -1), strict=True))

    def searched(self, arms: int) -> Sequence[float]:
        wanted = self.chosen * len(coarse(self.strengths))
        return spread(self.strengths, max(len(coarse(self.strengths)), round(wanted / arms)))


@dataclass(frozen=True)
class RandomModel(SaeFit):
    """The dictionary of the randomly initialised model; its rows are written into the real one."""

    def reader(self, policy: Policy) -> Policy:
        checkpoint = policy.checkpoint
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of("random model", self.train.seed) % 2**63)
            model = type(checkpoint.model)(copy.deepcopy(checkpoint.model.config))
        model = model.to(checkpoint.device, checkpoint.dtype).eval().requires_grad_(False)
        random = replace(checkpoint, model=model, id=f"random-{self.train.seed}-{checkpoint.id}")
        return replace(policy, checkpoint=random)


@dataclass(frozen=True)
class ShuffledDecoder(SaeFit):
    """Decoder rows permuted among the features."""

    def made(
        self, policy: Policy, ledger: Ledger, context: Context, pages: Pages, sides: Sequence[bool | None]
    ) -> Material:
        made = super().made(policy, ledger, context, pages, sides)
        shuffled = {}
        for layer, dictionary in made.dictionaries.items():
            sae = copy.deepcopy(dictionary.sae)
            sae.W_dec.data = sae.W_dec.data[torch.from_numpy(context.rng.permutation(dictionary.size))]
            shuffled[layer] = replace(dictionary, sae=sae, source=f"{dictionary.source}, decoder shuffled")
        return replace(made, dictionaries=shuffled)


@dataclass(frozen=True)
class PermutedLabels(SaeFit):
    """Sides shuffled inside each item."""

    def sides(self, pages: Pages, ledger: Ledger, context: Context) -> list[bool | None]:
        sides = super().sides(pages, ledger, context)
        for item in dict.fromkeys(pages.items):
            own = [i for i, name in enumerate(pages.items) if name == item and sides[i] is not None]
            shuffled = [sides[i] for i in context.rng.permutation(own)]
            for i, side in zip(own, shuffled, strict=True):
                sides[i] = side
        return sides


@dataclass(frozen=True)
class NegativeDose(SaeFit):
    """The chosen features, subtracted."""

    def edit(self, arm: Arm, strength: float, write: str, norms: dict[int, float]) -> Edit:
        return super().edit(arm, -strength, write, norms)


@dataclass(frozen=True)
class ReconstructionAlone(SaeFit):
    """The best layer and position of a reconstruction without edit."""

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> Reconstruction:
        """The most accurate reconstruction on dev. Raises what `Reconstruction.of` raises."""
        refuse_strategy(policy)
        items = ledger.items("train", "train", limit=self.items)
        own = self.of_seed(context)
        pages = own_pages(policy, ledger, items, self.samples, self.read, own.train.seed)
        made = own.made(policy, ledger, context, pages, [None] * len(pages.rows))
        measure = dose_meter(policy, ledger, items[: self.dose_items])
        cells = [(write, each) for write in self.writes for each in made.dictionaries.values()]
        options = [Reconstruction.of(dictionary, write) for write, dictionary in cells]
        rows: list[dict[str, Any]] = []
        for each in options:
            accuracy = context.dev_score(policy.with_intervention(each), self.dev_items)
            what = {"layer": each.layer, "write": each.write, "strength": 1.0, "accuracy": accuracy}
            rows.append({**what, "dev_items": self.dev_items, **measure(each)})
            context.log({f"sae/dose/{name}": value for name, value in rows[-1].items()})
        best = best_dose(rows)
        log_choice(context, rows[best])
        context.say(
            f"sae: reconstruction of layer {options[best].layer} at {options[best].write}; {len(rows)} dev tries"
        )
        return options[best]


def same_settings(method: SaeFit, kind: type[S], **changes: object) -> S:
    """`kind` with the settings of `method`."""
    return kind(**{**{each.name: getattr(method, each.name) for each in fields(SaeFit)}, **changes})
