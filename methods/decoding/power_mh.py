"""Power sampling by Metropolis-Hastings (arXiv 2510.14901): a chain over whole completions whose law is p^alpha.

    x ~ q(. | prompt)                                           (head of power.py: q = p^alpha / z, the law, H)
    repeat:  m uniform in 0..H-1, fixed;   m >= |x|: x stays    (m is in the padding after the ending)
             x' = x_<m + suffix from q
             log A = sum_{t>=m} log w_t(x') - sum_{t>=m} log w_t(x);   x <- x' with probability min(1, A)

The sums run over the whole suffixes, however long each is. As published, the horizon grows in stages, `block` tokens at
a time, with `steps` moves in each (192 and 10 in the paper, and in the preset). Within a stage it is fixed, so every
stage leaves its own law invariant. With one stage over a long horizon most moves are in the padding: at H = 3072 about
2 of 10 are inside a completion of 600 tokens. Published code draws m
below the *current* length, lets no proposal grow beyond it and sums the current suffix only as far as the proposal
reaches: its horizon depends on the state, and more steps lead away from p^alpha (tests/reference/power.py).

Limits: at alpha = 4 and 10 steps the chain is far from p^alpha. It mostly returns its first state, a sample at
temperature 1/4, slightly improved. A mode that q hardly ever proposes is hardly ever reached. p^alpha favours short
completions (each token costs a factor): look at the lengths, set `min_length`.

All chains advance together, each by its next move that proposes a suffix, in one run of the loop; a proposal's prefix
is cropped from the current state's keys and values. Cost: the first state and half a completion for each move inside
it, every rejected suffix counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from elicit.errors import ConfigError
from elicit.files import seed_of
from elicit.policy.decoding import Candidate, Loop, Outcome, Path, PathJob, Request
from elicit.records import Finish
from elicit.sampling.loop.uniforms import uniforms
from methods.decoding.power import PowerLaw, computed_again, go_on, portions

if TYPE_CHECKING:
    from elicit.tasks.task import Reader


@dataclass(frozen=True)
class PowerMH(PowerLaw):
    """One Metropolis-Hastings chain per completion; the completion is its last state.

    `Outcome.chains`: the last block's states and proposals, in order. Scalars: `cut`, `length`, `accepted` (1 or 0),
    `log_ratio` (proposals only), `log_weight`; the first one also has the counts of earlier blocks
    (`earlier_proposals`, `earlier_accepted`). Weight: visits of the block, its beginning included. `power.acceptance`
    computes acceptance rates from them.
    """

    steps: int = 10
    """moves per block, those after the ending included"""
    blocks: int = 1
    """stages in which the horizon grows, if `block` is not set: equal parts of it"""
    block: int | None = None
    """tokens by which the horizon grows in each stage (the last one may be shorter); None: `blocks` decides"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 0 or self.blocks < 1:
            raise ConfigError(f"{self.name}: steps={self.steps}, blocks={self.blocks}: at least 0 and 1")
        if self.block is not None and (self.block < 1 or self.blocks != 1):
            raise ConfigError(
                f"{self.name}: block={self.block}, blocks={self.blocks}: at least 1 token per stage, or a number of "
                "stages, not both"
            )

    def spec(self) -> dict[str, Any]:
        """Without `block` if it is not set: ids from before there was the field stay."""
        return {name: value for name, value in super().spec().items() if name != "block" or value is not None}

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        """Complete all requests."""
        horizons = self.horizons(self.horizon_of(task))
        return [
            outcome for part in portions(requests, 1, loop) for outcome in self._portion(loop, part, task, horizons)
        ]

    def horizons(self, horizon: int) -> list[int]:
        """The fixed horizon of each block. Raises ConfigError if there are more blocks than tokens."""
        if self.block is not None:
            return [*range(self.block, horizon, self.block), horizon]
        if self.blocks > horizon:
            raise ConfigError(f"{self.name}.blocks={self.blocks}: the horizon has only {horizon} tokens; take fewer")
        return [-(-horizon * block // self.blocks) for block in range(1, self.blocks + 1)]

    def _portion(self, loop: Loop, requests: Sequence[Request], task: Reader, horizons: Sequence[int]) -> list[Outcome]:
        chains = [MarkovChain(self, request, len(horizons)) for request in requests]
        for block, horizon in enumerate(horizons):
            # 1) unfinished paths grow to the block's horizon; one that has ended is the block's first state as it is
            starts = {chain: job for chain in chains if (job := chain.start(block, horizon))}
            # 2) as soon as its suffix is written, a chain accepts it or not and proposes its next; none waits
            stop = replace(task.stop, max_new_tokens=horizon)
            loop.run(list(starts.values()), self.rule(), stop, then=partial(_received, list(starts)))
        return [chain.outcome() for chain in chains]

    def log_ratio(self, current: Path, proposal: Path, cut: int) -> float:
        """log A of a move from `current` to `proposal`, which share their first `cut` tokens. A path below the minimum
        length has no mass, so any move away from it is accepted."""
        if self.too_short(current):
            return math.inf
        if self.too_short(proposal):
            return -math.inf
        return float(self.log_weights(proposal)[cut:].sum() - self.log_weights(current)[cut:].sum())

    def choose(self, candidates: Sequence[Candidate], classes: Sequence[str | None], request: Request) -> int:
        """Index of the state that is returned: the last that was accepted."""
        return max(index for index, candidate in enumerate(candidates) if candidate.scalars["accepted"])


def cut_of(uniform: float, horizon: int) -> int:
    """m: uniform over the fixed range 0..horizon-1, whatever the state."""
    return min(int(uniform * horizon), horizon - 1)


def _received(chains: Sequence[MarkovChain], place: int, path: Path) -> PathJob | None:
    return chains[place].receive(path)


class MarkovChain:
    """One Metropolis-Hastings chain: its state, its position in its moves, and its history."""

    def __init__(self, settings: PowerMH, request: Request, blocks: int) -> None:
        self.settings, self.request = settings, request
        self.numbers = uniforms(seed_of(request.seed, "power mh"), 0, 0, 2 * settings.steps * blocks)
        """two per move of each block: for its cut and for its acceptance"""
        self.path: Path | None = None
        self.chains: list[Candidate] = []
        self.here = 0
        """index in `chains` of the current state"""
        self.cut = self.move = self.last = self.stream = self.horizon = 0
        """the token at which the next suffix begins; moves made or skipped so far, and at the end of this block; the
        random stream of the next suffix, a new one each time; the horizon of this block"""
        self.tokens = self.again = 0
        self.job: PathJob | None = None
        """what is being written for it: a suffix from its cut"""
        self.block: int | None = None
        """the block whose first state is being written; None: a proposal is"""

    @property
    def unfinished(self) -> bool:
        """Whether a longer horizon would let it grow."""
        return self.path is None or self.path.finish == Finish.LENGTH

    def start(self, block: int, horizon: int) -> PathJob | None:
        """The first job of a block; None if all its moves leave the state as it is."""
        self.horizon = horizon
        if not self.unfinished:
            self._begin(self.path, block)
            return self._propose()
        self.block, self.job = block, go_on(self.request, self.path, self.cut, self.stream)
        return self.job

    def receive(self, path: Path) -> PathJob | None:
        """Take what was written as the block's first state or judge it, and propose the next suffix; None: no more."""
        assert self.job is not None
        self.tokens += len(path.token_ids) - self.cut
        self.again += computed_again(self.job, self.path)
        if self.block is None:
            self.judge(path)
        else:
            self._begin(path, self.block)
            self.block = None
        return self._propose()

    def _propose(self) -> PathJob | None:
        self.job = go_on(self.request, self.path, self.cut, self.stream) if self.next_move() else None
        return self.job

    def _begin(self, path: Path | None, block: int) -> None:
        """Start a block from its first state; earlier blocks are kept as counts."""
        assert path is not None
        moves = [c.scalars for c in self.chains]
        counts = {
            "earlier_proposals": float(sum(m.get("earlier_proposals", "log_ratio" in m) for m in moves)),
            "earlier_accepted": float(sum(m.get("earlier_accepted", m["accepted"]) for m in moves)),
        }
        self.chains, self.last = [], (block + 1) * self.settings.steps
        self._record(path, {"accepted": 1.0, **counts})

    def next_move(self) -> bool:
        """Go to the next move whose cut is inside the state; moves after its ending leave the state as it is."""
        assert self.path is not None
        while self.move < self.last:
            self.cut = cut_of(float(self.numbers[2 * self.move]), self.horizon)
            self.move += 1
            if self.cut < len(self.path.token_ids):
                return True
            self.chains[self.here].weight += 1
        self.cut = len(self.path.token_ids)
        return False

    def judge(self, proposal: Path) -> None:
        """Accept or reject the proposal at the move's cut."""
        assert self.path is not None
        log_ratio = self.settings.log_ratio(self.path, proposal, self.cut)
        accepted = float(self.numbers[2 * self.move - 1] < math.exp(min(log_ratio, 0.0)))
        self._record(proposal, {"accepted": accepted, "log_ratio": log_ratio})

    def _record(self, path: Path, more: dict[str, float]) -> None:
        weight = float(self.settings.log_weights(path).sum())
        scalars = {"cut": float(self.cut), "length": float(len(path.token_ids)), "log_weight": weight, **more}
        if more["accepted"]:
            self.path, self.here = path, len(self.chains)
        self.chains.append(Candidate(self.settings.returned(path), scalars, 0.0))
        self.chains[self.here].weight += 1
        self.stream += 1

    def outcome(self) -> Outcome:
        """The last state."""
        winner = self.settings.choose(self.chains, [None] * len(self.chains), self.request)
        return Outcome(self.chains[winner].path, self.chains, winner, self.tokens, self.again)
