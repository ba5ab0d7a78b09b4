"""What strategies of several chains share: make the jobs of all requests, run them as one batch, elect.

A strategy says which jobs a request needs, by which rule they are continued, and what each path
weighs; everything generated is counted, as if each strategy had run alone. The jobs are `shared`: strategies
that want the same chains of the same policy get them from one pool (`elicit/sampling/pool.py`). Beside its own
choice every strategy notes which chain the plain majority would have returned (scalar `majority`).
The one-chain rules are in `plain.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from elicit.policy.decoding import Candidate, Loop, Outcome, Path, PathJob, PickRule, Request, StrategyBase
from methods.decoding.votes import answer_class, elect

if TYPE_CHECKING:
    from elicit.tasks.task import Reader


@dataclass(frozen=True)
class ChainStrategy(StrategyBase, ABC):
    """Several chains a request, one of them returned."""

    pooled: ClassVar[bool] = True

    @abstractmethod
    def jobs(self, loop: Loop, request: Request) -> list[PathJob]:
        """The chains to generate for one request."""

    @abstractmethod
    def rule(self) -> PickRule:
        """How each chain is continued."""

    @abstractmethod
    def weigh(self, loop: Loop, path: Path, task: Reader) -> Candidate:
        """Scalars and the vote's weight of one path."""

    def choose(self, candidates: Sequence[Candidate], classes: Sequence[str | None], request: Request) -> int:
        """Index of the chain that becomes the completion."""
        return elect(classes, [candidate.weight for candidate in candidates], request.seed)

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        """Complete all requests in one call of the loop.

        Greedy chains do not depend on the seed, so those of one prompt are generated once, whatever the number of
        requests for it; the cost is still counted as if each request had run alone.
        """
        rule = self.rule()
        jobs = [[_prepared(job, rule) for job in self.jobs(loop, request)] for request in requests]
        distinct = list(dict.fromkeys(job for own in jobs for job in own))
        paths = dict(zip(distinct, loop.run(distinct, rule, task.stop), strict=True))
        return [
            self.outcome(loop, request, [paths[job] for job in own], task)
            for request, own in zip(requests, jobs, strict=True)
        ]

    def outcome(self, loop: Loop, request: Request, paths: Sequence[Path], task: Reader) -> Outcome:
        """Weigh the paths of one request and return one."""
        candidates = [self.weigh(loop, path, task) for path in paths]
        classes = [answer_class(path, task) for path in paths]
        majority = elect(classes, [1.0] * len(classes), request.seed)
        for index, candidate in enumerate(candidates):
            candidate.scalars["majority"] = float(index == majority)
        winner = self.choose(candidates, classes, request)
        tokens = sum(len(path.token_ids) for path in paths)
        return Outcome(paths[winner], chains=candidates, winner=winner, total_tokens=tokens)


def _prepared(job: PathJob, rule: PickRule) -> PathJob:
    """The job as others may share it: under a greedy rule without its random stream, which is never read."""
    return replace(job, seed=0, stream=0, shared=True) if rule.temperature == 0 else replace(job, shared=True)


def mean_logprob(path: Path) -> float:
    """Mean log-prob a token, raw softmax; 0 for an empty path."""
    return sum(path.logprobs) / max(len(path.logprobs), 1)
