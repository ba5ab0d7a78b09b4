"""Plain restatements of the metrics: loops over samples, subsets and draws, no vectors."""

from __future__ import annotations

import itertools
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
