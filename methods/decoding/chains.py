"""What strategies with several chains share: generate all chains in one batch, vote, return one; or go on from a chain.

A strategy of this family states which jobs a request needs, by which rule they are continued, and the weight of each
path. Everything that is generated is counted, as if each strategy had run alone. The jobs are `shared`: strategies
that want the same chains of the same policy get them from one pool (`elicit/sampling/pool.py`). Every strategy also
marks the chain that the plain majority would have returned (scalar `majority`).

Votes (self-consistency, arXiv 2203.11171) are over answer classes: the task's canonical form of the strictly extracted
answer, so "1,000", "1000" and "1000.0" are one vote. A chain without an answer, or a truncated one, never votes.

Rules of one chain are in `plain.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from elicit.files import seed_of
from elicit.policy.decoding import Candidate, Loop, Outcome, Path, PathJob, PickRule, Request, StrategyBase
from elicit.records import FINISHED, Finish
from elicit.tasks.task import StopRules

if TYPE_CHECKING:
    from elicit.tasks.task import Reader


@dataclass(frozen=True)
class ChainStrategy(StrategyBase, ABC):
    """Several chains per request, one of them returned."""

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
        requests for it. The cost is still counted as if each request had run alone.
        """
        # 1) the jobs of all requests; a greedy rule never reads the random stream, so such jobs are made equal
        rule = self.rule()

        def shared(job: PathJob) -> PathJob:
            return replace(job, seed=0, stream=0, shared=True) if rule.temperature == 0 else replace(job, shared=True)

        jobs = [[shared(job) for job in self.jobs(loop, request)] for request in requests]
        # 2) each distinct job once, in one batch
        distinct = list(dict.fromkeys(job for of_request in jobs for job in of_request))
        paths = dict(zip(distinct, loop.run(distinct, rule, task.stop), strict=True))
        # 3) every request elects among its own paths
        return [
            self.outcome(loop, request, [paths[job] for job in of_request], task)
            for request, of_request in zip(requests, jobs, strict=True)
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


def answer_class(path: Path, task: Reader) -> str | None:
    """The class of the answer that `path` states; None if it states none or did not finish."""
    answer = task.extract(path.text, path.finish in FINISHED).strict
    return None if answer is None else task.answer_class(answer)


def elect(classes: Sequence[str | None], weights: Sequence[float], seed: int) -> int:
    """Index of the chain to return: the heaviest chain of the class with the largest summed weight.

    Ties between classes are broken uniformly by the request's own stream, ties within the class by the lowest index.
    If no chain votes, the first chain is returned (it has no answer either).
    """
    sums: dict[str, float] = {}
    for name, weight in zip(classes, weights, strict=True):
        if name is not None:
            sums[name] = sums.get(name, 0.0) + weight
    if not sums:
        return 0
    best = max(sums.values())
    leaders = [name for name, weight in sums.items() if weight == best]
    winner = leaders[int(own_rng(seed, "tie").integers(len(leaders)))] if len(leaders) > 1 else leaders[0]
    members = [index for index, name in enumerate(classes) if name == winner]
    return max(members, key=lambda index: (weights[index], -index))


def own_rng(seed: int, purpose: str) -> np.random.Generator:
    """A generator of the request's own, independent of the stream that picks its tokens."""
    return np.random.Generator(np.random.Philox(seed_of(seed, purpose)))


def mean_logprob(path: Path) -> float:
    """Mean log-prob per token, raw softmax; 0 for an empty path."""
    return sum(path.logprobs) / max(len(path.logprobs), 1)


def own_tokens(loop: Loop, path: Path, stop: StopRules) -> tuple[int, ...]:
    """The ids of a path without its ending, for a strategy that goes on from it.

    Nothing is decoded and encoded again: the model's own token ids are kept, so text surgery can't change the
    tokenisation. An EOS is dropped, and so are the tokens of a stop string. A token that holds the last characters
    before the stop string and only the beginning of it (".\\n" before "\\nQuestion:") is kept; one that holds all of
    it is dropped.
    """
    if path.finish == Finish.LENGTH:
        return tuple(path.token_ids)
    length, spans = len(path.text), loop.offsets(path.token_ids)
    kept = [token for token, (start, _) in zip(path.token_ids, spans, strict=True) if start < length]
    while kept and any(string in loop.decode(kept) for string in stop.strings):
        kept.pop()
    return tuple(kept)
