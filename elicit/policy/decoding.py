"""Decoding strategies: how a completion is made from the model's next-token distributions.

    Request --strategy--> PathJobs --step loop--> Paths --strategy--> Outcome

A strategy never calls the model itself: it gives the step loop jobs and a rule to pick tokens by, and gets paths back.
Implementations are in `methods/decoding`; `Sampling`, the plain regime, is here because every policy without a
strategy uses it. A strategy owns its sampling settings. Knows neither the loop's engine nor any gold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from elicit.errors import ConfigError
from elicit.files import content_hash, seed_of
from elicit.names import published_name
from elicit.tasks.task import StopRules
from elicit.tasks.view import Judged

if TYPE_CHECKING:
    from elicit.policy.policy import Policy
    from elicit.tasks.task import Reader


@dataclass(eq=False)
class Kept:
    """Keys, values and scalars of one ended row, so that another path can continue from a part of it."""

    ids: tuple[int, ...]
    """prompt and completion"""
    prompt: int
    """tokens of the prompt"""
    states: torch.Tensor | None
    """[layers x 2, heads, T, D], keys and values in turn, T >= len(ids) - 1; None if there was no room"""
    scalars_C_T: np.ndarray
    """of the completion's tokens"""
    alpha: float
    """the power of its log z"""

    def begins(self, prompt: Sequence[int], forced: Sequence[int]) -> bool:
        """Whether it belongs to a text that starts with this prompt and these completion tokens."""
        return self.prompt == len(prompt) and self.ids[: len(prompt) + len(forced)] == (*prompt, *forced)

    def serves(self, alpha: float) -> bool:
        """Whether a row can continue from it; otherwise its prefix has to be computed again."""
        return self.states is not None and self.states.shape[2] > 0 and self.alpha == alpha


@dataclass(frozen=True)
class Request:
    """One completion to make: sample j of an item, with the seed that its key hashes to."""

    item: str
    j: int
    seed: int
    prompt_ids: tuple[int, ...]
    base: str = ""
    """key of chains that strategies share: the policy without its strategy, plus the regime (`chain_seed`)"""


@dataclass(frozen=True)
class PathJob:
    """One path to generate. `(seed, stream)` keys its random numbers: uniform(seed, stream, step).

    `forced` tokens come first (they count as generated); `first_rank=r` picks the token of rank r
    (0 = most probable) at the first free step, whatever the rule is.
    """

    prompt_ids: tuple[int, ...]
    seed: int
    stream: int = 0
    forced: tuple[int, ...] = ()
    first_rank: int | None = None
    shared: bool = False
    """its path may be stored and given to other strategies with the same job (sampling/pool.py)"""
    keep: bool = False
    """return keys and values as `Path.kept` (if the model has plain ones)"""
    kept: Kept | None = field(default=None, compare=False, repr=False)
    """of a path that begins with `forced`: cropped instead of computed again. Saves work, changes no token"""


@dataclass
class Path:
    """One generated path, completion only. One scalar per token, all from the raw softmax at T=1 in float32."""

    token_ids: list[int]
    logprobs: list[float]
    """log p(token | prefix)"""
    gaps: list[float]
    """p(top 1) - p(top 2)"""
    confidences: list[float]
    """top-20 confidence: negated mean log-prob of the 20 most probable tokens (arXiv 2508.15260)"""
    log_z: list[float]
    """log sum_v p(v | prefix)^alpha for the rule's alpha; zeros if alpha = 1"""
    finish: str
    text: str
    """decoded, without special tokens and without the stop string"""
    certainties: list[float] = field(default_factory=list)
    """self-certainty: KL(uniform || p) over the full vocabulary (arXiv 2502.18581)"""
    kept: Kept | None = field(default=None, compare=False, repr=False)
    """for the `PathJob.kept` of a path that continues a part of this one; a strategy returns paths without it"""


@dataclass
class Candidate:
    """One of the chains that an outcome was chosen from."""

    path: Path
    scalars: dict[str, float] = field(default_factory=dict)
    weight: float = 1.0


@dataclass
class Outcome:
    """A strategy's result for one request: the completion, all its chains, and their cost."""

    path: Path
    chains: list[Candidate] = field(default_factory=list)
    """empty if the completion is the only path"""
    winner: int = 0
    total_tokens: int = 0
    aux_forward_tokens: int = 0


@dataclass(frozen=True)
class PickRule:
    """How the loop turns logits into a token: by inverse CDF from the job's own uniform number.

    Order: temperature, top-k, top-p, min-p, then normalisation. temperature=0 is greedy (ties: lowest id). alpha is the
    power of `Path.log_z` only (power sampling proposes at temperature=1/alpha).
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


class StepRule(Protocol):
    """Ends rows early. Called when the loop tests for endings: the scalars are on the host then, so no step waits for
    the device. What a row wrote past its cut is dropped."""

    def cuts(
        self, jobs_S: NDArray[np.int64], begun_S: NDArray[np.int64], chunk: int, scalars_S_C_T: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Int64 [S]: the length that each row is cut at, in begun+1..begun+chunk; 0: it continues.

        `jobs_S`: index of each row's job in the list given to `run`; `begun_S`: tokens at the last call;
        `scalars_S_C_T`: log-probs, gaps, confidences, log z and certainties of all tokens so far.
        """
        ...


Then = Callable[[int, Path], PathJob | None]
"""(place of a job in its list, its finished path) -> the job that goes on in that place; None: the place is done"""


class Loop(Protocol):
    """The step loop as strategies see it (elicit/sampling/loop/step_loop.py; on vLLM: elicit/sampling/vllm/loop.py)."""

    def run(
        self,
        jobs: Sequence[PathJob],
        rule: PickRule,
        stop: StopRules,
        step_rule: StepRule | None = None,
        then: Then | None = None,
    ) -> list[Path]:
        """Generate all jobs in batches; paths are in the order of the jobs. Equal prefixes are computed once.

        A row that `step_rule` cuts finishes as `Finish.CUT`. `then` is asked as soon as a path is finished, so that a
        chain of jobs never waits for another one; the last path of each place is returned. The prompt of a job that
        goes on is no longer than the longest of `jobs`.
        """
        ...

    @property
    def vocabulary(self) -> int: ...

    @property
    def rows(self) -> int:
        """Paths that are generated at the same time, at most."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str: ...

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of a text that continues another one: no special tokens."""
        ...

    def offsets(self, token_ids: Sequence[int]) -> list[tuple[int, int]]:
        """Character span of each token in `decode(token_ids)`."""
        ...


class SamplingEngine(Protocol):
    """An engine other than the step loop that draws a checkpoint's policies (elicit/sampling/engine.py)."""

    name: str
    """engine and version, as the fingerprint of its samples names it"""
    mix: bool
    """whether its samples may be added to a store that another engine has begun"""

    def draws(self, policy: Policy) -> bool:
        """Whether it draws this policy; else the step loop does. Raises ConfigError if no other engine is allowed."""
        ...

    def drawing(
        self, policy: Policy, progress: Callable[[int, int], None] | None = None
    ) -> AbstractContextManager[Loop]:
        """Inside, the loop draws the policy; leaving undoes its edits."""
        ...


def chain_seed(request: Request, index: int) -> int:
    """Seed of chain `index` of the request's item: a hash of the base and not of the strategy, so strategies share it.

    Sample j of a strategy with n chains takes the indices j * n .. j * n + n - 1: no two samples share a chain.
    """
    return seed_of(request.base, request.item, index)


class Verifier(Protocol):
    """What the `task` of a strategy with `needs_verifier` offers in addition to a `Reader`. Class L."""

    def verdict(self, item: str, text: str, finished: bool) -> Judged:
        """Judge a completion of the item of this id."""
        ...


class DecodingStrategy(Protocol):
    """The third kind of intervention. Frozen dataclasses implement it; `StrategyBase` has the defaults."""

    kind: ClassVar[str]
    """always "decoding" """
    deterministic: ClassVar[bool]
    """True: n = 1, no coverage, no resampling inside items"""
    pooled: ClassVar[bool]
    """True: its jobs are `shared`, so that the chains are drawn once for all strategies on one policy"""
    needs_verifier: ClassVar[bool]
    """True: `run` is given a task with `verdict` (class L); no other strategy comes near gold"""
    adaptive: ClassVar[bool]
    """True: chains may be cut, or left undrawn, depending on other chains: they are not independent draws"""

    @property
    def name(self) -> str:
        """What its row in a comparison is called."""
        ...

    @property
    def token_rule(self) -> PickRule | None:
        """The rule that each token of the completion is drawn by; None if a completion is chosen among several."""
        ...

    @property
    def chain_rule(self) -> PickRule | None:
        """The rule of several chains per completion that are independent draws from the bare prompt; None if the
        strategy has no such chains (one chain, a forced start, a cut that depends on other chains)."""
        ...

    @property
    def verifier_calls(self) -> int:
        """Most verdicts that one answer asks for; 0 without `needs_verifier`."""
        ...

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        """Complete all requests. `task` has stop rules and readers of answers; never gold."""
        ...


class StrategyBase:
    """The defaults of `DecodingStrategy`: an identity, no tensors, nothing to apply to the model."""

    kind: ClassVar[str] = "decoding"
    deterministic: ClassVar[bool] = False
    pooled: ClassVar[bool] = False
    needs_verifier: ClassVar[bool] = False
    adaptive: ClassVar[bool] = False

    @property
    def token_rule(self) -> PickRule | None:
        return None

    @property
    def chain_rule(self) -> PickRule | None:
        return None

    @property
    def verifier_calls(self) -> int:
        """One, if it asks a verifier at all."""
        return int(self.needs_verifier)

    @classmethod
    def saved_fields(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of a saved spec, with those that it lacks because they are newer and mean something else by
        default."""
        return fields

    @property
    def name(self) -> str:
        """The class name in snake case."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    def spec(self) -> dict[str, Any]:
        return {"strategy": published_name(type(self)), **asdict(self)}  # type: ignore[call-overload]

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

    @property
    def token_rule(self) -> PickRule:
        return self.rule

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        jobs = [PathJob(request.prompt_ids, request.seed) for request in requests]
        return [Outcome(path, total_tokens=len(path.token_ids)) for path in loop.run(jobs, self.rule, task.stop)]


@dataclass(frozen=True)
class Regime:
    """Fixed sampling settings in which policies are compared. Samples of two regimes are never mixed."""

    name: str
    rule: PickRule


REGIMES = {
    "compare": Regime("compare", PickRule(temperature=0.6, top_p=0.95)),
    "support": Regime("support", PickRule()),
    "greedy": Regime("greedy", PickRule(temperature=0.0)),
}
