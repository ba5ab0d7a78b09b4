"""The strategy protocol: how a completion is made out of the model's next-token distributions.

A strategy never calls the model itself: it gives the step loop jobs and a rule to pick tokens by,
and gets paths back. Implementations live in `methods/decoding`; `Sampling`, the plain regime, lives
here because every policy without a strategy uses it. A strategy owns its sampling settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch

from elicit.errors import ConfigError
from elicit.files import content_hash
from elicit.tasks.task import StopRules

if TYPE_CHECKING:
    from elicit.tasks.task import Reader


@dataclass(frozen=True)
class Request:
    """One completion that is wanted: sample j of an item, with the seed that its key hashes to."""

    item: str
    j: int
    seed: int
    prompt_ids: tuple[int, ...]


@dataclass(frozen=True)
class Job:
    """One path to generate. `(seed, stream)` keys its random numbers: uniform(seed, stream, step).

    `forced` tokens are written first (they count as generated); `first_rank=r` picks the token of
    rank r (0 = most probable) at the first free step, whatever the rule says.
    """

    prompt_ids: tuple[int, ...]
    seed: int
    stream: int = 0
    forced: tuple[int, ...] = ()
    first_rank: int | None = None


@dataclass
class Path:
    """One generated path, completion only. Scalars a token; all from the raw softmax at T=1 in float32."""

    token_ids: list[int]
    logprobs: list[float]
    """log p(token | prefix)"""
    gaps: list[float]
    """p(top 1) - p(top 2)"""
    confidences: list[float]
    """negated mean log-prob of the 20 most probable tokens (arXiv 2508.15260)"""
    log_z: list[float]
    """log sum_v p(v | prefix)^alpha for the rule's alpha; zeros where alpha = 1"""
    finish: str
    text: str
    """decoded, special tokens and the stop string left out"""


@dataclass
class Candidate:
    """One chain behind an outcome."""

    path: Path
    scalars: dict[str, float] = field(default_factory=dict)
    weight: float = 1.0


@dataclass
class Outcome:
    """What a strategy returns for one request: the completion, and what it took to get it."""

    path: Path
    chains: list[Candidate] = field(default_factory=list)
    """empty where the completion is the only path"""
    winner: int = 0
    total_tokens: int = 0
    aux_forward_tokens: int = 0


@dataclass(frozen=True)
class PickRule:
    """How the loop turns logits into a token, by inverse CDF from the job's own uniform number.

    Order: temperature, then top-k, then top-p, then min-p, renormalise. temperature=0 is greedy (ties:
    lowest id). alpha is the power of `Path.log_z` only (power sampling proposes at temperature=1/alpha).
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    alpha: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ConfigError(f"temperature={self.temperature}: use 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p={self.top_p}: a share in (0, 1]")
        if not 0 <= self.min_p < 1:
            raise ConfigError(f"min_p={self.min_p}: a share in [0, 1)")
        if self.top_k < 0:
            raise ConfigError(f"top_k={self.top_k}: 0 (off) or more")
        if self.alpha <= 0:
            raise ConfigError(f"alpha={self.alpha}: a power above 0")


class Loop(Protocol):
    """The step loop as strategies see it (implemented in elicit/sampling/sampler.py)."""

    def run(self, jobs: Sequence[Job], rule: PickRule, stop: StopRules) -> list[Path]:
        """Generate all jobs, batched, in the order given; equal prompts are prefilled once."""
        ...

    @property
    def vocabulary(self) -> int: ...

    def decode(self, token_ids: Sequence[int]) -> str: ...

    def offsets(self, token_ids: Sequence[int]) -> list[tuple[int, int]]:
        """Character span of each token in `decode(token_ids)`."""
        ...


class DecodingStrategy(Protocol):
    """The third kind of intervention. Frozen dataclasses implement it; see `Sampling`."""

    kind: ClassVar[str]
    deterministic: ClassVar[bool]
    """True: n = 1, no coverage, no resampling inside items"""

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        """Complete all requests. `task` gives stop rules, the answer span and answer classes; never gold."""
        ...


class StrategyBase:
    """What frozen-dataclass strategies inherit: identity, no tensors, nothing to apply."""

    kind: ClassVar[str] = "decoding"
    deterministic: ClassVar[bool] = False

    def spec(self) -> dict[str, Any]:
        return {"strategy": f"{type(self).__module__}.{type(self).__qualname__}", **asdict(self)}  # type: ignore[call-overload]

    @property
    def id(self) -> str:
        return content_hash({"kind": self.kind, **self.spec()})

    def tensors(self) -> dict[str, torch.Tensor]:
        return {}

    @contextmanager
    def applied(self, model: torch.nn.Module) -> Iterator[None]:
        yield


@dataclass(frozen=True)
class Sampling(StrategyBase):
    """Independent samples by one pick rule: the plain regimes, greedy, temperature, top-p, min-p."""

    rule: PickRule = PickRule()

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        jobs = [Job(request.prompt_ids, request.seed) for request in requests]
        return [Outcome(path, total_tokens=len(path.token_ids)) for path in loop.run(jobs, self.rule, task.stop)]


@dataclass(frozen=True)
class Regime:
    """Fixed sampling settings that policies are compared in; never mixed."""

    name: str
    rule: PickRule


REGIMES = {
    "compare": Regime("compare", PickRule(temperature=0.6, top_p=0.95)),
    "support": Regime("support", PickRule()),
    "greedy": Regime("greedy", PickRule(temperature=0.0)),
}
