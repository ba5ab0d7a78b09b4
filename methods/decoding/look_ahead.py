"""Look-ahead scaling (arXiv 2601.21590): p^alpha token by token, each candidate weighted by sampled futures.

    p^alpha's own next token     pi(v | prefix) = p(v | prefix)^alpha zeta(v) / sum_u p(u | prefix)^alpha zeta(u)
    what can follow it           zeta(v) = sum over futures y of p(y | prefix, v)^alpha
                                         = E_{y ~ q} [ prod_t w_t(y) ]                    (q, w_t: head of power.py)
    estimate                     zhat(v) = mean of M sampled futures; candidates: the K most probable tokens
    jackknife                    M pihat - (M - 1) / M sum_s pihat_{-s},  negative values to 0, normalised

pihat_{-s} leaves out the s-th future of every candidate. A ratio of means is biased by O(1 / M); the jackknife takes
that term away. Without look-ahead (zeta = 1) the rule is plain temperature 1 / alpha, which is the rival. As K reaches
the vocabulary and M grows the completion has the law p^alpha, which is the target of MH and SMC too (power_mh.py,
power_smc.py). `block` > 1: a decision is about a block of tokens. Its candidates are the K most probable of `pool`
blocks drawn by q, each once, with the same weights: fewer decisions, and candidates that a draw can miss.
Left out: budgets K and M that depend on the step.
Cost: for each decision K candidates and K x M futures, all counted; about half of H times K M tokens per token written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from elicit.errors import ConfigError, checked
from elicit.files import seed_of
from elicit.policy.decoding import DecodingStrategy, Loop, Outcome, Path, PathJob, Request
from elicit.records import Finish
from elicit.sampling.loop.uniforms import uniforms
from methods.decoding.plain import Temperature
from methods.decoding.power import PowerLaw, computed_again, go_on, portions

if TYPE_CHECKING:
    from elicit.tasks.task import Reader


@dataclass(frozen=True)
class LookAhead(PowerLaw):
    """Every decision weighs its candidates by how probable their futures are."""

    proposal: float | None = 1.0
    """beta of the futures and of drawn blocks; 1: plain samples, as published; None: alpha"""
    k: int = 8
    """candidates per decision"""
    m: int = 8
    """futures per candidate"""
    look_ahead: int | None = None
    """tokens of a future, at most; None: up to the horizon"""
    jackknife: bool = True
    """take the bias of order 1 / m away; needs m >= 2"""
    block: int = 1
    """tokens per decision; 1: the candidates are the k most probable tokens"""
    pool: int = 32
    """blocks that are drawn for k candidates; not used with block=1"""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least = {"k": 1, "m": 1, "look_ahead": 0, "block": 1, "pool": 1}
        checked(self, at_least=at_least, label=self.name)
        if self.jackknife and self.m < 2:
            raise ConfigError(f"{self.name}.m={self.m}: a jackknife leaves one future out; m=2 or jackknife=false")

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        """Complete all requests; those of a portion decide together."""
        horizon, out = self.horizon_of(task), []
        per_request = max(self.k * self.m, self.pool if self.block > 1 else self.k)
        for part in portions(requests, per_request, loop):
            texts = [Text(self, request) for request in part]
            for end in [*range(self.block, horizon, self.block), horizon]:
                growing = [text for text in texts if text.unfinished]
                # 1) candidates for the next tokens, all texts in one run of the loop
                jobs = [text.candidate_jobs(loop.vocabulary) for text in growing]
                for text, paths in zip(growing, self.paths(loop, jobs, task, end), strict=True):
                    text.propose(paths)
                # 2) futures of the candidates that could go on
                reach = horizon if self.look_ahead is None else min(horizon, end + self.look_ahead)
                jobs = [text.future_jobs() if end < reach else [] for text in growing]
                # 3) decide
                for text, paths in zip(growing, self.paths(loop, jobs, task, reach), strict=True):
                    text.decide(paths)
            out += [text.outcome() for text in texts]
        return out

    def paths(self, loop: Loop, jobs: Sequence[list[PathJob]], task: Reader, limit: int) -> Iterator[list[Path]]:
        """The paths of the jobs of each text, all drawn in one run of the loop."""
        flat = [job for of_text in jobs for job in of_text]
        paths = iter(loop.run(flat, self.rule(), replace(task.stop, max_new_tokens=limit)) if flat else [])
        yield from ([next(paths) for _ in of_text] for of_text in jobs)

    def paired(self, futures_K_M: np.ndarray, request: Request, step: int) -> np.ndarray:
        """The log-weights of the futures in the order in which the candidates get them."""
        return futures_K_M

    def twins(self) -> dict[str, DecodingStrategy]:
        """The same futures, exchanged among the candidates: same cost, nothing is known about any candidate."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {} if isinstance(self, ShuffledLookAhead) else {"shuffled_futures": ShuffledLookAhead(**values)}

    def peers(self) -> dict[str, DecodingStrategy]:
        """The rule without look-ahead: plain temperature 1 / alpha."""
        return {"without_look_ahead": Temperature(1 / self.alpha)}


@dataclass(frozen=True)
class ShuffledLookAhead(LookAhead):
    """The placebo of `LookAhead`: every decision uses futures that belong to other candidates."""

    def paired(self, futures_K_M: np.ndarray, request: Request, step: int) -> np.ndarray:
        order = np.argsort(uniforms(seed_of(request.seed, "shuffled futures"), step, 0, len(futures_K_M)))
        return futures_K_M[order]


def scaled(base_K: np.ndarray, futures_K_M: np.ndarray, jackknife: bool) -> np.ndarray:
    """Float64 [K]: the share of each candidate. `base_K`: its alpha log p; `futures_K_M`: log-weights of its futures.

    If no candidate has any weight, all shares are equal.
    """
    peak = (base_K[:, None] + futures_K_M).max()
    if peak == -np.inf:
        return np.full(len(base_K), 1 / len(base_K))
    masses_K_M = np.exp(base_K[:, None] + futures_K_M - peak)
    sums_K, count = masses_K_M.sum(1), masses_K_M.shape[1]
    shares_K = sums_K / sums_K.sum()
    if not jackknife:
        return shares_K
    left_K_M = np.maximum(sums_K[:, None] - masses_K_M, 0.0)
    totals_M = left_K_M.sum(0)
    left_K_M = np.where(totals_M > 0, left_K_M / np.where(totals_M > 0, totals_M, 1.0), shares_K[:, None])
    corrected_K = np.maximum(count * shares_K - (count - 1) / count * left_K_M.sum(1), 0.0)
    return corrected_K / corrected_K.sum()


class Text:
    """The text of one request while it is written."""

    def __init__(self, settings: LookAhead, request: Request) -> None:
        self.settings, self.request = settings, request
        self.path: Path | None = None
        self.candidates: list[Path] = []
        self.step = self.stream = self.tokens = self.again = 0

    @property
    def unfinished(self) -> bool:
        return self.path is None or self.path.finish == Finish.LENGTH

    @property
    def length(self) -> int:
        return 0 if self.path is None else len(self.path.token_ids)

    def _job(self, path: Path | None, first: bool) -> PathJob:
        """A job that goes on from the end of a path, in a stream of its own. A prefix is computed once for its jobs."""
        self.stream += 1
        job = go_on(self.request, path, 0 if path is None else len(path.token_ids), self.stream)
        self.again += computed_again(job, path) if first else 0
        return job

    def candidate_jobs(self, vocabulary: int) -> list[PathJob]:
        """The k most probable tokens by rank, or drawn blocks."""
        by_rank = self.settings.block == 1
        count = min(self.settings.k, vocabulary) if by_rank else self.settings.pool
        jobs = [self._job(self.path, rank == 0) for rank in range(count)]
        return [replace(job, first_rank=rank) for rank, job in enumerate(jobs)] if by_rank else jobs

    def propose(self, paths: Sequence[Path]) -> None:
        """The candidates: the k most probable of the different paths, in the order of their probability."""
        self.tokens += sum(len(path.token_ids) - self.length for path in paths)
        distinct = {tuple(path.token_ids): path for path in paths}
        ranked = sorted(distinct.values(), key=lambda path: -sum(path.logprobs))
        self.candidates = ranked[: self.settings.k]

    @property
    def going_on(self) -> list[int]:
        """Places of the candidates that have not ended."""
        return [place for place, path in enumerate(self.candidates) if path.finish == Finish.LENGTH]

    def future_jobs(self) -> list[PathJob]:
        """m futures of each candidate that has not ended."""
        numbers, open_paths = range(self.settings.m), [self.candidates[place] for place in self.going_on]
        return [replace(self._job(path, number == 0), keep=False) for path in open_paths for number in numbers]

    def decide(self, futures: Sequence[Path]) -> None:
        """Weigh the candidates and take one. `futures`: in the order of `future_jobs`, or none."""
        settings = self.settings
        # 1) alpha log p of each candidate's new tokens; one below the minimum length has no mass
        base_K = np.array([settings.alpha * sum(path.logprobs[self.length :]) for path in self.candidates])
        base_K[[settings.too_short(path) for path in self.candidates]] = -np.inf
        # 2) log-weights of the futures; a candidate that has ended has none to come, with certainty
        weights_K_M = np.zeros((len(self.candidates), settings.m))
        for index, future in enumerate(futures):
            place, number = self.going_on[index // settings.m], index % settings.m
            written = len(self.candidates[place].token_ids)
            self.tokens += len(future.token_ids) - written
            weight = -np.inf if settings.too_short(future) else settings.log_weights(future)[written:].sum()
            weights_K_M[place, number] = weight
        # 3) take one by its share
        weights_K_M = settings.paired(weights_K_M, self.request, self.step)
        cdf_K = np.cumsum(scaled(base_K, weights_K_M, settings.jackknife))
        uniform = uniforms(seed_of(self.request.seed, "look ahead"), 0, self.step, 1)[0]
        place = int(np.searchsorted(cdf_K, min(uniform * cdf_K[-1], np.nextafter(cdf_K[-1], 0)), side="right"))
        self.path, self.step = self.candidates[place], self.step + 1

    def outcome(self) -> Outcome:
        """The text; the candidates that were not taken are no completions, so there are no chains."""
        assert self.path is not None
        return Outcome(self.settings.returned(self.path), total_tokens=self.tokens, aux_forward_tokens=self.again)
