"""Power sampling by particles (arXiv 2602.10273): N weighted completions whose law is p^alpha, in one pass.

    x^i ~ q step by step,  W^i <- W^i * w_t(x^i)             (head of power.py; w_t = z(prefix) where q = p^alpha / z)
    every `block` tokens, where ESS = (sum W)^2 / sum W^2 < threshold * N:
             Zhat <- Zhat * mean(W);  resample systematically;  W <- 1
    at the end:  Zhat <- Zhat * mean(W);   the completion is one particle, drawn by W

Zhat is an unbiased estimate of Z = sum_x p(x)^alpha at any N, `block` and `threshold` (log Zhat is not); the law of the
completion is p^alpha as N grows. A particle that has ended stays with w = 1. Checking the weights every few tokens
instead of after each one does not change the law, only how late a bad particle is dropped.

Limits: with N particles a completion can be returned that q proposes about once in N; rarer modes are missed in most
runs, together with their mass. README.md has the arithmetic for the organism. p^alpha favours short completions: look
at the lengths, set `min_length`.

Cost: N completions, those of dropped particles counted up to the drop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from elicit.errors import ConfigError, near
from elicit.files import seed_of
from elicit.policy.decoding import Candidate, Loop, Outcome, Path, Request
from elicit.records import Finish
from elicit.sampling.loop.uniforms import uniforms
from methods.decoding.chains import Voter, declared, elect, vote_of
from methods.decoding.power import PowerLaw, computed_again, go_on, portions

if TYPE_CHECKING:
    from elicit.tasks.task import Reader

PICKS = ("draw", "vote")


@dataclass(frozen=True)
class PowerSMC(PowerLaw, Voter):
    """N particles per completion.

    `Outcome.chains`: the particles at the end. Weight: the normalised W. Scalars: `log_weight` (log W since the last
    resampling), `length`, `mean_logprob`, and of the whole cloud `log_evidence` (log Zhat), `ess`, `resamplings`.
    """

    n: int = 32
    """particles per answer"""
    threshold: float = 0.5
    """resample if ESS < threshold * n; 0: never (importance sampling), 1: whenever weights differ"""
    block: int = 8
    """tokens between two checks of the weights"""
    pick: str = "draw"
    """`draw`: one particle by weight, the law; `vote`: the heaviest answer class"""

    def __post_init__(self) -> None:
        super().__post_init__()
        Voter.__post_init__(self)
        if self.n < 1 or self.block < 1:
            raise ConfigError(f"{self.name}: n={self.n}, block={self.block}: at least 1 each")
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"{self.name}.threshold={self.threshold}: a share of n, in [0, 1]")
        if self.pick not in PICKS:
            raise ConfigError(f"{self.name}.pick={self.pick!r}: {near(self.pick, PICKS)}")

    @property
    def reads_answers(self) -> bool:
        """Only for a vote: a draw has the law."""
        return self.pick == "vote"

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        """Complete all requests."""
        horizon = self.horizon_of(task)
        ends = [*range(self.block, horizon, self.block), horizon]
        outcomes = []
        for part in portions(requests, self.n, loop):
            clouds = [Cloud(self, request, len(ends)) for request in part]
            for place, end in enumerate(ends):
                # 1) propose: the living particles of all clouds write up to the next check, in one run of the loop
                stop = replace(task.stop, max_new_tokens=end)
                living = [(cloud, index) for cloud in clouds for index in cloud.living]
                jobs = [go_on(cloud.request, cloud.paths[index], cloud.length(index), index) for cloud, index in living]
                # 2) weigh the new tokens
                for (cloud, index), job, path in zip(living, jobs, loop.run(jobs, self.rule(), stop), strict=True):
                    cloud.grow(index, path, computed_again(job, cloud.paths[index]))
                # 3) resample, except at the end
                for cloud in clouds if end < horizon else ():
                    cloud.resample(place)
            # 4) one particle of each cloud, by weight
            outcomes += [cloud.outcome(task) for cloud in clouds]
        return outcomes

    def choose(self, candidates: Sequence[Candidate], classes: Sequence[str | None], request: Request) -> int:
        """Index of the particle that is returned."""
        weights = [candidate.weight for candidate in candidates]
        if self.pick == "vote":
            return elect(classes, weights, request.seed, declared(candidates))
        uniform = uniforms(seed_of(request.seed, "power smc draw"), 0, 0, 1)[0]
        return int(systematic(np.array(weights), uniform, 1)[0])


def systematic(weights_N: np.ndarray, uniform: float, count: int) -> np.ndarray:
    """Int64 [count]: the particles under a comb of `count` equal teeth with one random offset.

    Each particle is taken floor or ceiling of count * weight times, and count * weight times on average.
    """
    cdf = np.cumsum(weights_N / weights_N.sum())
    teeth = (np.arange(count) + uniform) / count
    return np.searchsorted(cdf, np.minimum(teeth, np.nextafter(cdf[-1], 0)), side="right")


class Cloud:
    """The particles of one request."""

    def __init__(self, settings: PowerSMC, request: Request, looks: int) -> None:
        self.settings, self.request = settings, request
        self.offsets = uniforms(seed_of(request.seed, "power smc"), 0, 0, looks)
        self.paths: list[Path | None] = [None] * settings.n
        self.log_w = np.zeros(settings.n)
        """log W since the last resampling"""
        self.log_evidence = 0.0
        """log of the product of the means at all resamplings"""
        self.resamplings = self.tokens = self.again = 0

    @property
    def living(self) -> list[int]:
        """Particles that have neither ended nor lost all weight."""
        return [
            index
            for index, path in enumerate(self.paths)
            if (path is None or path.finish == Finish.LENGTH) and self.log_w[index] > -np.inf
        ]

    def length(self, index: int) -> int:
        path = self.paths[index]
        return 0 if path is None else len(path.token_ids)

    def grow(self, index: int, path: Path, again: int) -> None:
        """Take in a particle that has written further, and weigh its new tokens."""
        begun = self.length(index)
        self.tokens += len(path.token_ids) - begun
        self.again += again
        self.paths[index] = path
        short = self.settings.too_short(path)
        self.log_w[index] += -np.inf if short else self.settings.log_weights(path)[begun:].sum()

    def weights(self) -> np.ndarray:
        """Float64 [N], normalised; equal if no particle has any weight."""
        if self.log_w.max() == -np.inf:
            return np.full(len(self.log_w), 1 / len(self.log_w))
        weights = np.exp(self.log_w - self.log_w.max())
        return weights / weights.sum()

    @property
    def ess(self) -> float:
        """Effective number of particles, 1..N."""
        return float(1 / (self.weights() ** 2).sum())

    def log_mean(self) -> float:
        """log of the mean of W."""
        peak = self.log_w.max()
        return float(peak if peak == -np.inf else peak + np.log(np.exp(self.log_w - peak).mean()))

    def resample(self, place: int) -> None:
        """Multiply heavy particles and drop light ones if the weights have become too unequal."""
        if not self.living or self.ess >= self.settings.threshold * len(self.log_w):
            return
        self.log_evidence += self.log_mean()
        taken = systematic(self.weights(), self.offsets[place], len(self.paths))
        self.paths = [self.paths[index] for index in taken]
        self.log_w = np.zeros(len(self.paths))
        self.resamplings += 1

    def outcome(self, task: Reader) -> Outcome:
        shared = {
            "log_evidence": self.log_evidence + self.log_mean(),
            "ess": self.ess,
            "resamplings": float(self.resamplings),
        }
        candidates = []
        for path, log_w, weight in zip(self.paths, self.log_w, self.weights(), strict=True):
            assert path is not None
            length = float(len(path.token_ids))
            own = {"log_weight": float(log_w), "length": length, "mean_logprob": float(np.mean(path.logprobs))}
            candidates.append(Candidate(self.settings.returned(path), own | shared, float(weight)))
        classes: list[str | None] = [None] * len(candidates)
        if self.settings.reads_answers:
            votes = [vote_of(candidate.path, task, self.settings.extraction) for candidate in candidates]
            for candidate, vote in zip(candidates, votes, strict=True):
                candidate.scalars["declared"] = float(vote.declared)
            classes = [vote.answer_class for vote in votes]
        winner = self.settings.choose(candidates, classes, self.request)
        return Outcome(candidates[winner].path, candidates, winner, self.tokens, self.again)
