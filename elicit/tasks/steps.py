"""Changed steps of a trace: another symbol, another order. Knows neither where a trace is cut nor what it is for."""

from __future__ import annotations

import random
from collections.abc import Sequence


def another(symbol: str, among: str, rng: random.Random) -> str:
    """One of the symbols in `among` that is not `symbol`; `symbol` itself if there is none."""
    return rng.choice([each for each in among if each != symbol] or [symbol])


def reordered(steps: Sequence[str], rng: random.Random) -> list[str]:
    """The steps in another order; the same one only if all steps are equal."""
    new = list(steps)
    while new == list(steps) and len(set(steps)) > 1:
        new = rng.sample(list(steps), len(steps))
    return new
