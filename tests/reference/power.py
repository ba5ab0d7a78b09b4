"""p^alpha by enumeration on a table of next-token probabilities, and the published Metropolis-Hastings kernel restated.

Token 0 ends. A completion is a string of tokens with 0 at its end only, of at most H tokens. Everything is in closed
form: transition matrices, not simulations.

The restated kernel (arXiv 2510.14901's public loop, in our words): the cut is drawn below the current length, the
proposal may not become longer than the current state, and the current suffix is summed only as far as the proposal
reaches. So its horizon moves with the state: strings can only get shorter, and p^alpha is not its law.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np

Text = tuple[int, ...]
Table = Mapping[Text, np.ndarray]
"""prefix -> probabilities of the next token"""


def table(seed: int, horizon: int, tokens: int = 3) -> dict[Text, np.ndarray]:
    """Random probabilities behind every prefix without an end."""
    rng = np.random.default_rng(seed)
    prefixes = [p for length in range(horizon) for p in itertools.product(range(1, tokens), repeat=length)]
    return {prefix: rng.dirichlet(np.ones(tokens)) for prefix in prefixes}


def strings(probabilities: Table) -> list[Text]:
    """All strings that a chain can be in: ended ones, and open ones of any length up to the horizon."""
    return [(*prefix, token) for prefix, row in probabilities.items() for token in range(len(row))]


def completions(probabilities: Table, horizon: int) -> list[Text]:
    """Ended strings and those of full length."""
    return [text for text in strings(probabilities) if text[-1] == 0 or len(text) == horizon]


def power(probabilities: Table, text: Text, alpha: float) -> float:
    """p(text)^alpha."""
    return math.prod(float(probabilities[text[:place]][token]) ** alpha for place, token in enumerate(text))


def law(probabilities: Table, horizon: int, alpha: float, min_length: int = 0) -> tuple[dict[Text, float], float]:
    """(p^alpha normalised over the completions, its sum Z); ended ones below the minimum length have no mass."""
    masses = {
        text: power(probabilities, text, alpha) if text[-1] != 0 or len(text) >= min_length else 0.0
        for text in completions(probabilities, horizon)
    }
    total = sum(masses.values())
    return {text: mass / total for text, mass in masses.items()}, total


def proposed(probabilities: Table, text: Text, cut: int, alpha: float) -> float:
    """q(text from `cut` on | text before it)."""
    chance = 1.0
    for place in range(cut, len(text)):
        row = probabilities[text[:place]] ** alpha
        chance *= float(row[text[place]] / row.sum())
    return chance


def log_weight(probabilities: Table, text: Text, first: int, end: int, alpha: float) -> float:
    """Sum of log z over the steps first..end-1 of a text."""
    return sum(math.log((probabilities[text[:place]] ** alpha).sum()) for place in range(first, min(end, len(text))))


def moving_horizon(probabilities: Table, alpha: float) -> tuple[list[Text], np.ndarray]:
    """(states, transition matrix) of the published kernel."""
    states = strings(probabilities)
    index = {text: place for place, text in enumerate(states)}
    matrix = np.zeros((len(states), len(states)))
    for text in states:
        for cut in range(len(text)):
            for other in states:
                reaches = other[-1] == 0 or len(other) == len(text)
                if other[:cut] != text[:cut] or not cut < len(other) <= len(text) or not reaches:
                    continue
                ratio = log_weight(probabilities, other, cut, len(other), alpha)
                ratio -= log_weight(probabilities, text, cut, len(other), alpha)
                moved = proposed(probabilities, other, cut, alpha) / len(text)
                matrix[index[text], index[other]] += moved * min(1.0, math.exp(ratio))
        matrix[index[text], index[text]] += 1 - matrix[index[text]].sum()
    return states, matrix


def imbalance(states: list[Text], matrix: np.ndarray, target: Mapping[Text, float]) -> float:
    """Largest |pi(x) T(x, y) - pi(y) T(y, x)|."""
    flow = np.array([target.get(text, 0.0) for text in states])[:, None] * matrix
    return float(np.abs(flow - flow.T).max())


def distance_after(states: list[Text], matrix: np.ndarray, start: Mapping[Text, float], target: Mapping[Text, float],
                   steps: int) -> float:  # fmt: skip
    """Total variation between the law after so many steps and the target."""
    now = np.array([start.get(text, 0.0) for text in states]) @ np.linalg.matrix_power(matrix, steps)
    return total_variation(dict(zip(states, now.tolist(), strict=True)), target)


def total_variation(one: Mapping[Text, float], other: Mapping[Text, float]) -> float:
    """Half the summed differences."""
    return sum(abs(one.get(text, 0.0) - other.get(text, 0.0)) for text in {*one, *other}) / 2
