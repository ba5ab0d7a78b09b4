"""CoT-decoding (arXiv 2402.10200): branch on the first token, go on greedily, trust the sure answers.

    path_r   = (token of rank r at the first step, then greedy), r = 0..k-1
    Delta_r  = mean over the tokens of the stated answer of  p(top 1) - p(top 2),  raw softmax
    answer   = argmax_c  sum_r Delta_r [class(answer(path_r)) = c]     (aggregate), or that of argmax_r Delta_r

What published code gets wrong and this does not: Delta over the whole path, a made-up gap of 0 for
a first token that is already the answer, votes over raw strings. Left out: branching at later steps.
Cost: k chains an answer, all counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from elicit.errors import ConfigError, near
from elicit.policy.decoding import Candidate, Loop, Path, PathJob, PickRule, Request
from methods.decoding.chains import ChainStrategy, mean_logprob

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
        if self.k < 1:
            raise ConfigError(f"cot_decoding.k={self.k}: at least one first token")
        if self.pick not in PICKS:
            raise ConfigError(f"cot_decoding.pick={self.pick!r}: {near(self.pick, PICKS)}")

    def jobs(self, loop: Loop, request: Request) -> list[PathJob]:
        self.check_k(loop)
        return [PathJob(request.prompt_ids, request.seed, stream=rank, first_rank=rank) for rank in range(self.k)]

    def check_k(self, loop: Loop) -> None:
        """Raises ConfigError where there are fewer tokens than branches."""
        if self.k > loop.vocabulary:
            raise ConfigError(f"method.strategy.k={self.k}: the vocabulary has {loop.vocabulary} tokens; take fewer")

    def rule(self) -> PickRule:
        return PickRule(temperature=0.0)

    def weigh(self, loop: Loop, path: Path, task: Reader) -> Candidate:
        delta = answer_gap(loop, path, task)
        scalars = {"mean_logprob": mean_logprob(path)} | ({} if delta is None else {"delta": delta})
        return Candidate(path, scalars, delta or 0.0)

    def choose(self, candidates: Sequence[Candidate], classes: Sequence[str | None], request: Request) -> int:
        voters = [
            name if "delta" in candidate.scalars else None for candidate, name in zip(candidates, classes, strict=True)
        ]
        if self.pick == "best_path":
            best = max(range(len(voters)), key=lambda r: (voters[r] is not None, candidates[r].weight, -r))
            voters = [name if index == best else None for index, name in enumerate(voters)]
        return super().choose(candidates, voters, request)


def answer_gap(loop: Loop, path: Path, task: Reader) -> float | None:
    """Delta: mean p(top 1) - p(top 2) over the tokens that overlap the stated answer; None without an answer.

    Raises ConfigError where the task can't say which part of a text is the answer.
    """
    span = _span(task, path.text)
    if span is None:
        return None
    start, end = span
    gaps = [
        gap
        for (left, right), gap in zip(loop.offsets(path.token_ids), path.gaps, strict=True)
        if left < end and right > start
    ]
    return sum(gaps) / len(gaps) if gaps else None


def _span(task: Reader, text: str) -> tuple[int, int] | None:
    locate = getattr(task, "answer_span", None)
    if locate is not None:
        try:
            return locate(text)
        except LookupError:
            pass
    raise ConfigError(
        f"task {task.name} has no answer span to weigh answers by (CoT-decoding); use method/strategy=self_consistency"
    )
