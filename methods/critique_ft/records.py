"""What travels between responses, critics and controls: plain data, and how a balanced set of it is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.policy import Policy
    from elicit.records import Item


@dataclass(frozen=True)
class Response:
    """One proposed answer to one item. The critic decides whether it is right."""

    item: Item
    text: str
    finished: bool = True


@dataclass(frozen=True)
class Example:
    """One response with its critique."""

    key: str
    """what examples of one problem share: the item's id, or the hash of a file's question"""
    question: str
    response: str
    critique: str
    """as it follows the prompt, with its leading blank"""
    right: bool
    """the critique's verdict on the response"""


class Responder(Protocol):
    """A source of responses. A class that inherits from it gets its defaults."""

    @property
    def samples(self) -> int:
        """Completions per item that the policy generates; 0: none."""
        return 0

    def responses(self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item]) -> list[Response]: ...


class Critic(Protocol):
    """A source of critiques. A class that inherits from it gets its defaults."""

    @property
    def samples(self) -> int:
        """Reviews of each item that the policy generates; 0: none."""
        return 0

    @property
    def brings_responses(self) -> bool:
        """Whether the critic has responses of its own, and gets none."""
        return False

    @property
    def verdict_only(self) -> bool:
        """Whether its critiques are nothing but a verdict, so that all of one verdict are the same text."""
        return False

    def examples(
        self, policy: Policy, ledger: Ledger, context: Context, responses: Sequence[Response], rows: int
    ) -> list[Example]:
        """At most `rows` examples, right and wrong responses in equal numbers if there are enough of both."""
        ...


def balanced(verdicts: Sequence[bool | None], rows: int, rng: np.random.Generator) -> list[int]:
    """Places of at most `rows` responses in random order: half right, half wrong, the rest from the larger class.

    Responses without a verdict (ungraded) are left out.
    """
    sides = [[place for place, verdict in enumerate(verdicts) if verdict is side] for side in (True, False)]
    sides = [[side[i] for i in rng.permutation(len(side))] for side in sides]
    half = rows // 2
    taken = [min(len(sides[0]), max(half, rows - len(sides[1]))), 0]
    taken[1] = min(len(sides[1]), rows - taken[0])
    chosen = [*sides[0][: taken[0]], *sides[1][: taken[1]]]
    return [chosen[i] for i in rng.permutation(len(chosen))]
