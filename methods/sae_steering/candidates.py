"""From all features to the few that are tried: by contrast, then by cause. Arms are what the search gets.

Knows the order of the steps; the scores themselves are in `scores.py` and `cause.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from elicit.errors import MethodError
from elicit.sampling.contrast import by_length
from methods.sae_steering.cause import Probe, causal_scores
from methods.sae_steering.dictionary import Dictionary
from methods.sae_steering.material import Material, Pages
from methods.sae_steering.scores import (
    FeatureStatistics,
    cohens_d,
    interleaved,
    reason_score,
    statistics,
    telling_tokens,
)

if TYPE_CHECKING:
    from elicit.policy.policy import Policy


@dataclass(frozen=True)
class Candidate:
    """One feature, and what was measured of it."""

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
class Arm:
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


@dataclass(frozen=True, eq=False)
class Selection:
    """What contrast and cause left."""

    chosen: list[Candidate]
    """kept by cause: what is tried"""
    candidates: list[Candidate]
    """kept by contrast, with their causal scores"""
    surveys: list[Survey]


def survey(made: Material, sides: Sequence[bool | None], words: int, special: set[int]) -> list[Survey]:
    """Every contrast score of every feature, a layer at a time."""
    pages = made.pages
    places = made.store.places_of(range(len(pages.rows)), pages.reads)
    telling = telling_tokens([completion.token_ids for completion in pages.completions], sides, special, words)
    traced = _traced(pages)
    out = []
    for layer, dictionary in made.dictionaries.items():
        acts_N_F = dictionary.encode(made.store.take(layer, places))
        found = statistics(made.codes[layer], made.store, telling)
        scores = {"cohens_d": cohens_d(acts_N_F, sides, pages.items), "reason_score": reason_score(found)}
        if traced is not None:
            scores["trace_d"] = cohens_d(acts_N_F, traced, pages.items)
        out.append(Survey(dictionary, found, scores))
    return out


def _traced(pages: Pages) -> list[bool | None] | None:
    """Sides by length; None where the completions have one length, or no item has both modes."""
    if len({len(completion.token_ids) for completion in pages.completions}) < 2:
        return None
    sides, _ = by_length(pages.completions)
    seen: dict[str, set[bool | None]] = {}
    for item, side in zip(pages.items, sides, strict=True):
        seen.setdefault(item, set()).add(side)
    return sides if sum(len(found) == 2 for found in seen.values()) > 1 else None


def live(found: Survey, rates: tuple[float, float]) -> torch.Tensor:
    """Features [n] that fire within the rates and have a decoder row."""
    rate_F = found.statistics.rate_F
    return ((rate_F >= rates[0]) & (rate_F <= rates[1]) & (found.dictionary.norms_F > 0)).nonzero()[:, 0]


def by_contrast(surveys: Sequence[Survey], rates: tuple[float, float], keep: int) -> list[Candidate]:
    """The `keep` best features over all layers, each contrast score in its turn.

    Raises MethodError where no feature fires within the rates.
    """
    pool = [(number, int(feature)) for number, found in enumerate(surveys) for feature in live(found, rates)]
    if not pool:
        raise MethodError(
            f"no feature fires on {rates[0]:g} to {rates[1]:g} of the tokens: widen method.rates, or train longer"
        )
    names = list(dict.fromkeys(name for found in surveys for name in found.scores))
    rankings = []
    for name in names:
        values = [surveys[number].scores[name][feature].item() for number, feature in pool]
        rankings.append([place for place in np.argsort(-np.array(values), kind="stable") if values[place] > 0])
    chosen = [pool[place] for place in interleaved(rankings, keep)]
    return [candidate(surveys[number], feature) for number, feature in chosen]


def candidate(found: Survey, feature: int) -> Candidate:
    """A feature with its contrast scores."""
    scores = {name: values[feature].item() for name, values in found.scores.items()}
    rate, least = (getattr(found.statistics, name)[feature].item() for name in ("rate_F", "least_F"))
    return Candidate(found.dictionary.layer, feature, rate, found.dictionary.norms_F[feature].item(), least, scores)


def by_cause(
    policy: Policy, made: Material, candidates: Sequence[Candidate], probes: Sequence[Probe],
    norms: dict[int, float], strength: float, keep: int,
) -> list[Candidate]:  # fmt: skip
    """All candidates with their causal scores; the `keep` best first, each causal score in its turn."""
    scored: dict[int, Candidate] = {}
    for layer, dictionary in made.dictionaries.items():
        own = [place for place, each in enumerate(candidates) if each.layer == layer]
        if not own:
            continue
        features = [candidates[place].feature for place in own]
        vectors_F_D = dictionary.directions_F_D[features] * norms[layer] * strength
        found = causal_scores(policy, probes, layer, vectors_F_D)
        for row, place in enumerate(own):
            more = {name: values[row].item() for name, values in found.items()}
            scored[place] = replace(candidates[place], scores={**candidates[place].scores, **more})
    rankings = [
        sorted(scored, key=lambda place: -abs(scored[place].scores[name]) if name == "confidence"
               else -scored[place].scores[name])
        for name in ("preference", "output_score", "confidence")
    ]  # fmt: skip
    first = interleaved(rankings, keep)
    return [scored[place] for place in [*first, *(place for place in scored if place not in first)]]


def probes_of(pages: Pages, sides: Sequence[bool | None], count: int) -> list[Probe]:
    """One positive and one negative own sample of each of the first `count` items that have both: the shortest."""
    by_item: dict[str, dict[bool, list[int]]] = {}
    for place, (item, side) in enumerate(zip(pages.items, sides, strict=True)):
        if side is not None:
            by_item.setdefault(item, {True: [], False: []})[side].append(place)
    out: list[Probe] = []
    for own in by_item.values():
        if own[True] and own[False] and len(out) < count:
            ids = [min((pages.completions[i].token_ids for i in own[side]), key=len) for side in (True, False)]
            out.append(Probe(pages.completions[own[True][0]].prompt_ids, ids[0], ids[1]))
    return out


def arm_of(dictionary: Dictionary, each: Candidate, with_reader: bool) -> Arm:
    """The arm of a feature; `with_reader` also takes its encoder row (clamps and gates need one)."""
    unit_D = dictionary.directions_F_D[each.feature]
    if not with_reader:
        return Arm(each.layer, unit_D, each.feature)
    encoder_D, bias, threshold = dictionary.reader(each.feature)
    if dictionary.sae.cfg.architecture() == "topk":
        threshold = 0.999 * each.least
    return Arm(each.layer, unit_D, each.feature, encoder_D, bias, threshold)
