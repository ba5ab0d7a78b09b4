"""Confidence of a model along a path: DeepConf's measures of token confidences (arXiv 2508.15260).

The top-20 confidence of a token is the negated mean log-prob of the 20 most probable tokens at its step: large if few
tokens hold the mass. It is not self-certainty (`Path.certainties`, arXiv 2502.18581), which is KL(uniform || p) over
the full vocabulary; `mean` serves both. A group is a sliding window of tokens, its confidence their mean. A window
longer than the path is the complete path (the published window of 2,048 never acts on short traces). Pure numpy; knows
nothing of votes or filters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elicit.errors import ConfigError


def _checked(confidences: Sequence[float]) -> np.ndarray:
    values = np.asarray(confidences, dtype=np.float64)
    if values.size == 0:
        raise ConfigError("confidence of an empty path: a completion has at least one token")
    return values


def groups(confidences: Sequence[float], window: int) -> np.ndarray:
    """Mean confidence of every full window, [max(T - window, 0) + 1].

    >>> groups([1.0, 2.0, 6.0], 2).tolist()
    [1.5, 4.0]
    """
    values = _checked(confidences)
    if window < 1:
        raise ConfigError(f"window={window}: use 1 token or more")
    width = min(window, len(values))
    return np.lib.stride_tricks.sliding_window_view(values, width).mean(-1)


def mean(confidences: Sequence[float]) -> float:
    """Mean over the path."""
    return float(_checked(confidences).mean())


def lowest(confidences: Sequence[float], window: int = 32) -> float:
    """The window with the lowest confidence: online filtering compares it with a threshold."""
    return float(groups(confidences, window).min())


def bottom(confidences: Sequence[float], window: int = 32, share: float = 0.1) -> float:
    """Mean of the `share` of the windows with the lowest confidence (at least one)."""
    values = np.sort(groups(confidences, window))
    return float(values[: max(1, int(share * len(values)))].mean())


def tail(confidences: Sequence[float], window: int = 32) -> float:
    """Mean of the last `window` tokens."""
    return float(_checked(confidences)[-window:].mean())


def first_below(confidences: Sequence[float], threshold: float, window: int = 32) -> int | None:
    """Tokens generated when a full window first falls below `threshold`, at which online DeepConf cuts; None: never.

    A path shorter than the window is never cut.
    """
    if len(confidences) < window:
        return None
    below = np.nonzero(groups(confidences, window) < threshold)[0]
    return int(below[0]) + window if below.size else None
