"""Independent samples by one pick rule, and four ways to choose among them without labels.

    x_i ~ p(. | prompt), i = 1..n

    SelfConsistency   an x_i with class(answer(x_i)) = argmax_c sum_i [class(answer(x_i)) = c]      arXiv 2203.11171
    WeightedVotes     an x_i with class(answer(x_i)) = argmax_c sum_i w_i [class(answer(x_i)) = c],
                      w_i = exp(mean log-prob of a token) in (0, 1], or self-certainty       2203.11171, 2502.18581
    BestOfN           argmax_i score(x_i), score = mean log-prob of a token, or self-certainty           2502.18581
    BordaVotes        the weighted vote with w_i = (n - rank_i + 1)^power, rank 1 = largest self-certainty   2502.18581

Self-certainty is the mean over the tokens of KL(uniform || p) over the full vocabulary. In 2502.18581 the powers of the
rank lie between the majority (power 0) and best-of-n (a large power); in WeightedVotes the certainty itself is the
weight. The *oracle* best-of-n, which asks gold which chain is right, is no strategy: it is pass@n = cov@n of the base
at the same sampling settings, and the comparison has it under that name (README.md).

Chain i of sample j of an item has the seed of (base policy, item, j * n + i), not of the strategy. So every strategy
with the same sampling settings gets the same chains, and the store holds them once. DeepConf (`deepconf.py`) and the
random pick (`controls.py`) belong to this family too. Cost: n chains per answer, all counted, as if it had drawn them
alone; no label is read.
"""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elicit.errors import ConfigError, near
from elicit.policy.decoding import Candidate, Loop, Path, PathJob, PickRule, Request, chain_seed
from elicit.sampling import confidence
from methods.decoding.chains import ChainStrategy, mean_logprob

if TYPE_CHECKING:
    from elicit.tasks.task import Reader

SCORES = ("mean_logprob", "self_certainty")


@dataclass(frozen=True)
class SampledChains(ChainStrategy, ABC):
    """n samples per answer."""

    n: int = 20
    """chains per answer"""
    temperature: float = 1.0
    """above 0: greedy chains would all be the same"""
    top_p: float = 1.0
    """share of the mass that is kept, in (0, 1]"""
    min_p: float = 0.0
    """tokens with p < min_p * p_max are dropped"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 1:
            raise ConfigError(f"{self.name}.n={self.n}: at least one chain")
        if self.temperature == 0:
            raise ConfigError(f"{self.name}.temperature=0: {self.n} copies of one chain; use method/strategy=greedy")
        self.rule()

    def jobs(self, loop: Loop, request: Request) -> list[PathJob]:
        indices = range(request.j * self.n, (request.j + 1) * self.n)
        return [PathJob(request.prompt_ids, chain_seed(request, index)) for index in indices]

    @property
    def chain_rule(self) -> PickRule:
        """The chains are independent draws of the policy by this rule."""
        return self.rule()

    def rule(self) -> PickRule:
        return PickRule(temperature=self.temperature, top_p=self.top_p, min_p=self.min_p)

    def weigh(self, loop: Loop, path: Path, task: Reader) -> Candidate:
        return Candidate(path, scores(path))


def scores(path: Path) -> dict[str, float]:
    """The certainty of a path, without any label.

    `self_certainty` is the mean over the tokens of KL(uniform || p) over the full vocabulary (arXiv 2502.18581).
    """
    return {"mean_logprob": mean_logprob(path), "self_certainty": confidence.mean(path.certainties)}


@dataclass(frozen=True)
class SelfConsistency(SampledChains):
    """Majority vote over n samples; the first chain of the winning class is returned."""


@dataclass(frozen=True)
class WeightedVotes(SampledChains):
    """Vote over n samples, each weighted by the model's certainty of it."""

    weight: str = "mean_logprob"
    """`mean_logprob`: exp of it, the geometric mean probability of a token; or `self_certainty`"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight not in SCORES:
            raise ConfigError(f"{self.name}.weight={self.weight!r}: {near(self.weight, SCORES)}")

    def weigh(self, loop: Loop, path: Path, task: Reader) -> Candidate:
        scalars = scores(path)
        weight = math.exp(scalars["mean_logprob"]) if self.weight == "mean_logprob" else scalars["self_certainty"]
        return Candidate(path, scalars, weight)


@dataclass(frozen=True)
class BestOfN(SampledChains):
    """The most certain of n samples, among those that finished and state an answer."""

    by: str = "mean_logprob"
    """`mean_logprob` (favours short chains, but less than a sum would) or `self_certainty`"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by not in SCORES:
            raise ConfigError(f"best_of_n.by={self.by!r}: {near(self.by, SCORES)}")

    @property
    def name(self) -> str:
        """That of the preset of its score."""
        return "best_of_n_certainty" if self.by == "self_certainty" else "best_of_n"

    def weigh(self, loop: Loop, path: Path, task: Reader) -> Candidate:
        scalars = scores(path)
        return Candidate(path, scalars, scalars[self.by])

    def choose(self, candidates: Sequence[Candidate], classes: Sequence[str | None], request: Request) -> int:
        """The chain of largest score among those with an answer, the first of equals; among all if none has one."""
        answered = [index for index, name in enumerate(classes) if name is not None] or range(len(candidates))
        return max(answered, key=lambda index: (candidates[index].weight, -index))


@dataclass(frozen=True)
class BordaVotes(SampledChains):
    """Vote over n samples, each weighted by a power of its rank in self-certainty."""

    power: float = 1.0
    """0: the plain majority; the larger, the more the most certain sample decides"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.power < 0:
            raise ConfigError(f"{self.name}.power={self.power}: 0 (the majority) or more")

    def choose(self, candidates: Sequence[Candidate], classes: Sequence[str | None], request: Request) -> int:
        """The vote; the ranks are those among all samples, with and without an answer, the first of equals first."""
        certainties = [candidate.scalars["self_certainty"] for candidate in candidates]
        order = sorted(range(len(candidates)), key=lambda index: (-certainties[index], index))
        for rank, index in enumerate(order):
            candidates[index].weight = float(len(candidates) - rank) ** self.power
        return super().choose(candidates, classes, request)
