"""One simulated policy: which of its 95 % intervals hold the truth?

    acc, base acc     proportions                     gain   paired difference
    pass@1, pass@k    skewed shares, k = n/2          EF     ratio of paired gains (refused if the gap is small)
    KL                mean of a skewed quantity       acc over seeds   training seeds as the top level

Each interval is made as a comparison makes it: one joint bootstrap, the same functions. Knows no file.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elicit.evaluate.calibration.worlds import World, draw_world
from elicit.evaluate.metrics.coverage import coverage
from elicit.evaluate.metrics.elicitation import elicitation_fraction
from elicit.evaluate.statistics.joint import Joint
from elicit.evaluate.statistics.resamples import Resamples
from elicit.files import seed_of
from elicit.results import Estimate

SEEDS = 3


def one_policy(index: int, seed: int, items: int, n: int, cluster_size: int, draws: int) -> dict[str, Any]:
    """{"covered": {quantity: True | False | None (refused)}, "width": {...}} of simulated policy `index`."""
    rng = np.random.default_rng(seed_of("calibration", "coverage", seed, index))
    alone = _estimates(draw_world(rng, items, n, cluster_size), rng, draws)
    several = _over_seeds(draw_world(rng, items, n, cluster_size, SEEDS), rng, draws)
    found = {**alone, f"acc over {SEEDS} seeds": several}
    return {
        "covered": {name: _covers(estimate, truth) for name, (estimate, truth) in found.items()},
        "width": {name: _width(estimate) for name, (estimate, _) in found.items()},
    }


def _estimates(world: World, rng: np.random.Generator, draws: int) -> dict[str, tuple[Estimate, float]]:
    rates, k = world.rates(rng), world.n // 2
    right = {name: rng.binomial(world.n, rates[name]) for name in ("base", "ceiling")}
    right["method"] = rng.binomial(world.n, rates["method"][0])
    joint = Joint(Resamples(world.codes_N, draws, int(rng.integers(2**31))))
    for name, right_N in right.items():
        joint.add(name, "acc", [right_N / world.n])
    total_N = np.full(world.items, world.n)
    for at in (1, k):
        joint.add("method", f"cov@{at}", [coverage(right["method"], total_N, at)])
    joint.add("method", "kl", [world.kl_N(rng)])
    joint.solve()
    base, method, ceiling = (joint.mean(name) for name in ("base", "method", "ceiling"))
    own = joint.resamples
    return {
        "base acc": (own.proportion(*base), world.base.mean),
        "acc": (own.proportion(*method), world.accuracy),
        "pass@1": (_curved(joint, "cov@1"), world.pass_at(1)),
        "pass@k": (_curved(joint, f"cov@{k}"), world.pass_at(k)),
        "gain": (own.difference(method, base), world.accuracy - world.base.mean),
        "EF": (elicitation_fraction(own, method, base, ceiling), world.fraction),
        "KL": (own.interval(*joint.mean("method", "kl")), world.kl),
    }


def _curved(joint: Joint, metric: str) -> Estimate:
    return joint.resamples.curved(*joint.mean("method", metric), joint.values_N("method", metric))


def _over_seeds(world: World, rng: np.random.Generator, draws: int) -> tuple[Estimate, float]:
    values = [rng.binomial(world.n, rates_N) / world.n for rates_N in world.rates(rng)["method"]]
    joint = Joint(Resamples(world.codes_N, draws, int(rng.integers(2**31))))
    joint.add("method", "acc", values)
    joint.solve()
    return joint.resamples.proportion(*joint.mean("method")), world.accuracy


def _covers(estimate: Estimate, truth: float) -> bool | None:
    return None if estimate.bounds is None else bool(estimate.bounds[1] <= truth <= estimate.bounds[2])


def _width(estimate: Estimate) -> float | None:
    return None if estimate.bounds is None else round(estimate.bounds[2] - estimate.bounds[1], 5)
