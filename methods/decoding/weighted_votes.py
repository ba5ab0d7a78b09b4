"""Weighted votes: self-consistency in which a chain votes with its own certainty (arXiv 2203.11171, 2502.18581).

    answer = argmax_c  sum_i w_i [class(answer(x_i)) = c]
    w_i    = exp(mean log-prob of a token)   in (0, 1],   or self-certainty (`sampled.scores`)

2502.18581 ranks the chains and votes with powers of the rank; here the certainty itself is the weight.
Cost: n chains an answer, all counted; no label is read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elicit.errors import ConfigError, near
from elicit.policy.decoding import Candidate, Loop, Path
from methods.decoding.sampled import SampledChains, scores

if TYPE_CHECKING:
    from elicit.tasks.task import Reader

WEIGHTS = ("mean_logprob", "self_certainty")


@dataclass(frozen=True)
class WeightedVotes(SampledChains):
    """Vote over n samples, each weighted by how sure the model was of it."""

    weight: str = "mean_logprob"
    """`mean_logprob`: exp of it, the geometric mean probability of a token; or `self_certainty`"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight not in WEIGHTS:
            raise ConfigError(f"{self.name}.weight={self.weight!r}: {near(self.weight, WEIGHTS)}")

    def weigh(self, loop: Loop, path: Path, task: Reader) -> Candidate:
        found = scores(path)
        weight = math.exp(found["mean_logprob"]) if self.weight == "mean_logprob" else found["self_certainty"]
        return Candidate(path, found, weight)
