"""CoT-decoding (arXiv 2402.10200): branch on the first token, go on greedily, trust the certain answers.

    path_r   = (token of rank r at the first step, then greedy), r = 0..k-1
    Delta_r  = mean over the tokens of the answer of  p(top 1) - p(top 2),  raw softmax
    answer   = argmax_c  sum_r Delta_r [class(answer(path_r)) = c]     (aggregate), or that of argmax_r Delta_r

The answer's tokens are those of the number, option or formula alone, without its unit or the rest of the sentence: as
in the paper, which reads the last number. Corrected here against published code: Delta over the whole path, an invented
gap of 0 for a first token that is already the answer, votes over raw strings. Left out: branching at later steps.

Rival `RandomFirstTokens`: k first tokens drawn uniformly from the vocabulary, greedy after, the same vote. It tests
whether the *ranking* of first tokens does anything beyond leaving the default one (on the prototype organism ten random
first tokens alone trace two thirds of the time). It is informative, not a placebo: the vote still uses the certainty of
the answers.

Cost: k chains per answer, all counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from elicit.errors import ConfigError, near
from elicit.policy.decoding import Candidate, Loop, Path, PathJob, PickRule, Request, chain_seed
from methods.decoding.chains import ChainStrategy, mean_logprob, own_rng

if TYPE_CHECKING:
    from elicit.tasks.task import Reader

PICKS = ("aggregate", "best_path")


@dataclass(frozen=True)
class CotDecoding(ChainStrategy):
    """The k most probable first tokens, greedy after, votes weighted by the certainty of the answer."""

    deterministic: ClassVar[bool] = True

    k: int = 10
    """first tokens"""
    pick: str = "aggregate"
    """`aggregate`: Delta summed by answer class; `best_path`: the one path of largest Delta"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise ConfigError(f"cot_decoding.k={self.k}: at least one first token")
        if self.pick not in PICKS:
            raise ConfigError(f"cot_decoding.pick={self.pick!r}: {near(self.pick, PICKS)}")

    def jobs(self, loop: Loop, request: Request) -> list[PathJob]:
        """1) One branch per first token, by rank."""
        self.check_k(loop)
        return [PathJob(request.prompt_ids, request.seed, stream=rank, first_rank=rank) for rank in range(self.k)]

    def check_k(self, loop: Loop) -> None:
        """Raises ConfigError if there are fewer tokens than branches."""
        if self.k > loop.vocabulary:
            raise ConfigError(f"method.strategy.k={self.k}: the vocabulary has {loop.vocabulary} tokens; take fewer")

    def rule(self) -> PickRule:
        """2) Each branch goes on greedily."""
        return PickRule(temperature=0.0)

    def weigh(self, loop: Loop, path: Path, task: Reader) -> Candidate:
        """3) Delta of each branch; one without an answer has none."""
        delta = answer_gap(loop, path, task)
        scalars = {"mean_logprob": mean_logprob(path)} | ({} if delta is None else {"delta": delta})
        return Candidate(path, scalars, delta or 0.0)

    def choose(self, candidates: Sequence[Candidate], classes: Sequence[str | None], request: Request) -> int:
        """4) The vote of the branches that have a Delta, or of the best one alone."""
        voters = [
            name if "delta" in candidate.scalars else None for candidate, name in zip(candidates, classes, strict=True)
        ]
        if self.pick == "best_path":
            best = max(range(len(voters)), key=lambda r: (voters[r] is not None, candidates[r].weight, -r))
            voters = [name if index == best else None for index, name in enumerate(voters)]
        return super().choose(candidates, voters, request)


@dataclass(frozen=True)
class RandomFirstTokens(CotDecoding):
    """`CotDecoding` with random first tokens: all different, drawn by base and item, so its random pick shares them."""

    deterministic: ClassVar[bool] = False

    def jobs(self, loop: Loop, request: Request) -> list[PathJob]:
        """1) One branch per first token, drawn without replacement."""
        self.check_k(loop)
        first = own_rng(chain_seed(request, request.j), "first tokens").choice(loop.vocabulary, self.k, replace=False)
        return [
            PathJob(request.prompt_ids, request.seed, stream=stream, forced=(int(token),))
            for stream, token in enumerate(first)
        ]


def answer_gap(loop: Loop, path: Path, task: Reader) -> float | None:
    """Delta: mean p(top 1) - p(top 2) over the tokens that overlap the answer; None without an answer.

    Raises ConfigError if the task can't locate the answer in a text.
    """
    try:
        span = task.answer_span(path.text)
    except LookupError:
        raise ConfigError(
            f"task {task.name} has no answer span, which CoT-decoding weighs answers by; use "
            "method/strategy=self_consistency"
        ) from None
    if span is None:
        return None
    start, end = span
    gaps = [
        gap
        for (left, right), gap in zip(loop.offsets(path.token_ids), path.gaps, strict=True)
        if left < end and right > start
    ]
    return sum(gaps) / len(gaps) if gaps else None
