"""What strategies with several chains share: generate all chains in one batch, vote, return one; or go on from a chain.

A strategy of this family states which jobs a request needs, by which rule they are continued, and the weight of each
path. Everything that is generated is counted, as if each strategy had run alone. The jobs are `shared`: strategies
that want the same chains of the same policy get them from one pool (`elicit/sampling/pool.py`). Every strategy also
marks the chain that the plain majority would have returned (scalar `majority`).

Votes (self-consistency, arXiv 2203.11171) are over answer classes: the task's canonical form of a chain's answer, so
"1,000", "1000" and "1000.0" are one vote. The answer is the declared one; if a finished chain declares none, the last
one that it mentions (`extraction=loose`, the default), because a base often writes "so she makes 18 dollars" and stops.
`extraction=strict` leaves such chains without a vote. A chain without an answer, or a truncated one, never votes. Of
the winning class a chain that declares the answer is returned, if there is one: the vote is about the class, and its
text should say so.

Rules of one chain are in `plain.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from elicit.errors import ConfigError, near
from elicit.files import content_hash, seed_of
from elicit.policy.decoding import Candidate, Loop, Outcome, Path, PathJob, PickRule, Request, StrategyBase
from elicit.records import FINISHED, Finish
from elicit.tasks.task import StopRules

if TYPE_CHECKING:
    from elicit.tasks.task import Reader


EXTRACTIONS = ("loose", "strict")


@dataclass(frozen=True)
class Voter(StrategyBase):
    """A strategy whose choice may depend on the answers of its chains.

    Its identity: strategies read strictly before there was the field `extraction`. So a strict one, and one whose
    samples do not depend on the reading, has the id under which its samples were stored then; a loose one has another.
    """

    extraction: str = field(default="loose", kw_only=True)
    """`loose`: the declared answer of a finished chain, else the last one that it mentions; `strict`: declared only"""

    def __post_init__(self) -> None:
        if self.extraction not in EXTRACTIONS:
            raise ConfigError(f"{self.name}.extraction={self.extraction!r}: {near(self.extraction, EXTRACTIONS)}")

    @property
    def reads_answers(self) -> bool:
        """Whether the completion depends on the answers of the chains."""
        return True

    @property
    def id(self) -> str:
        spec = self.spec()
        if self.extraction == "strict" or not self.reads_answers:
            del spec["extraction"]
        return content_hash({"kind": self.kind, **spec})

    @classmethod
    def saved_fields(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """A saved strategy without the field read strictly."""
        return {"extraction": "strict", **fields}


@dataclass(frozen=True)
class ChainStrategy(Voter, ABC):
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
        weights = [candidate.weight for candidate in candidates]
        return elect(classes, weights, request.seed, declared(candidates))

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
        votes = [vote_of(path, task, self.extraction) for path in paths]
        for candidate, vote in zip(candidates, votes, strict=True):
            candidate.scalars["declared"] = float(vote.declared)
        classes = [vote.answer_class for vote in votes]
        majority = elect(classes, [1.0] * len(classes), request.seed, declared(candidates))
        for index, candidate in enumerate(candidates):
            candidate.scalars["majority"] = float(index == majority)
        winner = self.choose(candidates, classes, request)
        tokens = sum(len(path.token_ids) for path in paths)
        return Outcome(paths[winner], chains=candidates, winner=winner, total_tokens=tokens)


class Vote(NamedTuple):
    """What a path votes for."""

    answer_class: str | None
    """None: the path has no answer, or did not finish"""
    declared: bool
    """whether it declares the answer"""


def vote_of(path: Path, task: Reader, extraction: str = "loose") -> Vote:
    """The vote of one path by a reading of `EXTRACTIONS`."""
    finished = path.finish in FINISHED
    answer = task.extract(path.text, finished)
    if answer.strict is not None:
        return Vote(task.answer_class(answer.strict), True)
    if extraction == "strict" or not finished or answer.lenient is None:
        return Vote(None, False)
    return Vote(task.answer_class(answer.lenient), False)


def declared(candidates: Sequence[Candidate]) -> list[bool]:
    """Whether each candidate declares its answer."""
    return [bool(candidate.scalars.get("declared")) for candidate in candidates]


def elect(classes: Sequence[str | None], weights: Sequence[float], seed: int, declared: Sequence[bool] = ()) -> int:
    """Index of the chain to return: the heaviest chain of the class with the largest summed weight, among those that
    declare the answer if there are any.

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
    members = [index for index in members if declared and declared[index]] or members
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
