"""Simulated policies whose true figures are known in closed form.

Every cluster has a base rate p ~ Beta; a method solves what the base leaves with chance q ~ Beta, a ceiling what the
method leaves with chance r ~ Beta, so rates are ordered item by item and correlated as real ones are:

    1 - p_method = (1 - p)(1 - q u)        1 - p_ceiling = (1 - p)(1 - q)(1 - r)        (u: effect of a training seed)

With independent p and q the moments multiply: pass@k = 1 - E(1-p)^k E(1-q)^k. KL by item is Gamma, its samples
Gamma around it. Besides what it solves, a policy has manners (`Manners`): how often it declares its answer, how often
it stops after it, how many tokens it writes. They change what a grader reads, not what was solved:

    strict   right, declared and stopped          lenient  right and stopped          first  right and declared

Does not know intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.entry import Entry
from elicit.evaluate.measures.measure import Measures
from elicit.records import Item

ANSWERS = 10
KL_ITEM_SHAPE, KL_SAMPLE_SHAPE = 2.0, 4.0


class Beta(NamedTuple):
    """A Beta distribution of rates."""

    a: float
    b: float

    @property
    def mean(self) -> float:
        return self.a / (self.a + self.b)

    def misses(self, k: int) -> float:
        """E (1 - x)^k."""
        return float(np.prod([(self.b + i) / (self.a + self.b + i) for i in range(k)]))

    @staticmethod
    def of(mean: float, weight: float) -> Beta:
        return Beta(mean * weight, (1 - mean) * weight)


@dataclass(frozen=True)
class World:
    """The distributions of one simulated comparison, and its size."""

    items: int
    n: int
    cluster_size: int
    base: Beta
    gain: Beta
    rest: Beta
    kl: float
    """mean KL to the base, in nats"""
    seeds: int = 1
    seed_effect: Beta | None = None
    """distribution of u; None: u = 1"""

    @property
    def accuracy(self) -> float:
        """True accuracy of the method."""
        return 1 - (1 - self.base.mean) * (1 - self.gain.mean * (self.seed_effect.mean if self.seed_effect else 1.0))

    @property
    def ceiling(self) -> float:
        return 1 - (1 - self.base.mean) * (1 - self.gain.mean) * (1 - self.rest.mean)

    def pass_at(self, k: int) -> float:
        """True pass@k of the method (without seed effects)."""
        return 1 - self.base.misses(k) * self.gain.misses(k)

    @property
    def fraction(self) -> float:
        """True EF of the method."""
        return (self.accuracy - self.base.mean) / (self.ceiling - self.base.mean)

    @property
    def codes_N(self) -> NDArray:
        """Cluster of each item."""
        return np.arange(self.items) // self.cluster_size

    def rates(self, rng: np.random.Generator) -> dict[str, NDArray]:
        """Drawn rates by item: base, ceiling, and method as [seeds, items]."""
        clusters = int(self.codes_N[-1]) + 1
        p, q, r = (rng.beta(*beta, clusters)[self.codes_N] for beta in (self.base, self.gain, self.rest))
        u_S = rng.beta(*self.seed_effect, self.seeds) if self.seed_effect else np.ones(self.seeds)
        return {
            "base": p,
            "method": 1 - (1 - p) * (1 - q * u_S[:, None]),
            "ceiling": 1 - (1 - p) * (1 - q) * (1 - r),
        }

    def kl_N(self, rng: np.random.Generator) -> NDArray:
        """Mean KL by item over n samples."""
        clusters = int(self.codes_N[-1]) + 1
        own = rng.gamma(KL_ITEM_SHAPE, self.kl / KL_ITEM_SHAPE, clusters)[self.codes_N]
        return rng.gamma(KL_SAMPLE_SHAPE, own[:, None] / KL_SAMPLE_SHAPE, (self.items, self.n)).mean(1)


class Manners(NamedTuple):
    """How a policy answers, whatever it solves."""

    declares: float = 1.0
    """share of the samples with a declared answer"""
    stops: float = 1.0
    """share of the samples that end after the answer; the others ramble on to the token limit"""
    tokens: float = 10.0
    """mean tokens of an answer"""


PLAIN = Manners()


def draw_world(rng: np.random.Generator, items: int, n: int, cluster_size: int, seeds: int = 1) -> World:
    """A world of this size, its distributions drawn from what checkpoints and methods look like."""
    return World(
        items=items,
        n=n,
        cluster_size=cluster_size,
        base=Beta.of(rng.uniform(0.08, 0.45), rng.uniform(0.6, 4)),
        gain=Beta.of(rng.uniform(0.2, 0.6), rng.uniform(0.8, 4)),
        rest=Beta.of(rng.uniform(0.5, 0.9), rng.uniform(1, 4)),
        kl=float(rng.uniform(0.5, 20)),
        seeds=seeds,
        seed_effect=Beta.of(0.8, 20) if seeds > 1 else None,
    )


def simulated_items(world: World, rng: np.random.Generator) -> list[Item]:
    """Items with one-digit golds."""
    golds = rng.integers(0, ANSWERS, world.items)
    return [
        Item(f"i{i}", "simulated", "test", f"Question {i}?", str(gold), f"c{cluster}")
        for i, (gold, cluster) in enumerate(zip(golds, world.codes_N, strict=True))
    ]


def simulated_measures(
    policy: str,
    items: list[Item],
    rates_N: NDArray,
    n: int,
    rng: np.random.Generator,
    manners: Manners = PLAIN,
    regime: str = "compare",
) -> Measures:
    """What a policy with these rates did in n samples per item; wrong answers are spread over the other digits."""
    golds_N = np.array([int(item.gold or 0) for item in items])
    right_N_J = rng.random((len(items), n)) < rates_N[:, None]
    wrong_N_J = (golds_N[:, None] + rng.integers(1, ANSWERS, (len(items), n))) % ANSWERS
    shape = right_N_J.shape
    declared_N_J, stopped_N_J = np.ones(shape, bool), np.ones(shape, bool)
    if manners.declares < 1:
        declared_N_J = rng.random(shape) < manners.declares
    if manners.stops < 1:
        stopped_N_J = rng.random(shape) < manners.stops
    answers_N_J = np.where(right_N_J, golds_N[:, None], wrong_N_J)
    return Measures(
        policy=policy,
        regime=regime,
        items=tuple(item.id for item in items),
        clusters_N=np.array([item.cluster for item in items]),
        strict_N_J=(right_N_J & declared_N_J & stopped_N_J).astype(np.int8),
        lenient_N_J=(right_N_J & stopped_N_J).astype(np.int8),
        classes_N_J=np.where(declared_N_J & stopped_N_J, answers_N_J, -1),
        class_names=tuple(str(digit) for digit in range(ANSWERS)),
        valid_N_J=np.full(shape, -1, np.int8),
        finish_N_J=np.where(stopped_N_J, "eos", "length"),
        empty_N_J=np.zeros(shape, bool),
        tokens_N_J=np.full(shape, manners.tokens),
        aux_N_J=np.zeros(shape),
        first_N_J=(right_N_J & declared_N_J).astype(np.int8),
    )


def simulated_entry(role: str, name: str, parent: str | None = None, seed: int = 0) -> Entry:
    """An entry without folders."""
    nowhere = Path("simulated")
    return Entry(
        role, name, f"{name}-{seed}", nowhere, nowhere, parent=parent, arm=name, seed=seed, data_class="Z",
        method=parent or name,
    )  # fmt: skip
