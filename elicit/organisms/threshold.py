"""Where each method's curve over the latent rate should fall, predicted before it is fitted.

    r_i   latent rate on item i: first-token mass of the openers;  r their mean;  a right with the opener forced
    g     right with a direct answer;  q_i its distribution over the answers

    reinforcement   half way at update  1/(P G r) + (logit 1/2 - logit r)/c:  the first traced rollout, then the climb
    vectors         1 - (1-r)^(items x samples): some own sample is traced at all
    best of n       mean_i  (1-(1-r_i)^n) a + (1-r_i)^n g:  a trace is surer than a guess
    majority of n   a draw of n votes by r_i [right] + (1-r_i) q_i, ties broken evenly
    branches        an opener is among the k most probable first tokens

c is the climb of the log-odds per update; it is the one constant that is fitted (on the top rate). Knows no model: what
an organism does is measured in `rare.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elicit.errors import DataError

Floats = NDArray[np.float64]
RL, VECTORS = ("rlvr", "rl_steering"), ("contrastive", "sae_steering")
ROLLOUTS = 16 * 16
"""of one update: prompts x samples of the presets"""
CLIMBS: Mapping[str, float] = {"rlvr": 0.44, "rl_steering": 0.25}
"""log-odds per update, `climb_of` the 5 and 9 updates after which a pilot fit of each (seed 1, not in the curve) had
half of its reward, on the organism with 9.9 %"""
CERTAIN = 0.5
"""a predicted share above this is a prediction that the method passes the half-way line"""


@dataclass(frozen=True)
class Latent:
    """What was measured on one organism, over the N test items of the curve."""

    name: str
    rates_N: tuple[float, ...]
    """first-token mass of the openers"""
    ranks_N: tuple[int, ...]
    """rank of the most probable opener among the first tokens, from 0"""
    direct_N_C: tuple[tuple[float, ...], ...]
    """distribution of the direct answer over C classes"""
    right_N: tuple[int, ...]
    """class of the right answer"""
    forced: float
    """greedy accuracy with the opener forced"""
    direct: float
    """greedy accuracy with a direct opener forced"""

    @property
    def rate(self) -> float:
        return float(np.mean(self.rates_N))


def updates_to_half(rate: float, rollouts: int, climb: float) -> float:
    """Updates until half of the rollouts are traced: waiting for the first traced one, then a climb of the log-odds."""
    if rate <= 0:
        return math.inf
    return 1 / (rollouts * rate) + max(0.0, math.log((1 - rate) / rate)) / climb


def climb_of(rate: float, rollouts: int, updates: float) -> float:
    """The climb with which `updates_to_half` gives `updates`. Raises DataError if the wait alone takes that long."""
    climbing = updates - 1 / (rollouts * rate)
    if climbing <= 0:
        raise DataError(
            f"{updates:g} updates at a rate of {rate:g}: no time is left for the climb; measure a higher rate"
        )
    return math.log((1 - rate) / rate) / climbing


def lowest_rate(updates: float, rollouts: int, climb: float) -> float:
    """The rate that `updates` just suffice for (bisection on its logarithm)."""
    low, high = math.log(1e-9), math.log(0.5)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if updates_to_half(math.exp(middle), rollouts, climb) <= updates else (middle, high)
    return math.exp(high)


def seen(rate: float, samples: int) -> float:
    """Probability that at least one of `samples` is traced."""
    return 1 - (1 - rate) ** samples


def best_of_n(latent: Latent, n: int) -> float:
    """Accuracy of the surest of n samples, if a trace is always surer than a direct answer."""
    none_N = (1 - np.array(latent.rates_N)) ** n
    return float(np.mean((1 - none_N) * latent.forced + none_N * latent.direct))


def branching(latent: Latent, k: int) -> float:
    """Accuracy of the surest branch of k first tokens, if a traced branch always wins."""
    open_N = np.array(latent.ranks_N) < k
    return float(np.mean(np.where(open_N, latent.forced, latent.direct)))


def majority(latent: Latent, n: int, draws: int = 400, seed: int = 0) -> float:
    """Accuracy of the plain vote of n samples, simulated."""
    rng = np.random.default_rng(seed)
    rates_N, right_N = np.array(latent.rates_N), np.array(latent.right_N)
    shares_N_C: Floats = (1 - rates_N)[:, None] * np.array(latent.direct_N_C)
    classes = shares_N_C.shape[1]
    shares_N_C[np.arange(len(right_N)), right_N] += rates_N * latent.forced
    shares_N_C[:, :] += ((1 - shares_N_C.sum(1)) / classes)[:, None]  # wrong traces fall anywhere
    hits = 0.0
    for shares_C, right in zip(shares_N_C, right_N, strict=True):
        votes_D_C = rng.multinomial(n, shares_C, size=draws)
        top_D_C = votes_D_C == votes_D_C.max(1, keepdims=True)
        hits += float((top_D_C[:, right] / top_D_C.sum(1)).mean())
    return hits / len(right_N)


def predicted(latent: Latent, method: str, budget: int, climbs: Mapping[str, float]) -> float | None:
    """Share of the way to the ceiling (of RL and vectors: 0 or 1, or a probability); None if nothing is predicted."""
    if method in RL:
        if method not in climbs:
            return None
        return float(budget >= updates_to_half(latent.rate, ROLLOUTS, climbs[method]))
    if method in VECTORS:
        return seen(latent.rate, budget)
    if method == "critique_ft":
        return None  # its critiques bring right steps: the same at every rate, at a height that nothing here predicts
    accuracies = {"best_of_n": best_of_n, "self_consistency": majority, "cot_decoding": branching}
    return (accuracies[method](latent, budget) - latent.direct) / max(latent.forced - latent.direct, 1e-9)
