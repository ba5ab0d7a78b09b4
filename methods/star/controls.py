"""Controls of STaR: which completions of an item are kept, instead of the right ones.

* at_random (placebo `kept_at_random`): the same number of completions of each item, whatever they state. The same bias
  towards finished completions, the same number of steps, no verdict.
* right_with_wrong_steps, right_and_valid (rivals): right answers whose trace has a violation, or none. RL-STaR (arXiv
  2410.23912) claims that occasional wrong steps among right answers do no harm.

Functions of one item's completions; knows nothing of rounds or training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from elicit.errors import MethodError

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.sampling.own import Completion


def at_random(drawn: Sequence[Completion], count: int, rng: np.random.Generator) -> list[Completion]:
    """`count` completions of an item, in random order."""
    return [drawn[place] for place in rng.permutation(len(drawn))[:count]]


def by_steps(right: Sequence[Completion], valid: bool, ledger: Ledger) -> list[Completion]:
    """The right completions of an item whose trace is valid, or is not; a label bit each.

    Raises MethodError if the task has no validator.
    """
    try:
        verdicts = [ledger.valid(completion.item, completion.text) for completion in right]
    except LookupError as fault:
        keep = "right_and_valid" if valid else "right_with_wrong_steps"
        raise MethodError(f"star.keep={keep}: {fault}; use keep=right") from None
    return [completion for completion, verdict in zip(right, verdicts, strict=True) if verdict is valid]
