"""The common part of the two power samplers: the law, its one-step weights, going on from a part of a path.

    law        pi(x) = p(x)^alpha / Z    over completions x of at most H tokens; an ending (EOS, a stop string) is
               absorbing, so a shorter completion is the same as itself padded to H with certain tokens
    proposal   q(v | prefix) = p(v | prefix)^beta / z_beta(prefix),   z_beta = sum_v p(v | prefix)^beta
    weight     w_t = p^alpha / q = p(x_t | x_<t)^(alpha - beta) * z_beta(x_<t);   with beta = alpha just z(x_<t)

`log w_t` is computed from the step loop's scalars, so no distribution is kept. Every token has q > 0: there is no
top-k, top-p or min-p here, because a proposal that zeroes tokens samples another law. Knows no items, no grades, and
not how the weights are used (power_mh.py, power_smc.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from elicit.errors import ConfigError
from elicit.policy.decoding import Candidate, Loop, Path, PathJob, PickRule, Request, StrategyBase
from elicit.records import Finish

if TYPE_CHECKING:
    from elicit.tasks.task import Reader

PORTION = 2
"""rows of a portion of requests, in units of the rows that the loop carries at once"""


@dataclass(frozen=True)
class PowerLaw(StrategyBase):
    """The settings of the law p^alpha and of its proposals."""

    alpha: float = 4.0
    """the power; 1 is plain sampling, below 1 flattens"""
    proposal: float | None = None
    """beta: proposals are drawn at temperature 1 / beta. None: alpha, for which a step's weight does not depend on the
    token that is drawn. 1: plain samples, reweighted, which have rare openers as often as the base writes them"""
    horizon: int | None = None
    """H, tokens; None: the limit of the evaluation (eval.max_new_tokens, or the task's). Fixed: it does not depend
    on the state of a chain"""
    min_length: int = 0
    """tokens, the ending included; shorter completions get no mass (p^alpha favours short ones); 0: no minimum"""

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("proposal", self.beta)):
            if not 0 < value < math.inf:
                raise ConfigError(f"{self.name}.{name}={value}: a finite power above 0")
        if self.min_length < 0:
            raise ConfigError(f"{self.name}.min_length={self.min_length}: 0 (none) or more tokens")
        if self.horizon is not None:
            self._check(self.horizon)

    def _check(self, horizon: int) -> None:
        if horizon < 1 or horizon < self.min_length:
            raise ConfigError(
                f"{self.name}.horizon={horizon}: at least 1 token and at least min_length={self.min_length}; raise the "
                "horizon or lower min_length"
            )

    @property
    def beta(self) -> float:
        """Power of the proposals."""
        return self.alpha if self.proposal is None else self.proposal

    def rule(self) -> PickRule:
        """How the loop picks: q in the head of this module."""
        return PickRule(temperature=1 / self.beta, alpha=self.beta)

    def horizon_of(self, task: Reader) -> int:
        """H for a task. Raises ConfigError if the evaluation's limit is shorter than the strategy's horizon."""
        limit = task.stop.max_new_tokens
        if self.horizon is not None and self.horizon > limit:
            raise ConfigError(
                f"{self.name}.horizon={self.horizon} is above the limit of {limit} tokens: raise eval.max_new_tokens, "
                "or lower the horizon"
            )
        horizon = limit if self.horizon is None else self.horizon
        self._check(horizon)
        return horizon

    def log_weights(self, path: Path) -> np.ndarray:
        """Float64 [T]: log w_t of each token."""
        return np.asarray(path.log_z) + (self.alpha - self.beta) * np.asarray(path.logprobs)

    def too_short(self, path: Path) -> bool:
        """Whether a path has ended before the minimum length."""
        return path.finish != Finish.LENGTH and len(path.token_ids) < self.min_length

    def returned(self, path: Path) -> Path:
        """A path as an outcome holds it: without keys and values; marked as cut if it has no mass under the law (no
        completion was long enough), so that it states no answer."""
        return replace(path, kept=None, finish=Finish.CUT if self.too_short(path) else path.finish)


def go_on(request: Request, path: Path | None, cut: int, stream: int) -> PathJob:
    """The job that keeps the first `cut` tokens of a path (None: no path yet) and draws the rest from a new stream."""
    if path is None:
        return PathJob(request.prompt_ids, request.seed, stream, keep=True)
    forced = tuple(path.token_ids[:cut])
    return PathJob(request.prompt_ids, request.seed, stream, forced=forced, keep=True, kept=path.kept)


def computed_again(job: PathJob, path: Path | None) -> int:
    """Auxiliary forward tokens of `go_on`: the whole prefix; with kept keys and values only the last forced token,
    unless it is the last of `path`, which was never computed.

    Counted as if the request had run alone; copies that a full machine could not hold are not counted.
    """
    if path is None:
        return 0
    if job.kept is None:
        return len(job.prompt_ids) + len(job.forced)
    return int(len(job.forced) < len(path.token_ids))


def portions(requests: Sequence[Request], paths: int, loop: Loop) -> Iterator[Sequence[Request]]:
    """The requests, of `paths` paths each, in portions that keep the loop full and the kept states few."""
    size = max(1, PORTION * loop.rows // paths)
    for first in range(0, len(requests), size):
        yield requests[first : first + size]


def acceptance(candidates: Sequence[Candidate], by: str, edges: Sequence[float]) -> list[tuple[int, float]]:
    """(proposals, share accepted) with edges[i] <= scalars[by] < edges[i+1], for every bin; NaN for an empty bin.

    `by`: `cut` (the token at which the suffix began) or `length` (of the proposal). Chains as `PowerMH` stores them.
    """
    moves = [c.scalars for c in candidates if "log_ratio" in c.scalars]
    values, accepted = (np.array([move[name] for move in moves]) for name in (by, "accepted"))
    out = []
    for low, high in pairwise(edges):
        inside = (values >= low) & (values < high)
        out.append((int(inside.sum()), float(accepted[inside].mean()) if inside.any() else math.nan))
    return out
