"""Plain restatements of intervals and tests: loops over draws, sign patterns and ranks, no vectors."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence


def nested_means(values_S_N: Sequence[Sequence[float]], clusters: Sequence[str], draws: int, seed: int) -> list[float]:
    """Draws of a row's mean: whole clusters with replacement, plus Student's t times the error between the seeds."""
    rng = random.Random(seed)
    seeds, names = len(values_S_N), sorted(set(clusters))
    plain = [sum(values) / len(values) for values in values_S_N]
    everyone = sum(plain) / seeds
    error = math.sqrt(sum((mean - everyone) ** 2 for mean in plain) / (seeds - 1) / seeds)
    out = []
    for _ in range(draws):
        taken = [rng.choice(names) for _ in names]
        means = []
        for values in values_S_N:
            drawn = [value for name in taken for value, own in zip(values, clusters, strict=True) if own == name]
            means.append(sum(drawn) / len(drawn))
        squares = sum(rng.gauss(0, 1) ** 2 for _ in range(seeds - 1))
        student = rng.gauss(0, 1) / math.sqrt(squares / (seeds - 1))
        out.append(sum(means) / seeds + error * student)
    return out


def mcnemar(method: Sequence[bool], base: Sequence[bool]) -> float:
    """Exact two-sided p of a paired table: binomial over the discordant pairs."""
    more = sum(m and not b for m, b in zip(method, base, strict=True))
    less = sum(b and not m for m, b in zip(method, base, strict=True))
    n, far = more + less, abs(more - less)
    if n == 0:
        return 1.0
    return sum(math.comb(n, k) for k in range(n + 1) if abs(n - 2 * k) >= far) / 2**n


def signed_sums(units: Sequence[int]) -> dict[int, int]:
    """How many of the 2^G sign patterns give each sum."""
    out: dict[int, int] = {}
    for signs in itertools.product((1, -1), repeat=len(units)):
        total = sum(s * u for s, u in zip(signs, units, strict=True))
        out[total] = out.get(total, 0) + 1
    return out


def holm(p_values: Sequence[float]) -> list[float]:
    """Smallest level at which Holm's procedure, run as it is described, rejects each hypothesis."""
    return [_smallest(lambda level, i=i: i in _holm_rejects(p_values, level)) for i in range(len(p_values))]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """The same for the step-up procedure of Benjamini and Hochberg."""
    return [_smallest(lambda level, i=i: i in _bh_rejects(p_values, level)) for i in range(len(p_values))]


def _holm_rejects(p_values: Sequence[float], level: float) -> set[int]:
    rejected: set[int] = set()
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[i] > level / (len(p_values) - rank):
            break
        rejected.add(i)
    return rejected


def _bh_rejects(p_values: Sequence[float], level: float) -> set[int]:
    order, last = sorted(range(len(p_values)), key=p_values.__getitem__), 0
    for rank, i in enumerate(order, 1):
        if p_values[i] <= level * rank / len(p_values):
            last = rank
    return set(order[:last])


def _smallest(rejects) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rejects(middle) else (middle, high)
    return high


def jeffreys(right: int, n: int, level: float = 0.95, cells: int = 200_000) -> tuple[float, float]:
    """Quantiles of the posterior density p^(x-1/2) (1-p)^(n-x-1/2), summed cell by cell."""
    logs = [
        (right - 0.5) * math.log((i + 0.5) / cells) + (n - right - 0.5) * math.log(1 - (i + 0.5) / cells)
        for i in range(cells)
    ]
    top = max(logs)
    weights = [math.exp(value - top) for value in logs]
    whole, run, found = sum(weights), 0.0, []
    targets = [(1 - level) / 2, 1 - (1 - level) / 2]
    for i, weight in enumerate(weights):
        run += weight
        while targets and run >= targets[0] * whole:
            found.append((i + 0.5) / cells)
            targets.pop(0)
    return found[0], found[1]


def robust_error(values: Sequence[float], clusters: Sequence[str]) -> float:
    """Cluster-robust standard error of a mean, cluster by cluster."""
    mean, sums = sum(values) / len(values), {name: 0.0 for name in clusters}
    for value, name in zip(values, clusters, strict=True):
        sums[name] += value - mean
    g = len(sums)
    return math.sqrt(g / (g - 1) * sum(total**2 for total in sums.values())) / len(values)


def support(method: Sequence[bool], base: Sequence[bool]) -> dict[str, float | None]:
    """SRR, NDR and NSCR by counting items one by one."""
    p = sum(m and b for m, b in zip(method, base, strict=True))
    e = sum(m and not b for m, b in zip(method, base, strict=True))
    s = sum(b and not m for m, b in zip(method, base, strict=True))
    return {
        "SRR": p / (p + s) if p + s else None,
        "NDR": e / (p + e) if p + e else None,
        "NSCR": (e - s) / (p + e + s) if p + e + s else None,
    }


def novel(method: Sequence[bool], first: Sequence[bool], second: Sequence[bool]) -> float:
    """Of the items that the base's first half missed: solved by the method, less those that its second half solves."""
    missed = [(m, again) for m, once, again in zip(method, first, second, strict=True) if not once]
    return (sum(m for m, _ in missed) - sum(again for _, again in missed)) / len(missed)
