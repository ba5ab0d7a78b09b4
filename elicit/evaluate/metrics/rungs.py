"""Rungs of the base: stronger ways to ask the same model.

    B0  the prompt of the comparison          B1  the best of the fixed prompts, chosen on dev
    B2  B1, forced to a method's mean tokens (budget forcing, arXiv 2501.19393)

Does not know files; no torch.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from elicit.errors import ConfigError
from elicit.evaluate.measures.measure import Measures
from elicit.evaluate.metrics.accuracy import accuracy

B2 = "B2"
"""how the names of its entries begin"""
B2_STEPS = 8
"""targets of B2 in a doubling: methods within 9 % of each other share one"""


def choose_b1(dev: Mapping[str, Measures]) -> str:
    """Name of the fixed prompt with the best strict dev accuracy; the first given wins a tie.

    Raises ConfigError without prompts, and if prompts were measured on different items.
    """
    if not dev:
        raise ConfigError("no prompt was measured on dev: rung B1 needs the task's fixed prompts (at least `bare`)")
    first = next(iter(dev))
    for name, measures in dev.items():
        if measures.items != dev[first].items:
            raise ConfigError(
                f"prompts {first!r} and {name!r} were measured on different dev items: measure both on the same"
            )
    return max(dev, key=lambda name: float(np.nanmean(accuracy(dev[name]))))


def forced_tokens(tokens: float, limit: int) -> int:
    """What B2 is forced to for a method with this many mean tokens: rounded up, so that it is never the cheaper one.

    At most the token limit of the comparison: a method of several chains spends more than one chain can.

    >>> [forced_tokens(tokens, 160) for tokens in (37.4, 38, 40, 410)]
    [39, 39, 42, 160]
    """
    step = int(np.ceil(B2_STEPS * np.log2(max(tokens, 1.0))))
    return min(int(np.ceil(2 ** (step / B2_STEPS))), limit)
