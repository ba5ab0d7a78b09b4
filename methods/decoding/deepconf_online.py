"""DeepConf (arXiv 2508.15260), online: cut a chain when its confidence is low, stop when the chains agree.

    s        = the (1 - eta) quantile of C(x) over `warmup` complete chains,   C = lowest window (`deepconf.py`)
    then waves of chains, each cut at its first full window with mean C_t < s
    stop     when the heaviest class has `consensus` of the weight of the kept chains, or after n chains
    answer   = argmax_c sum_kept C(x_i) [class(answer(x_i)) = c];   kept: C(x) >= s, warm-up chains too

A cut chain is a prefix of a chain that would not have been kept, so the vote is the offline vote over the kept ones of
the same chains. A chain shorter than the window is never cut, but it is kept only if its mean is not below s. Chains
are drawn in waves of a fixed size, and agreement is checked between waves: which chains are drawn depends on the item
alone, not on which row of a batch ends first. The cut needs no synchronisation per token
(`elicit/sampling/loop/rules.py`). Published: budget 512, windows of 2,048.
Cost: all tokens of all chains, the cut ones up to their cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from elicit.errors import ConfigError
from elicit.policy.decoding import Candidate, Loop, Outcome, Path, PathJob, PickRule, Request, chain_seed
from elicit.sampling import confidence
from elicit.sampling.loop.rules import ConfidenceCut
from methods.decoding.chains import ChainStrategy, vote_of
from methods.decoding.deepconf import check_filter, elect_kept
from methods.decoding.sampled import scores

if TYPE_CHECKING:
    from elicit.tasks.task import Reader


@dataclass(frozen=True)
class DeepConfOnline(ChainStrategy):
    """Cut chains of low confidence while they are written; stop at consensus."""

    adaptive: ClassVar[bool] = True

    n: int = 32
    """most chains per answer, the warm-up included"""
    warmup: int = 16
    """complete chains that the threshold is computed from"""
    wave: int = 4
    """chains between two checks of the consensus"""
    eta: float = 0.1
    """share of the warm-up chains that passes the threshold, in (0, 1]"""
    window: int = 32
    """tokens"""
    consensus: float = 0.95
    """share of the kept weight in one class at which no more chains are drawn, in (0, 1]"""
    temperature: float = 1.0
    top_p: float = 1.0
    min_p: float = 0.0

    @property
    def name(self) -> str:
        return "deepconf_online"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_filter(self.name, self.eta, self.window)
        if not 1 <= self.warmup <= self.n:
            raise ConfigError(f"{self.name}.warmup={self.warmup}, n={self.n}: need 1 <= warmup <= n")
        if self.wave < 1:
            raise ConfigError(f"{self.name}.wave={self.wave}: at least one chain")
        if not 0 < self.consensus <= 1:
            raise ConfigError(f"{self.name}.consensus={self.consensus}: a share in (0, 1]")
        if self.temperature == 0:
            raise ConfigError(f"{self.name}.temperature=0: copies of one chain; use method/strategy=greedy")
        self.rule()

    def rule(self) -> PickRule:
        return PickRule(temperature=self.temperature, top_p=self.top_p, min_p=self.min_p)

    def jobs(self, loop: Loop, request: Request) -> list[PathJob]:
        indices = range(request.j * self.n, (request.j + 1) * self.n)
        return [PathJob(request.prompt_ids, chain_seed(request, index), shared=True) for index in indices]

    def weigh(self, loop: Loop, path: Path, task: Reader) -> Candidate:
        value = confidence.lowest(path.confidences, self.window)
        return Candidate(path, {**scores(path), "confidence": value}, value)

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        """Complete all requests; those that go on draw their waves together."""
        polls = [Poll(request, self.jobs(loop, request), self.extraction) for request in requests]
        # 1) warm-up: complete chains of all requests in one run, and from them each request's threshold
        drawn = loop.run([job for poll in polls for job in poll.jobs[: self.warmup]], self.rule(), task.stop)
        for place, poll in enumerate(polls):
            warmup = drawn[place * self.warmup :][: self.warmup]
            poll.add(warmup, task)
            poll.threshold = self.threshold(warmup)
        # 2) waves: the next chains of every request without consensus, cut below its threshold
        while going := [poll for poll in polls if len(poll.paths) < self.n and self.share(poll) < self.consensus]:
            jobs = [(poll, job) for poll in going for job in poll.jobs[len(poll.paths) :][: self.wave]]
            rule = ConfidenceCut(tuple(poll.threshold for poll, _ in jobs), self.window)
            drawn = loop.run([job for _, job in jobs], self.rule(), task.stop, rule)
            for (poll, _), path in zip(jobs, drawn, strict=True):
                poll.add([path], task)
        # 3) the vote of the kept chains
        return [self.outcome(loop, poll.request, poll.paths, task) for poll in polls]

    def threshold(self, warmup: Sequence[Path]) -> float:
        """s in the head of this module."""
        return float(np.quantile([confidence.lowest(path.confidences, self.window) for path in warmup], 1 - self.eta))

    def kept(self, path: Path, threshold: float) -> bool:
        """Whether a chain passes the threshold; a cut one never does."""
        return confidence.lowest(path.confidences, self.window) >= threshold

    def share(self, poll: Poll) -> float:
        """Share of the heaviest class in the weight of the kept chains with an answer; 0 without any."""
        sums: dict[str, float] = {}
        for path, name in zip(poll.paths, poll.classes, strict=True):
            if name is not None and self.kept(path, poll.threshold):
                sums[name] = sums.get(name, 0.0) + confidence.lowest(path.confidences, self.window)
        return max(sums.values()) / sum(sums.values()) if sums else 0.0

    def choose(self, candidates: Sequence[Candidate], classes: Sequence[str | None], request: Request) -> int:
        paths = [candidate.path for candidate in candidates]
        threshold = self.threshold(paths[: self.warmup])
        return elect_kept(candidates, classes, [self.kept(path, threshold) for path in paths], request)


@dataclass
class Poll:
    """The chains of one request so far."""

    request: Request
    jobs: list[PathJob]
    extraction: str
    paths: list[Path] = field(default_factory=list)
    classes: list[str | None] = field(default_factory=list)
    threshold: float = -np.inf

    def add(self, paths: Sequence[Path], task: Reader) -> None:
        """Take in the chains that were drawn next."""
        self.paths += paths
        self.classes += [vote_of(path, task, self.extraction).answer_class for path in paths]
