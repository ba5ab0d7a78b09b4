"""Controls of SAE steering. Each is searched with the same number of dev tries as the method.

Placebos, without information about the items:
* live_feature: each chosen feature replaced by a live one that was no candidate, nearest in firing rate and norm.
* random_direction: the same number of random directions, spread over the same layers. Reads no samples.
* random_model: the dictionary of the same model with random weights, through the whole selection; its rows are written
  into the real model.
* covariance_direction: random directions with the covariance of the residual stream.
* shuffled_decoder: decoder rows permuted among the features, through the whole selection.
* activity_matched: as live_feature, nearest in firing rate, norm and mean activation: as busy as the chosen one.
* frozen_decoder: a dictionary whose decoder stays at its random initialisation, through the whole selection. Its
  features are written as well as trained ones in some tests of causal editing (arXiv 2602.14111).
Rivals, informative:
* difference_of_means: positive minus negative mean at the read position, at the same norms. One direction per layer, at
  more strengths, so that the number of tries is the same.
* negative_dose: the chosen features, subtracted (`SaeSteering.edit`).
* reconstruction: no feature touched, the layer's output replaced by its dictionary's reconstruction. It has neither
  features nor strengths, so every layer at every position is all there is to try.
* labels_permuted: sides shuffled within each item, through the whole selection. Not a placebo: the length contrast, the
  causal scores and dev still choose among live features, and they may choose a good one.

Functions only; which of them runs is the field `control` of `SaeSteering`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from elicit.errors import MethodError
from elicit.files import seed_of
from elicit.policy.layers import width
from elicit.policy.residuals import layer_numbers, read_residuals
from elicit.sampling.dose import dose_meter
from methods.sae_steering.candidates import Direction, Feature, Survey, feature_of
from methods.sae_steering.loading import load
from methods.sae_steering.material import FitInputs, Material, material, own_pages
from methods.sae_steering.reconstruction import Reconstruction
from methods.sae_steering.scores import item_means
from methods.sae_steering.store import collect
from methods.sae_steering.tries import best_dose, log_choice

if TYPE_CHECKING:
    from elicit.policy.policy import Policy
    from elicit.records import Item
    from methods.sae_steering.method import SaeSteering

WITHOUT_DICTIONARY = ("random_direction", "covariance_direction", "difference_of_means")
"""controls whose directions are no features"""
COVARIANCE_ROWS = 128
"""pages whose activations give the covariance, at most about"""


def live_features(
    chosen: Sequence[Feature], candidates: Sequence[Feature], surveys: Sequence[Survey], activity: bool = False
) -> list[Feature]:
    """For each chosen feature a live one of its layer that is no candidate, matched on firing rate and norm.

    `activity`: matched on the mean activation, too.
    """
    taken = {(feature.layer, feature.feature) for feature in candidates}
    by_layer = {each.dictionary.layer: each for each in surveys}
    out = []
    for feature in chosen:
        survey = by_layer[feature.layer]
        known = survey.statistics
        means_F = known.mean_F if activity else None
        match = nearest_live(feature, known.rate_F, survey.dictionary.norms_F, taken, means_F)
        taken.add((feature.layer, match))
        out.append(replace(feature_of(survey, match), scores={}))
    return out


def nearest_live(
    feature: Feature, rate_F: torch.Tensor, norms_F: torch.Tensor, taken: set[tuple[int, int]],
    means_F: torch.Tensor | None = None,
) -> int:  # fmt: skip
    """The free live feature of the layer nearest in log rate, log norm and, if it is given, log mean activation.

    Raises MethodError if there is none.
    """
    live = (rate_F > 0).nonzero()[:, 0].tolist()
    free = [number for number in live if (feature.layer, number) not in taken and norms_F[number] > 0]
    if not free:
        raise MethodError(
            f"layer {feature.layer} has no live feature besides the candidates: fewer method.candidates, or a larger "
            "dictionary"
        )
    distance_n = (rate_F[free].log() - np.log(max(feature.rate, 1e-12))).square()
    distance_n += (norms_F[free].log() - np.log(max(feature.norm, 1e-12))).square()
    if means_F is not None:
        logs_F = means_F.clamp_min(1e-12).log()
        distance_n += (logs_F[free] - logs_F[feature.feature]).square()
    return free[int(distance_n.argmin())]


def directions(settings: SaeSteering, inputs: FitInputs, items: Sequence[Item]) -> list[Direction]:
    """The directions of a control without a dictionary, at length 1."""
    policy = inputs.policy
    given = settings.source.given
    layers = sorted(load(settings.source, policy, inputs.ledger)) if given else layer_numbers(policy, settings.layers)
    make = {"random_direction": random_directions, "covariance_direction": covariance_directions,
            "difference_of_means": differences_of_means}[settings.control]  # fmt: skip
    vectors = make(settings, inputs, items, layers)
    return [Direction(layer, vector_D / vector_D.norm()) for layer, vector_D in vectors]


def random_directions(
    settings: SaeSteering, inputs: FitInputs, items: Sequence[Item], layers: Sequence[int]
) -> list[tuple[int, torch.Tensor]]:
    """(layer, vector [D]) of `chosen` normal draws, spread over the layers."""
    shape = (settings.chosen, width(inputs.policy.checkpoint.model))
    draws = torch.from_numpy(inputs.context.rng.standard_normal(shape)).float()
    return [(layers[place % len(layers)], draw_D) for place, draw_D in enumerate(draws)]


def covariance_directions(
    settings: SaeSteering, inputs: FitInputs, items: Sequence[Item], layers: Sequence[int]
) -> list[tuple[int, torch.Tensor]]:
    """(layer, vector [D]) of `chosen` sums of centred activations with random weights: draws of their covariance."""
    pages = own_pages(settings, inputs, items)
    part = slice(0, len(pages.rows), max(1, len(pages.rows) // COVARIANCE_ROWS))
    rows = pages.rows[part]
    store = collect(inputs.policy, rows, pages.prompt_lengths[part], [None] * len(rows), layers)
    inputs.ledger.activations(len(store), stage="train")
    weights = torch.from_numpy(inputs.context.rng.standard_normal((settings.chosen, len(store)))).float()
    out = []
    for place, weights_N in enumerate(weights):
        layer = layers[place % len(layers)]
        array_N_D = torch.from_numpy(store.arrays[layer])
        out.append((layer, weights_N @ (array_N_D - array_N_D.mean(0))))
    return out


def differences_of_means(
    settings: SaeSteering, inputs: FitInputs, items: Sequence[Item], layers: Sequence[int]
) -> list[tuple[int, torch.Tensor]]:
    """(layer, vector [D]): positive minus negative mean at the read position, paired by item, one per layer."""
    pages = own_pages(settings, inputs, items)
    sides = settings.sides(inputs, pages)
    inputs.ledger.activations(len(pages.rows), stage="train")
    spans = [(position, position + 1) for position in pages.reads]
    readings_N_L_D = read_residuals(inputs.policy, pages.rows, spans, pages.prompt_lengths, layers)
    positive, negative = item_means(readings_N_L_D.flatten(1), sides, pages.items)
    return list(zip(layers, (positive - negative).mean(0).view(len(layers), -1), strict=True))


def random_model(policy: Policy, seed: int) -> Policy:
    """The policy on a model of the same shape with freshly initialised weights; the global generator is left alone."""
    checkpoint = policy.checkpoint
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("random model", seed) % 2**63)
        model = type(checkpoint.model)(copy.deepcopy(checkpoint.model.config))
    model = model.to(checkpoint.device, checkpoint.dtype).eval().requires_grad_(False)
    random = replace(checkpoint, model=model, id=f"random-{seed}-{checkpoint.id}")
    return replace(policy, checkpoint=random)


def shuffled_decoder(made: Material, rng: np.random.Generator) -> Material:
    """The material with the decoder rows of each dictionary permuted among its features."""
    shuffled = {}
    for layer, dictionary in made.dictionaries.items():
        sae = copy.deepcopy(dictionary.sae)
        sae.W_dec.data = sae.W_dec.data[torch.from_numpy(rng.permutation(dictionary.size))]
        shuffled[layer] = replace(dictionary, sae=sae, source=f"{dictionary.source}, decoder shuffled")
    return replace(made, dictionaries=shuffled)


def reconstruction(settings: SaeSteering, inputs: FitInputs, items: Sequence[Item]) -> Reconstruction:
    """The most accurate reconstruction on dev, over layers and positions. Raises the errors of `Reconstruction.of`."""
    policy, context = inputs.policy, inputs.context
    pages = own_pages(settings, inputs, items)
    made = material(settings, inputs, pages, [None] * len(pages.rows), policy)
    measure = dose_meter(policy, inputs.ledger, items[: settings.dose_items])
    cells = [(write, dictionary) for write in settings.writes for dictionary in made.dictionaries.values()]
    options = [Reconstruction.of(dictionary, write) for write, dictionary in cells]
    rows: list[dict[str, Any]] = []
    for option in options:
        accuracy = context.dev_score(policy.with_intervention(option), settings.dev_items)
        cell = {"layer": option.layer, "write": option.write, "strength": 1.0, "accuracy": accuracy}
        rows.append({**cell, "dev_items": settings.dev_items, **measure(option)})
        context.log({f"sae/dose/{name}": value for name, value in rows[-1].items()})
    best = best_dose(rows)
    log_choice(context, rows[best])
    context.say(f"sae: reconstruction of layer {options[best].layer} at {options[best].write}; {len(rows)} dev tries")
    return options[best]
