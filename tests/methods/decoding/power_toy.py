"""A step loop over an enumerable model: next-token probabilities are a table, everything else is the protocol's."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache

import numpy as np

from elicit.files import seed_of
from elicit.policy.decoding import Path, PathJob, PickRule, Request, StepRule, Then
from elicit.tasks.task import Answer, StopRules
from tests.reference.power import Table, Text

MASK = 2**64 - 1


class TableLoop:
    """Token 0 ends. `jobs` holds everything that was asked for."""

    rows = 4096

    def __init__(self, probabilities: Table) -> None:
        self.probabilities, self.jobs = probabilities, []
        self.vocabulary = len(probabilities[()])
        self.step = cache(self._step)

    def run(
        self,
        jobs: Sequence[PathJob],
        rule: PickRule,
        stop: StopRules,
        step_rule: StepRule | None = None,
        then: Then | None = None,
    ) -> list[Path]:
        paths = []
        for place, first in enumerate(jobs):
            job: PathJob | None = first
            while job is not None:
                self.jobs.append(job)
                path = self._one(job, 1 / rule.temperature, stop.max_new_tokens)
                job = None if then is None else then(place, path)
            paths.append(path)
        return paths

    def _step(self, prefix: Text, power: float) -> tuple[list[float], list[float], float]:
        """(CDF of the proposal, log-probs, log z) behind a prefix."""
        row = self.probabilities[prefix]
        raised = row**power
        log_z = 0.0 if power == 1 else math.log(raised.sum())
        return np.cumsum(raised / raised.sum()).tolist(), np.log(row).tolist(), log_z

    def _one(self, job: PathJob, power: float, limit: int) -> Path:
        written: list[int] = []
        logprobs, log_z = [], []
        while len(written) < limit and 0 not in written:
            cdf, logs, normaliser = self.step(tuple(written), power)
            place = len(written)
            drawn = bisect_right(cdf, uniform(job.seed, job.stream, place))
            if place == len(job.forced) and job.first_rank is not None:
                drawn = sorted(range(len(logs)), key=lambda v: (-logs[v], v))[job.first_rank]
            token = job.forced[place] if place < len(job.forced) else min(drawn, len(cdf) - 1)
            written.append(token)
            logprobs.append(logs[token])
            log_z.append(normaliser)
        zeros = [0.0] * len(written)
        return Path(written, logprobs, zeros, zeros, log_z, "eos" if written[-1] == 0 else "length", str(written))


def uniform(seed: int, stream: int, step: int) -> float:
    """A number in [0, 1) of its own for every key (splitmix64, twice)."""
    key = (seed * 0x9E3779B97F4A7C15 + stream * 0xBF58476D1CE4E5B9 + step * 0x94D049BB133111EB) & MASK
    for _ in range(2):
        key = (key + 0x9E3779B97F4A7C15) & MASK
        key = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        key = ((key ^ (key >> 27)) * 0x94D049BB133111EB) & MASK
        key ^= key >> 31
    return (key >> 11) * 2.0**-53


class Texts:
    """A task whose answer is the whole completion."""

    name = "texts"

    def __init__(self, limit: int) -> None:
        self.stop = StopRules(strings=(), max_new_tokens=limit)

    def extract(self, text: str, finished: bool) -> Answer:
        return Answer(text if finished else None, text)

    def answer_class(self, answer: str) -> str:
        return answer


def requests(count: int, salt: str = "power") -> list[Request]:
    return [Request(f"i{place}", 0, seed_of(salt, place), (1,)) for place in range(count)]
