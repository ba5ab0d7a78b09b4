"""DeepConf (arXiv 2508.15260), offline: filter chains by their confidence, then vote weighted by it.

    C_t      = -mean log-prob of the 20 most probable tokens at step t            (token confidence)
    C(x)     = min over windows of w tokens of mean C_t                           (`lowest`; also bottom_10, tail, mean)
    keep the ceil(eta n) chains of largest C(x);   answer = argmax_c sum_kept C(x_i) [class(answer(x_i)) = c]

Published windows have 2,048 tokens, which has no effect on traces of tens of tokens; use 8, 32 or 128. If the path is
shorter than the window, the whole path is the window. The `majority` of the same chains is always recorded (a scalar of
every chain) and is the first of the rivals. Online, with chains cut while they are written: `deepconf_online.py`.
Cost: n chains per answer, all counted; no label is read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elicit.errors import ConfigError, near
from elicit.policy.decoding import Candidate, Loop, Path, Request
from elicit.sampling import confidence
from methods.decoding.chains import declared, elect
from methods.decoding.sampled import SampledChains, scores

if TYPE_CHECKING:
    from elicit.tasks.task import Reader

MEASURES = ("lowest", "bottom_10", "tail", "mean")


def confidence_of(path: Path, measure: str, window: int) -> float:
    """One of `MEASURES` of a path, in nats."""
    values = path.confidences
    if measure == "mean":
        return confidence.mean(values)
    measures = {"lowest": confidence.lowest, "bottom_10": confidence.bottom, "tail": confidence.tail}
    return measures[measure](values, window)


@dataclass(frozen=True)
class DeepConf(SampledChains):
    """Keep the most confident of n chains, and let them vote by their confidence."""

    eta: float = 0.1
    """share of the chains that is kept, in (0, 1]: .1 and .9 are published as low and high"""
    measure: str = "lowest"
    """a chain's confidence: `lowest` window, mean of the `bottom_10` % of the windows, `tail` window, or `mean`"""
    window: int = 32
    """tokens"""

    @property
    def name(self) -> str:
        return "deepconf"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_filter(self.name, self.eta, self.window)
        if self.measure not in MEASURES:
            raise ConfigError(f"{self.name}.measure={self.measure!r}: {near(self.measure, MEASURES)}")

    def weigh(self, loop: Loop, path: Path, task: Reader) -> Candidate:
        value = confidence_of(path, self.measure, self.window)
        return Candidate(path, {**scores(path), "confidence": value}, value)

    def choose(self, candidates: Sequence[Candidate], classes: Sequence[str | None], request: Request) -> int:
        ranked = sorted(range(len(candidates)), key=lambda index: (-candidates[index].weight, index))
        kept = set(ranked[: math.ceil(self.eta * len(candidates))])
        return elect_kept(candidates, classes, [index in kept for index in range(len(candidates))], request)


def elect_kept(
    candidates: Sequence[Candidate], classes: Sequence[str | None], kept: Sequence[bool], request: Request
) -> int:
    """The weighted vote of the kept chains; the others weigh nothing (scalar `kept`).

    If no kept chain has an answer, the most confident chain of all is returned.
    """
    if not any(keep and name is not None for keep, name in zip(kept, classes, strict=True)):
        winner = max(range(len(candidates)), key=lambda index: (candidates[index].weight, -index))
    else:
        voters = [name if keep else None for name, keep in zip(classes, kept, strict=True)]
        winner = elect(voters, [candidate.weight for candidate in candidates], request.seed, declared(candidates))
    for candidate, keep in zip(candidates, kept, strict=True):
        candidate.scalars["kept"] = float(keep)
        candidate.weight *= keep
    return winner


def check_filter(name: str, eta: float, window: int) -> None:
    """Raises ConfigError for a share or a window out of range."""
    if not 0 < eta <= 1:
        raise ConfigError(f"{name}.eta={eta}: the share of chains that is kept, in (0, 1]")
    if window < 1:
        raise ConfigError(f"{name}.window={window}: use 1 token or more")
