"""Self-consistency (arXiv 2203.11171): sample n chains, return one that states the majority answer.

    x_i ~ p(. | prompt), i = 1..n;   return an x_i with class(answer(x_i)) = argmax_c sum_i w_i [class(answer(x_i)) = c]

Cost: n chains an answer, all counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elicit.errors import ConfigError, near
from elicit.policy.decoding import Candidate, Job, Loop, Path, PickRule, Request
from methods.decoding.chains import ChainStrategy, mean_logprob

if TYPE_CHECKING:
    from elicit.tasks.task import Reader

WEIGHTS = ("uniform", "mean_probability")


@dataclass(frozen=True)
class SelfConsistency(ChainStrategy):
    """Majority vote over n samples."""

    n: int = 20
    """chains an answer"""
    temperature: float = 1.0
    top_p: float = 1.0
    min_p: float = 0.0
    weight: str = "uniform"
    """a chain's vote: `uniform`, or `mean_probability` (exp of its mean log-prob a token)"""

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ConfigError(f"self_consistency.n={self.n}: at least one chain")
        if self.weight not in WEIGHTS:
            raise ConfigError(f"self_consistency.weight={self.weight!r}: {near(self.weight, WEIGHTS)}")
        self.rule()

    def jobs(self, loop: Loop, request: Request) -> list[Job]:
        return [Job(request.prompt_ids, request.seed, stream=stream) for stream in range(self.n)]

    def rule(self) -> PickRule:
        return PickRule(temperature=self.temperature, top_p=self.top_p, min_p=self.min_p)

    def weigh(self, loop: Loop, path: Path, task: Reader) -> Candidate:
        score = mean_logprob(path)
        weight = 1.0 if self.weight == "uniform" else math.exp(score)
        return Candidate(path, {"mean_logprob": score}, weight)
