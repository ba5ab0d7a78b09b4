"""Plain restatements of the metrics: loops over samples, subsets and draws, no vectors."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence


def coverage(grades: Sequence[bool], k: int) -> float:
    """Share of the k-subsets that hold a right sample."""
    subsets = list(itertools.combinations(grades, k))
    return sum(any(subset) for subset in subsets) / len(subsets)


def pass_hat_k(grades: Sequence[bool], k: int) -> float:
    """Share of the k-subsets that are all right."""
    subsets = list(itertools.combinations(grades, k))
    return sum(all(subset) for subset in subsets) / len(subsets)


def majority(answers: Sequence[str | None], right: str, k: int) -> float:
    """Expected hits of a vote over all k-subsets, ties broken uniformly, None no answer."""
    total = 0.0
    subsets = list(itertools.combinations(answers, k))
    for subset in subsets:
        votes = Counter(answer for answer in subset if answer is not None)
        if votes:
            top = max(votes.values())
            winners = [answer for answer, count in votes.items() if count == top]
            total += winners.count(right) / len(winners)
    return total / len(subsets)


def surest(certainties: Sequence[float], grades: Sequence[bool], k: int) -> float:
    """Expected hits of the most certain of all k-subsets, equals drawn uniformly."""
    total = 0.0
    subsets = list(itertools.combinations(zip(certainties, grades, strict=True), k))
    for subset in subsets:
        best = [right for certainty, right in subset if certainty == max(c for c, _ in subset)]
        total += sum(best) / len(best)
    return total / len(subsets)


def bootstrap_mean(values: Sequence[float], clusters: Sequence[str], draws: int, seed: int) -> list[float]:
    """Draws of the mean, whole clusters taken with replacement."""
    rng = random.Random(seed)
    groups: dict[str, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        groups.setdefault(cluster, []).append(value)
    names = list(groups)
    out = []
    for _ in range(draws):
        taken = [value for _ in names for value in groups[rng.choice(names)]]
        out.append(sum(taken) / len(taken))
    return out


def two_stage_mean(right: Sequence[int], n: int, draws: int, seed: int) -> list[float]:
    """Draws of the accuracy, items taken with replacement and samples taken inside them, one by one."""
    rng = random.Random(seed)
    out = []
    for _ in range(draws):
        hits = 0
        for _ in right:
            c = rng.choice(right)
            hits += sum(rng.random() < c / n for _ in range(n))
        out.append(hits / (n * len(right)))
    return out


def sign_flip(differences: Sequence[float], clusters: Sequence[str]) -> float:
    """Exact two-sided p over all sign patterns of the clusters."""
    sums: dict[str, float] = {}
    for difference, cluster in zip(differences, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + difference
    seen = abs(sum(sums.values()))
    patterns = list(itertools.product((1, -1), repeat=len(sums)))
    hits = sum(abs(sum(s * x for s, x in zip(p, sums.values(), strict=True))) >= seen - 1e-9 for p in patterns)
    return hits / len(patterns)


def split_gain(
    rows: Sequence[dict[str, tuple[float, float, float]]], clusters: Sequence[int], weights: Sequence[Sequence[float]]
) -> dict[str, tuple[float, list[float]]]:
    """(point, draws) of each part: policy -> (strict, lenient, any) by item, how often each draw takes a cluster."""

    def parts(taken: Sequence[float]) -> dict[str, float]:
        size = sum(taken[c] for c in clusters)

        def mean(policy: str, grading: int) -> float:
            return sum(taken[c] * row[policy][grading] for c, row in zip(clusters, rows, strict=True)) / size

        strict, lenient, loose = ({p: mean(p, grading) for p in ("m", "b0", "b1", "b2")} for grading in (0, 1, 2))
        return {
            "gain": strict["m"] - strict["b0"],
            "format": (strict["m"] - lenient["m"]) - (strict["b0"] - lenient["b0"]),
            "termination": (lenient["m"] - loose["m"]) - (lenient["b0"] - loose["b0"]),
            "prompt": max(0, loose["b1"] - loose["b0"]),
            "budget": max(0, loose["b2"] - max(loose["b0"], loose["b1"])),
            "remainder": loose["m"] - max(loose["b0"], loose["b1"], loose["b2"]),
        }

    whole = parts([1.0] * (max(clusters) + 1))
    drawn = [parts(taken) for taken in weights]
    return {name: (value, [one[name] for one in drawn]) for name, value in whole.items()}


def beta_binomial(right: Sequence[int], total: Sequence[int]) -> tuple[float, float]:
    """(a, b): the fitted Beta distribution, by trying a grid of means and weights that gets finer."""

    def loss(u: float, v: float) -> float:
        a, b = _shape(u, v)
        own = 0.0
        for c, n in zip(right, total, strict=True):
            own += _log_beta(a + c, b + n - c) - _log_beta(a, b)
        return (u * u + v * v) / 32 - own

    best, width = (0.0, 0.0), 6.0
    while width > 1e-5:
        steps = [width * i / 4 for i in range(-4, 5)]
        best = min(((best[0] + du, best[1] + dv) for du in steps for dv in steps), key=lambda at: loss(*at))
        width /= 2
    return _shape(*best)


def _shape(u: float, v: float) -> tuple[float, float]:
    mean = 1 / (1 + math.exp(-u))
    return math.exp(v) * mean, math.exp(v) * (1 - mean)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def beta_mean(a: float, b: float, function, cells: int = 20_000) -> float:
    """E function(p) under Beta(a, b), cell by cell."""
    middles = [(i + 0.5) / cells for i in range(cells)]
    weights = [math.exp((a - 1) * math.log(p) + (b - 1) * math.log(1 - p)) for p in middles]
    return sum(w * function(p) for w, p in zip(weights, middles, strict=True)) / sum(weights)


def covariance(rewards: Sequence[float], logprobs: Sequence[float]) -> float:
    """Covariance over pairs of samples: half of the mean product of their differences."""
    pairs = list(itertools.combinations(zip(rewards, logprobs, strict=True), 2))
    return sum((r - s) * (x - y) for (r, x), (s, y) in pairs) / len(pairs) / 2
