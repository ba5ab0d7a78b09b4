"""Budget forcing (s1, arXiv 2501.19393): no early end, no late answer.

    an ending before the limit (EOS or a stop string), up to `times` times:   replaced by the tokens of `continuation`
    at the limit (max_new_tokens - answer_tokens - length of the marker):     the tokens of `marker` are forced

Both are forced continuation jobs of the step loop: the path's own token ids, then the forced ones, then the model goes
on (`chains.own_tokens`); no text is decoded and encoded again. Every task here reads the marker as the beginning of an
answer, so a cut trace still states one. The published method has a thinking section of a post-trained model; a base
model has none: it answers, is made to go on, and its last answer counts.

`ForcedTo` forces to a number of tokens instead of the limit. Rung B2 asks the base in this way
(elicit/evaluate/metrics/rungs.py): an ending before `tokens` own tokens is replaced, at `tokens` the marker is forced
and the answer follows. The answer comes on top, so a chain is a little longer than asked, never cheaper. `times` bounds
the rounds of a model that ends at once every time.

Placebo `RandomContinuation`: the same number of random tokens instead of the continuation.

Cost: all tokens written, forced ones and dropped endings included. Each continuation prefills the prompt and the path
so far again, which counts as auxiliary forward tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from elicit.errors import ConfigError
from elicit.policy.decoding import (
    Candidate,
    DecodingStrategy,
    Loop,
    Outcome,
    Path,
    PathJob,
    PickRule,
    Request,
    StrategyBase,
)
from elicit.records import Finish
from elicit.tasks.task import StopRules
from methods.decoding.chains import own_rng, own_tokens

if TYPE_CHECKING:
    from elicit.tasks.task import Reader


@dataclass(frozen=True)
class BudgetForcing(StrategyBase):
    """One chain that is made to go on, and made to answer. Default sampling: that of the regime `compare`."""

    times: int = 1
    """endings that are replaced; published 1 to 6"""
    continuation: str = " Wait,"
    """text that replaces an ending"""
    marker: str = " So the answer is"
    """text that is forced at the limit; tasks read the answer after it"""
    answer_tokens: int = 16
    """tokens left for the answer after the marker"""
    temperature: float = 0.6
    top_p: float = 0.95
    min_p: float = 0.0

    def __post_init__(self) -> None:
        if self.times < 0 or self.answer_tokens < 1:
            raise ConfigError(f"{self.name}: times={self.times}, answer_tokens={self.answer_tokens}: at least 0 and 1")
        if not self.marker.strip() or (self.times and not self.continuation):
            raise ConfigError(
                f"{self.name}: marker={self.marker!r}, continuation={self.continuation!r}: give some text"
            )
        self.sampling_rule()

    def sampling_rule(self) -> PickRule:
        """The loop's rule. Raises ConfigError for values out of range."""
        return PickRule(temperature=self.temperature, top_p=self.top_p, min_p=self.min_p)

    def limit(self, loop: Loop, task: Reader) -> int:
        """Tokens before the marker. Raises ConfigError if there is no room for any."""
        marker = len(loop.encode(self.marker))
        limit = task.stop.max_new_tokens - marker - self.answer_tokens
        if limit < 1:
            raise ConfigError(
                f"{self.name}: max_new_tokens={task.stop.max_new_tokens} leaves no token before the marker ({marker}) "
                f"and the answer ({self.answer_tokens}): raise eval.max_new_tokens or lower answer_tokens"
            )
        return limit

    def continued(self, loop: Loop, request: Request, round_: int) -> tuple[int, ...]:
        """Token ids that replace the ending of this round."""
        return loop.encode(self.continuation)

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        """Complete all requests; each step is one run of the loop over the chains that take part in it."""
        chains = [ForcedChain(request) for request in requests]

        def write(writing: Sequence[ForcedChain], stop: StopRules, stream: int) -> None:
            jobs = [PathJob(c.request.prompt_ids, c.request.seed, stream=stream, forced=c.forced) for c in writing]
            for chain, path in zip(writing, loop.run(jobs, self.sampling_rule(), stop), strict=True):
                chain.wrote(path)

        # 1) write up to the limit before the marker
        early = replace(task.stop, max_new_tokens=self.limit(loop, task))
        write(chains, early, 0)
        # 2) `times` rounds: chains that ended go on from the continuation instead of their ending
        for round_ in range(1, self.times + 1):
            write([c for c in chains if c.go_on(loop, self.continued(loop, c.request, round_), early)], early, round_)
        # 3) chains at the limit get the marker, and write their answer
        late = [chain for chain in chains if chain.state.finish == Finish.LENGTH]
        for chain in late:
            chain.close(loop.encode(self.marker))
        write(late, task.stop, self.times + 1)
        return [chain.outcome() for chain in chains]

    def twins(self) -> dict[str, DecodingStrategy]:
        """The same with random tokens instead of the continuation: the same length of text, without its meaning."""
        return {"random_continuation": RandomContinuation(**vars(self))}


@dataclass(frozen=True)
class RandomContinuation(BudgetForcing):
    """Placebo: endings are replaced by the same number of tokens, drawn uniformly from the vocabulary."""

    def continued(self, loop: Loop, request: Request, round_: int) -> tuple[int, ...]:
        count = len(loop.encode(self.continuation))
        drawn = own_rng(request.seed, f"random continuation {round_}").integers(loop.vocabulary, size=count)
        return tuple(int(token) for token in drawn)

    def twins(self) -> dict[str, DecodingStrategy]:
        """None: it is the placebo."""
        return {}


@dataclass(frozen=True)
class ForcedTo(BudgetForcing):
    """One chain that is made to write `tokens` tokens, and then to answer."""

    times: int = 64
    """endings that are replaced at most"""
    tokens: int = 256
    """tokens of a chain with the marker, without the answer after it; rung B2 sets it to a method's own"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tokens < 1:
            raise ConfigError(f"{self.name}: tokens={self.tokens}: 1 or more")

    def limit(self, loop: Loop, task: Reader) -> int:
        """Tokens before the marker: `tokens` without the marker, or fewer if the task's own limit is lower."""
        return min(super().limit(loop, task), max(1, self.tokens - len(loop.encode(self.marker))))

    def twins(self) -> dict[str, DecodingStrategy]:
        """None: a rung of the base has no placebo."""
        return {}


@dataclass
class ForcedChain:
    """The chain of one request so far."""

    request: Request
    path: Path | None = None
    forced: tuple[int, ...] = ()
    """tokens that the next job begins with"""
    carried: int = 0
    """tokens of `forced` that were counted before"""
    tokens: int = 0
    again: int = 0
    """prompt and own tokens that were prefilled again"""
    scalars: dict[str, float] = field(default_factory=lambda: {"continued": 0.0, "forced_end": 0.0})

    @property
    def state(self) -> Path:
        """The path so far; there is one after the first write."""
        assert self.path is not None
        return self.path

    def wrote(self, path: Path) -> None:
        """Take over what the loop wrote, and count its new tokens."""
        self.tokens += len(path.token_ids) - self.carried
        self.path = path

    def go_on(self, loop: Loop, continuation: tuple[int, ...], stop: StopRules) -> bool:
        """Replace the ending; False if the limit came first, or leaves no room for the continuation."""
        own = own_tokens(loop, self.state, stop)
        if self.state.finish == Finish.LENGTH or len(own) + len(continuation) >= stop.max_new_tokens:
            return False
        self._force(own, continuation)
        self.scalars["continued"] += 1
        return True

    def close(self, marker: tuple[int, ...]) -> None:
        """Force the marker after a chain that reached the limit."""
        self._force(tuple(self.state.token_ids), marker)
        self.scalars["forced_end"] = 1.0

    def _force(self, own: tuple[int, ...], more: tuple[int, ...]) -> None:
        self.forced, self.carried = own + more, len(own)
        self.again += len(self.request.prompt_ids) + len(own)

    def outcome(self) -> Outcome:
        """The last path, with every written token counted."""
        return Outcome(self.state, [Candidate(self.state, self.scalars)], 0, self.tokens, self.again)
