"""STaR on completions that go on after their conclusion: does the tail harm training more than its length explains?

    own completion | continuation | own text                only if the answer is right before and after the tail
      nothing   trace, conclusion and tail
      tail      the tail is cut: trace and conclusion
      span      as many words are cut from a random position before the conclusion

(arXiv 2605.29288, whose tails are those of a teacher. Here all but the words in between is the policy's own text, so a
base that never goes on by itself has tails too.) All three arms keep the same completions, so rows and steps of
training are equal, and `tail` and `span` have equally many words. Class R, like the method, with a label bit more per
kept completion.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from elicit.errors import checked
from elicit.records import FINISHED
from elicit.sampling.continue_from import continue_from
from elicit.sampling.probe import Probe
from elicit.tasks.review import sentences
from elicit.training.sft.rows import Row
from methods.star.method import Star

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.policy import Policy
    from elicit.records import Item
    from elicit.sampling.own import Completion

Cut = Literal["nothing", "tail", "span"]
CUTS = ("nothing", "tail", "span")
_WORD = re.compile(r"\s*\S+")


@dataclass(frozen=True)
class TailedStar(Star):
    """Fine-tune on own verified completions with a tail, without it, or without as much elsewhere."""

    cut: Cut = "nothing"
    """nothing | tail | span"""
    continuation: str = " Wait. Check the result. Hmm. Be careful. Then again, yes."
    """text that a finished completion goes on with; the policy's own text follows"""

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, one_of={"cut": CUTS}, label="star")

    def drawn(self, policy: Policy, ledger: Ledger, items: Sequence[Item], draw: int) -> list[Completion]:
        """Own completions; each that ended goes on once, at temperature 1, and is booked again."""
        first = super().drawn(policy, ledger, items, draw)
        ended = [(k, one) for k, one in enumerate(first) if one.finished and one.text.strip()]
        room = ledger.task_view.stop.max_new_tokens
        probes = [
            Probe(one.item.id, k, "tail", len(one.text), self.continuation, room=room, greedy=False) for k, one in ended
        ]
        traces = {(one.item.id, k): one.token_ids for k, one in ended}
        known = {item.id: item for item in items}
        more = continue_from(policy, known, traces, probes, ledger.task_view, f"star-{draw}")
        ledger.rollouts(len(more), sum(one.tokens for one in more))
        return [
            replace(one, text=one.text + self.continuation + tail.text, finished=tail.finish in FINISHED)
            for (_, one), tail in zip(ended, more, strict=True)
        ]

    def kept(self, drawn: Sequence[Completion], ledger: Ledger, context: Context) -> list[Completion]:
        """Those that are right with their tail and without it, with as many words before their conclusion."""
        kept = [one for one in super().kept(drawn, ledger, context) if spare(*self.parts(one.text)) > 0]
        heads = [self.parts(one.text)[0] for one in kept]
        grades = ledger.grades([one.item for one in kept], heads, [True] * len(kept))
        return [one for one, right in zip(kept, grades, strict=True) if right]

    def parts(self, text: str) -> tuple[str, str]:
        """(text before the tail, the tail with the words that it begins with); no tail: an empty second part."""
        head, joint, tail = text.partition(self.continuation)
        return head, joint + tail

    def training_rows(self, policy: Policy, kept: Sequence[Completion], context: Context) -> list[Row]:
        """What is trained on: the kept completions, cut."""
        rng = np.random.default_rng(int(context.rng.integers(2**31)))
        out = []
        for one in kept:
            head, tail = self.parts(one.text)
            text = {"nothing": head + tail, "tail": head}.get(self.cut) or without_span(head, tail, rng)
            out.append(Row(policy.prompt.render(one.item.question), text))
        words = [len(row.completion.split()) for row in out]
        context.log({"star/cut": self.cut, "star/words": float(np.mean(words)) if words else 0.0})
        return out


def spare(head: str, tail: str) -> int:
    """Positions before the conclusion (the last sentence of the head) at which as many words as the tail's begin."""
    steps = "".join(f" {sentence}" for sentence in sentences(head)[:-1])
    return len(_WORD.findall(steps)) - len(_WORD.findall(tail)) + 1


def without_span(head: str, tail: str, rng: np.random.Generator) -> str:
    """The whole text without as many words as the tail has, from a random position before the conclusion on.

    >>> without_span(" a b. c d. So e.", " Wait, f", np.random.default_rng(0))
    ' a b. So e. Wait, f'
    """
    words, count = _WORD.findall(head + tail), len(_WORD.findall(tail))
    first = int(rng.integers(max(1, spare(head, tail))))
    return "".join(words[:first] + words[first + count :])
