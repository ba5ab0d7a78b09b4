"""Plain restatements of what lenses compute: loops over samples, pairs and tokens, no vectors."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence


def table(valid: Sequence[int], right: Sequence[int]) -> list[int]:
    """Valid right, valid wrong, invalid right, invalid wrong."""
    cells = Counter((bool(v), bool(r)) for v, r in zip(valid, right, strict=True) if v >= 0 and r >= 0)
    return [cells[True, True], cells[True, False], cells[False, True], cells[False, False]]


def phi(a: int, b: int, c: int, d: int) -> float:
    """Pearson correlation of the two verdicts, from the samples themselves."""
    pairs = [(1, 1)] * a + [(1, 0)] * b + [(0, 1)] * c + [(0, 0)] * d
    return pearson([x for x, _ in pairs], [y for _, y in pairs])


def pearson(x: Sequence[float], y: Sequence[float]) -> float:
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    cross = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return cross / math.sqrt(sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y))


def ranks(values: Sequence[float]) -> list[float]:
    """Mean rank of each value among all."""
    return [sum(v < x for v in values) + (sum(v == x for v in values) + 1) / 2 for x in values]


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    return pearson(ranks(x), ranks(y))


def partial_spearman(x: Sequence[float], y: Sequence[float], z: Sequence[float]) -> float:
    """Correlation of what is left of the ranks of x and y after a straight line in the ranks of z."""

    def rest(values: Sequence[float]) -> list[float]:
        a, b = ranks(values), ranks(z)
        mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
        slope = sum((p - mean_a) * (q - mean_b) for p, q in zip(a, b, strict=True)) / sum((q - mean_b) ** 2 for q in b)
        return [p - mean_a - slope * (q - mean_b) for p, q in zip(a, b, strict=True)]

    return pearson(rest(x), rest(y))


def auroc(right: Sequence[float], wrong: Sequence[float]) -> float | None:
    """Share of pairs in which the right one is surer."""
    pairs = list(itertools.product(right, wrong))
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs) if pairs else None


def vote(answers: Sequence[int], weights: Sequence[float], right: Sequence[int]) -> float:
    """Expected accuracy of a weighted vote; answer -1 is none."""
    totals: Counter[int] = Counter()
    for answer, weight in zip(answers, weights, strict=True):
        if answer >= 0 and weight > 0:
            totals[answer] += weight  # type: ignore[assignment]
    if not totals:
        return 0.0
    winners = [answer for answer, total in totals.items() if total == max(totals.values())]
    true = {answer for answer, grade in zip(answers, right, strict=True) if grade == 1}
    return sum(answer in true for answer in winners) / len(winners)


def jensen_shannon(a: dict[object, float], b: dict[object, float]) -> float:
    """Half the sum of the divergences from the middle, in bits."""

    def half(p: dict[object, float], q: dict[object, float]) -> float:
        total_p, total_q, out = sum(p.values()), sum(q.values()), 0.0
        for key, count in p.items():
            if count:
                share = count / total_p
                out += share * math.log2(share / ((share + q.get(key, 0) / total_q) / 2))
        return out

    return (half(a, b) + half(b, a)) / 2


def windows(values: Sequence[float], width: int) -> list[float]:
    """Mean of every full window; of the whole where it is shorter."""
    width = min(width, len(values))
    return [sum(values[k : k + width]) / width for k in range(len(values) - width + 1)]


def brier(confidences: Sequence[float], right: Sequence[bool]) -> float:
    return sum((c - r) ** 2 for c, r in zip(confidences, right, strict=True)) / len(right)


def calibration_error(confidences: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    """Mean over bins, weighted by size, of |mean confidence - accuracy|."""
    total = 0.0
    for k in range(bins):
        inside = [(c, r) for c, r in zip(confidences, right, strict=True) if min(int(c * bins), bins - 1) == k]
        total += abs(sum(c for c, _ in inside) - sum(r for _, r in inside))
    return total / len(right)


def cluster_bootstrap(
    rows: Sequence[Sequence[float]], clusters: Sequence[object], statistic: Callable[[list[float]], float], draws: int
) -> tuple[float, float]:
    """2.5 and 97.5 % points of a statistic of column means when whole clusters are resampled."""
    members: dict[object, list[Sequence[float]]] = {}
    for row, cluster in zip(rows, clusters, strict=True):
        members.setdefault(cluster, []).append(row)
    rng, names, found = random.Random(0), list(members), []
    for _ in range(draws):
        taken = [row for name in rng.choices(names, k=len(names)) for row in members[name]]
        found.append(statistic([sum(column) / len(taken) for column in zip(*taken, strict=True)]))
    found.sort()
    return found[int(0.025 * draws)], found[int(0.975 * draws)]
