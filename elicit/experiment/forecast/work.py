"""What fits will sample and train: stated by the method, else read from the usual fields of a method.

    policy gradient   steps x prompts x samples rollouts, each trained on once; dev scores
    own samples       items x samples (of the method, or of what provides its responses), times rounds
    fine-tuning       sft.steps x sft.batch rows, else sft.epochs x rows

Searches over dev, dictionaries and gradients through other things are not in these numbers, so every forecast made of
them is "at least". A method that states nothing (`Method.work` returns None) and has none of the fields is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from elicit.training.rl.settings import GRPOSettings
from elicit.training.sft.sft import SftConfig

PASSES = 3
"""passes per trained row, counted at the speed of sampling: one forward, and the backward's two. A GPU trains a
token faster than it samples one, so there this is an upper figure"""


@dataclass(frozen=True)
class Work:
    """Of one fit, or of several: they add up."""

    paths: float = 0
    """completions sampled"""
    rows: float = 0
    """rows that gradients are computed for, each time they are"""

    def __add__(self, other: Work) -> Work:
        return Work(self.paths + other.paths, self.rows + other.rows)

    @property
    def passes(self) -> float:
        """Passes over a completion, sampled or trained."""
        return self.paths + PASSES * self.rows


def work_of(method: Any, items: int, tokens: float) -> Work | None:
    """Of one fit on a comparison of `items` items, `tokens` expected per completion; None if it is not known."""
    stated = getattr(method, "work", None)
    if stated is None:
        return from_fields(method)
    work = stated(items, tokens)
    return None if work is None else Work(work.paths, work.rows)


def from_fields(method: Any) -> Work:
    """Read from the fields of a method that has no `work`; nothing for None."""
    if isinstance(method, GRPOSettings):
        rollouts = method.steps * method.batch
        scores = method.steps // method.dev_every * method.dev_items if method.dev_every else 0
        return Work(rollouts + scores, rollouts)
    rounds = getattr(method, "rounds", 1)
    return Work(rounds * _own_samples(method), rounds * _fine_tuning(method))


def _own_samples(method: Any) -> int:
    items = getattr(method, "items", 0)
    providers = (method, getattr(method, "response", None), getattr(method, "critic", None))
    return items * sum(getattr(part, "samples", 0) for part in providers)


def _fine_tuning(method: Any) -> float:
    sft = getattr(method, "sft", None)
    if not isinstance(sft, SftConfig):
        return 0
    rows = getattr(method, "rows", 0) or _own_samples(method)
    return sft.steps * sft.batch if sft.steps else sft.epochs * rows
