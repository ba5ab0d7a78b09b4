"""Best-of-n without labels: sample n chains, return the one the model itself is surest of (arXiv 2502.18581).

    x = argmax_i score(x_i),   score = mean log-prob a token, or self-certainty (`sampled.scores`)

Only finished chains that state an answer stand for election. The *oracle* best-of-n, which asks the gold which
chain is right, is no strategy: it is pass@n = cov@n of the base at the same sampling settings, and stands in the
comparison under that name (README.md). Cost: n chains an answer, all counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elicit.errors import ConfigError, near
from elicit.policy.decoding import Candidate, Loop, Path, Request
from methods.decoding.sampled import SampledChains, scores

if TYPE_CHECKING:
    from elicit.tasks.task import Reader

SCORES = ("mean_logprob", "self_certainty")


@dataclass(frozen=True)
class BestOfN(SampledChains):
    """The surest of n samples."""

    by: str = "mean_logprob"
    """`mean_logprob` (favours short chains less than a sum would, but does) or `self_certainty`"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by not in SCORES:
            raise ConfigError(f"{self.name}.by={self.by!r}: {near(self.by, SCORES)}")

    def weigh(self, loop: Loop, path: Path, task: Reader) -> Candidate:
        found = scores(path)
        return Candidate(path, found, found[self.by])

    def choose(self, candidates: Sequence[Candidate], classes: Sequence[str | None], request: Request) -> int:
        """The chain of largest score among those with an answer, the first of equals; among all where none has one."""
        answered = [index for index, name in enumerate(classes) if name is not None] or range(len(candidates))
        return max(answered, key=lambda index: (candidates[index].weight, -index))
