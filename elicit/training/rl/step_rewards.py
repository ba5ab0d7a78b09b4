"""Rewards for written steps, and a proper score of the answer: by themselves, and on right answers only.

    steps         written steps / 12, at most 1, whatever they state          no label bit    V
    right_steps   the same if the answer is right, else 0                     one label bit   R
    brier         right - (q - right)^2, q: share of the other rollouts of
                  the item that give the same answer                          one label bit   R

An intermediate reward on every trace pays for steps that are made up; on right answers only it cannot be earned by them
alone (arXiv 2605.31584, with a rubric of a large model; counting is the cheapest rubric that can be deceived). `brier`
replaces the binary reward by a strictly proper score of the policy's own confidence, as calibration rewards do
(arXiv 2507.16806, whose confidence is stated in words): a right answer that the group rarely gives earns less than a
sure one, and a wrong answer costs the square of its confidence. Knows no gradient and no model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from elicit.tasks.review import sentences

if TYPE_CHECKING:
    from elicit.training.rl.rewards import Judge, Values
    from elicit.training.rl.rollouts import Rollout

MOST_STEPS = 12
"""steps that earn the whole reward; more earn no more"""


def written_steps(text: str) -> int:
    """Sentences before the last one: an answer alone has none.

    >>> written_steps(" Working. 3 + 4 = 7. 7 * 7 = 9. So the answer is 9."), written_steps(" The answer is 9.")
    (3, 0)
    """
    return max(0, len(sentences(text)) - 1)


def steps(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """Share of `MOST_STEPS` that was written, in [0, 1]."""
    return [min(1.0, written_steps(rollout.path.text) / MOST_STEPS) for rollout in rollouts]


def right_steps(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """The same on right answers, 0 on wrong ones, None on ungraded ones."""
    rights = [judge.right(rollout) for rollout in rollouts]
    earned = steps(judge, rollouts)
    return [
        None if right is None else float(right) * (value or 0.0) for right, value in zip(rights, earned, strict=True)
    ]


def brier(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
    """Right minus the squared error of the own confidence; None if ungraded. Without an answer confidence is 0."""
    answers = [(rollout.item.id, judge.answer_class(rollout)) for rollout in rollouts]
    counts, sizes = Counter(answers), Counter(item for item, _ in answers)
    out: Values = []
    for rollout, answer in zip(rollouts, answers, strict=True):
        right, others = judge.right(rollout), sizes[answer[0]] - 1
        sure = (counts[answer] - 1) / others if answer[1] is not None and others else 0.0
        out.append(None if right is None else float(right) - (sure - float(right)) ** 2)
    return out
