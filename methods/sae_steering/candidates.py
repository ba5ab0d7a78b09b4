"""From all features to the few that are tried: by contrast scores, then by causal scores.

Knows how the rankings are combined; the scores themselves are in `scores.py` and `cause.py`, the order of the steps in
`method.py`. F features, n live ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from elicit.errors import MethodError
from elicit.sampling.contrast import by_length
from methods.sae_steering.cause import CausalProbe, causal_scores
from methods.sae_steering.dictionary import Dictionary
from methods.sae_steering.material import Material, Pages
from methods.sae_steering.scores import (
    FeatureStatistics,
    cohens_d,
    interleaved,
    mean_difference,
    reason_score,
    statistics,
    telling_tokens,
)

if TYPE_CHECKING:
    from elicit.method import Context
    from elicit.policy.policy import Policy
    from methods.sae_steering.method import SaeSteering


@dataclass(frozen=True)
class Feature:
    """One feature of a dictionary with its measured values."""

    layer: int
    feature: int
    rate: float
    """share of tokens on which it fires"""
    norm: float
    """norm of its decoder row as loaded"""
    least: float
    """smallest positive activation seen"""
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Direction:
    """One direction to try at every strength and position."""

    layer: int
    unit_D: torch.Tensor
    """length 1"""
    feature: int | None = None
    """number in the dictionary; None for a direction that is no feature"""
    encoder_D: torch.Tensor | None = None
    bias: float = 0.0
    threshold: float = 0.0


@dataclass(frozen=True, eq=False)
class Survey:
    """All live features of one dictionary with their contrast scores."""

    dictionary: Dictionary
    statistics: FeatureStatistics
    scores: dict[str, torch.Tensor]
    """name -> [F]"""


def survey(made: Material, sides: Sequence[bool | None], words: int, special: set[int]) -> list[Survey]:
    """Every contrast score of every feature, one survey per layer.

    Sides that are prompts have the scores of the read position only: what completions say or how long they are is no
    part of that contrast.
    """
    pages = made.pages
    places = made.store.places_of(range(len(pages.rows)), pages.reads)
    telling = telling_tokens([completion.token_ids for completion in pages.completions], sides, special, words)
    traced = _traced(pages)
    out = []
    for layer, dictionary in made.dictionaries.items():
        acts_N_F = dictionary.encode(made.store.take(layer, places))
        measured = statistics(made.codes[layer], made.store, telling)
        scores = {"cohens_d": cohens_d(acts_N_F, sides, pages.items)}
        if pages.prompted is not None:
            scores["difference"] = mean_difference(acts_N_F, sides, pages.items)
        else:
            scores["reason_score"] = reason_score(measured)
        if pages.prompted is None and traced is not None:
            scores["trace_d"] = cohens_d(acts_N_F, traced, pages.items)
        out.append(Survey(dictionary, measured, scores))
    return out


def _traced(pages: Pages) -> list[bool | None] | None:
    """Sides by length; None if all completions have one length, or fewer than two items have both modes."""
    if len({len(completion.token_ids) for completion in pages.completions}) < 2:
        return None
    sides, _ = by_length(pages.completions)
    seen: dict[str, set[bool | None]] = {}
    for item, side in zip(pages.items, sides, strict=True):
        seen.setdefault(item, set()).add(side)
    return sides if sum(len(modes) == 2 for modes in seen.values()) > 1 else None


def by_contrast(surveys: Sequence[Survey], rates: tuple[float, float], keep: int) -> list[Feature]:
    """The `keep` best features over all layers, taken in turn from the ranking of each contrast score.

    Raises MethodError if no feature fires within the rates.
    """
    pool = []
    for number, each in enumerate(surveys):
        rate_F = each.statistics.rate_F
        live = (rate_F >= rates[0]) & (rate_F <= rates[1]) & (each.dictionary.norms_F > 0)
        pool += [(number, int(feature)) for feature in live.nonzero()[:, 0]]
    if not pool:
        raise MethodError(
            f"no feature fires on {rates[0]:g} to {rates[1]:g} of the tokens: widen method.rates, or train longer"
        )
    names = list(dict.fromkeys(name for each in surveys for name in each.scores))
    rankings = []
    for name in names:
        values = [surveys[number].scores[name][feature].item() for number, feature in pool]
        rankings.append([place for place in np.argsort(-np.array(values), kind="stable") if values[place] > 0])
    chosen = [pool[place] for place in interleaved(rankings, keep)]
    return [feature_of(surveys[number], feature) for number, feature in chosen]


def feature_of(survey: Survey, number: int) -> Feature:
    """A feature of a surveyed dictionary with its contrast scores."""
    scores = {name: values_F[number].item() for name, values_F in survey.scores.items()}
    measured, norms_F = survey.statistics, survey.dictionary.norms_F
    rate, least = measured.rate_F[number].item(), measured.least_F[number].item()
    return Feature(survey.dictionary.layer, number, rate, norms_F[number].item(), least, scores)


def by_cause(
    settings: SaeSteering, policy: Policy, made: Material, candidates: Sequence[Feature], probes: Sequence[CausalProbe],
    norms: dict[int, float],
) -> list[Feature]:  # fmt: skip
    """All candidates with their causal scores; the `chosen` best first, in turn from the ranking of each score."""
    scored: dict[int, Feature] = {}
    for layer, dictionary in made.dictionaries.items():
        places = [place for place, candidate in enumerate(candidates) if candidate.layer == layer]
        if not places:
            continue
        features = [candidates[place].feature for place in places]
        vectors_F_D = dictionary.directions_F_D[features] * norms[layer] * settings.probe_strength
        causal = causal_scores(policy, probes, layer, vectors_F_D)
        for row, place in enumerate(places):
            more = {name: values_F[row].item() for name, values_F in causal.items()}
            scored[place] = replace(candidates[place], scores={**candidates[place].scores, **more})
    rankings = [
        sorted(scored, key=lambda place: -abs(scored[place].scores[name]) if name == "confidence"
               else -scored[place].scores[name])
        for name in ("preference", "output_score", "confidence")
    ]  # fmt: skip
    first = interleaved(rankings, settings.chosen)
    return [scored[place] for place in [*first, *(place for place in scored if place not in first)]]


def log_candidates(context: Context, candidates: Sequence[Feature], chosen: Sequence[Feature]) -> None:
    """One log row per candidate, with all its scores."""
    for feature in candidates:
        context.log({"sae/candidate/layer": feature.layer, "sae/candidate/feature": feature.feature,
                     "sae/candidate/chosen": feature in chosen, "sae/candidate/rate": feature.rate,
                     **{f"sae/candidate/{name}": value for name, value in feature.scores.items()}})  # fmt: skip


def probes_of(policy: Policy, pages: Pages, sides: Sequence[bool | None], count: int) -> list[CausalProbe]:
    """The shortest positive and the shortest negative own sample of the first `count` items that have both.

    They are scored after the policy's own prompt, whichever prompt they were written after.
    """
    by_item: dict[str, dict[bool, list[int]]] = {}
    for place, (item, side) in enumerate(zip(pages.items, sides, strict=True)):
        if side is not None:
            by_item.setdefault(item, {True: [], False: []})[side].append(place)
    out: list[CausalProbe] = []
    for own in by_item.values():
        if own[True] and own[False] and len(out) < count:
            ids = [min((pages.completions[i].token_ids for i in own[side]), key=len) for side in (True, False)]
            prompt_ids = policy.prompt_ids(pages.completions[own[True][0]].item.question)
            out.append(CausalProbe(prompt_ids, ids[0], ids[1]))
    return out


def direction_of(dictionary: Dictionary, feature: Feature, with_encoder: bool) -> Direction:
    """The decoder row of a feature; `with_encoder` also takes its encoder row, which clamps and gates need."""
    unit_D = dictionary.directions_F_D[feature.feature]
    if not with_encoder:
        return Direction(feature.layer, unit_D, feature.feature)
    encoder_D, bias, threshold = dictionary.reader(feature.feature)
    if dictionary.sae.cfg.architecture() == "topk":
        threshold = 0.999 * feature.least
    return Direction(feature.layer, unit_D, feature.feature, encoder_D, bias, threshold)
