"""Power weights: from own completions to the law p^alpha, to train on it or to sample from it.

    y_1 .. y_n ~ p(. | x)      w_j = p(y_j | x)^(alpha - 1) / sum_i p(y_i | x)^(alpha - 1)

A completion that is drawn from y_1 .. y_n by w has the law p^alpha / Z as n grows; with n of them it is the usual
self-normalised approximation, and a completion that p rarely writes is rarely there to be drawn. Tomihari and Sato
(arXiv 2605.04542): p^alpha is the optimum of KL-regularised RL whose reward is the model's own log-probability, and
training on samples of it moves the cost from every answer to one fit. They take the samples of a power sampler; here
plain samples are weighted.

    Star keep=power_weight     trains on completions that were drawn again by w                     (method.py)
    PowerSampling              the rival: returns one of n samples by w, nothing is trained

Knows no grades. Class V for the fit (own text), Z for the rival.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from elicit.errors import MethodError, checked
from elicit.files import seed_of
from elicit.method import MethodBase, Work
from elicit.policy.decoding import Candidate, Loop, Outcome, PathJob, PickRule, Request, StrategyBase, chain_seed
from elicit.records import FINISHED
from elicit.sampling.loop.uniforms import uniforms

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy
    from elicit.tasks.task import Reader


def weights(logprobs: Sequence[float | None], alpha: float) -> np.ndarray:
    """Float64 [J]: p^(alpha - 1) of each completion, normalised. `logprobs`: log p of a whole completion, in nats.

    Raises MethodError if one of them is not known.
    """
    if any(value is None for value in logprobs):
        raise MethodError("power weights need the log-probability of every completion: draw with own_completions")
    logs_J = (alpha - 1) * np.array(logprobs, dtype=float)
    raised_J = np.exp(logs_J - logs_J.max())
    return raised_J / raised_J.sum()


@dataclass(frozen=True)
class PowerPick(StrategyBase):
    """One of n plain samples, drawn by its power weight; a truncated one only if all are."""

    pooled: ClassVar[bool] = True

    n: int = 2
    """samples per answer, at temperature 1"""
    alpha: float = 2.0
    """the power; 1 returns any of them"""

    def __post_init__(self) -> None:
        checked(self, at_least={"n": 1}, above={"alpha": 0}, label=self.name)

    @property
    def chain_rule(self) -> PickRule:
        return PickRule()

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        """Complete all requests in one call of the loop."""
        jobs = [
            PathJob(request.prompt_ids, chain_seed(request, request.j * self.n + index), shared=True)
            for request in requests
            for index in range(self.n)
        ]
        paths = loop.run(jobs, PickRule(), task.stop)
        out = []
        for place, request in enumerate(requests):
            own = paths[place * self.n : (place + 1) * self.n]
            # 1) weights of the samples that ended
            eligible = [index for index, path in enumerate(own) if path.finish in FINISHED] or list(range(self.n))
            weights_n = np.zeros(self.n)
            weights_n[eligible] = weights([sum(own[index].logprobs) for index in eligible], self.alpha)
            # 2) one of them, by the request's own random number
            uniform = uniforms(seed_of(request.seed, "power pick"), 0, 0, 1)[0]
            winner = eligible[drawn_by(weights_n[eligible], uniform)]
            chains = [
                Candidate(path, {"log_p": float(sum(path.logprobs))}, float(weight))
                for path, weight in zip(own, weights_n, strict=True)
            ]
            out.append(Outcome(own[winner], chains, winner, sum(len(path.token_ids) for path in own)))
        return out


def drawn_by(weights_J: np.ndarray, uniform: float) -> int:
    """The place that a uniform number in [0, 1) takes in the cumulated weights."""
    cdf_J = np.cumsum(weights_J)
    return int(np.searchsorted(cdf_J, min(uniform * cdf_J[-1], np.nextafter(cdf_J[-1], 0)), side="right"))


@dataclass(frozen=True)
class PowerSampling(MethodBase):
    """The rival of distilling p^alpha: sample from it at every answer, with the work that the fit would have cost."""

    n: int = 2
    """samples per answer; the star that it belongs to sets as many as its fit's passes pay for (`Star.rivals`)"""
    alpha: float = 2.0
    """the power of the law"""
    name: str = "star"

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> Intervention:
        """The strategy; nothing is sampled or read before the evaluation."""
        return cast("Intervention", PowerPick(self.n, self.alpha))

    @property
    def strategy(self) -> PowerPick:  # type: ignore[override]
        """What is evaluated."""
        return PowerPick(self.n, self.alpha)

    def work(self, items: int, tokens: float) -> Work:
        """None before the evaluation."""
        return Work()
