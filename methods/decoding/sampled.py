"""Chains that are independent samples by one pick rule: what all votes, filters and best-of-n here re-read.

Chain i of sample j of an item has the seed of (base policy, item, j * n + i) and not of the strategy, so every
strategy with the same sampling settings sees the same chains, and the store holds them once. Its cost is counted
as if it had drawn them alone. How a chain is chosen is up to the subclasses.
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elicit.errors import ConfigError
from elicit.policy.decoding import Candidate, Loop, Path, PathJob, PickRule, Request, chain_seed
from elicit.sampling import confidence
from methods.decoding.chains import ChainStrategy, mean_logprob

if TYPE_CHECKING:
    from elicit.tasks.task import Reader


@dataclass(frozen=True)
class SampledChains(ChainStrategy, ABC):
    """n samples an answer."""

    n: int = 20
    """chains an answer"""
    temperature: float = 1.0
    """above 0: greedy chains would all be the same"""
    top_p: float = 1.0
    """share of the mass that is kept, in (0, 1]"""
    min_p: float = 0.0
    """tokens with p < min_p * p_max are dropped"""

    def __post_init__(self) -> None:
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
        return self.rule()

    def rule(self) -> PickRule:
        return PickRule(temperature=self.temperature, top_p=self.top_p, min_p=self.min_p)

    def weigh(self, loop: Loop, path: Path, task: Reader) -> Candidate:
        return Candidate(path, scores(path))


def scores(path: Path) -> dict[str, float]:
    """What a path tells about itself without any label.

    `self_certainty` is the mean of the token confidences: KL(uniform || p) up to a constant, over the 20 most
    probable tokens of each step (as DeepConf truncates it) and not over the vocabulary as in arXiv 2502.18581.
    """
    return {"mean_logprob": mean_logprob(path), "self_certainty": confidence.mean(path.confidences)}
