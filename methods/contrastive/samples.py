"""The base's own completions, and the two ways of splitting them into a positive and a negative side.

    right_minus_wrong     by the verifier, one label bit a completion          (class R)
    traced_minus_direct   by the completion's own length, nothing else asked   (class V)

The second takes the two modes of a base to differ in length: it cuts log-length at the threshold
that minimises the variance within both groups (two-means in one dimension, Otsu 1979), over all
items at once. Where lengths have one mode only, it is a long-minus-short contrast: look at
`share`, the part of the variance that the cut explains (about .64 for a normal distribution).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elicit.errors import MethodError
from elicit.policy.decoding import PickRule, Regime
from elicit.records import Finish

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.policy.policy import Policy
    from elicit.records import Item


@dataclass(frozen=True)
class Completion:
    """One own sample of one item."""

    item: Item
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    text: str
    finished: bool


def own_completions(policy: Policy, ledger: Ledger, items: Sequence[Item], samples: int, draw: int) -> list[Completion]:
    """`samples` completions of each item at T=1, booked; other numbers `draw` are other samples."""
    from elicit.sampling.sample import sample

    regime = Regime(f"contrastive-{draw}", PickRule())
    out = []
    for item, _, outcome in sample(policy, items, range(samples), regime, ledger.task_view):
        path = outcome.path
        finished = path.finish in (Finish.EOS, Finish.STOP)
        ids = tuple(path.token_ids)
        out.append(Completion(item, policy.prompt_ids(item.question), ids, path.text, finished))
    ledger.rollouts(len(out), sum(len(completion.token_ids) for completion in out))
    return out


def by_verdict(completions: Sequence[Completion], ledger: Ledger) -> list[bool | None]:
    """True right, False wrong, None ungraded (on neither side)."""
    return [
        ledger.grade(completion.item, completion.text, finished=completion.finished, stage="train")
        for completion in completions
    ]


def by_length(completions: Sequence[Completion]) -> tuple[list[bool | None], float]:
    """(True long (traced) or False short (direct), share of variance explained).

    Raises MethodError where all lengths are equal.
    """
    lengths = [len(completion.token_ids) for completion in completions]
    cut, share = two_means(lengths)
    return [length > cut for length in lengths], share


def two_means(lengths: Sequence[int]) -> tuple[float, float]:
    """(threshold in tokens, share of the log-length variance between the groups it separates)."""
    logs = np.sort(np.log(np.maximum(lengths, 1)))
    total = float(((logs - logs.mean()) ** 2).sum()) if len(logs) else 0.0
    if total == 0:
        raise MethodError(
            f"all {len(lengths)} completions have the same length, so nothing tells traced from direct: "
            "take more samples, or contrast=right_minus_wrong"
        )
    places = np.flatnonzero(np.diff(logs)) + 1
    between = [
        place * (logs[:place].mean() - logs.mean()) ** 2
        + (len(logs) - place) * (logs[place:].mean() - logs.mean()) ** 2
        for place in places
    ]
    best = int(np.argmax(between))
    place = places[best]
    return float(np.exp((logs[place - 1] + logs[place]) / 2)), float(between[best]) / total
