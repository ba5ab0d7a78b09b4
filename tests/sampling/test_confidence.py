"""DeepConf's measures against loops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elicit.errors import ConfigError
from elicit.sampling import confidence

PATHS = st.lists(st.floats(0, 20), min_size=1, max_size=60)


def windows(path: list[float], window: int) -> list[float]:
    width = min(window, len(path))
    return [sum(path[start : start + width]) / width for start in range(len(path) - width + 1)]


@given(PATHS, st.integers(1, 70))
def test_measures_are_those_of_plain_loops(path: list[float], window: int) -> None:
    groups = sorted(windows(path, window))
    least = groups[: max(1, int(0.1 * len(groups)))]
    assert confidence.lowest(path, window) == pytest.approx(groups[0])
    assert confidence.bottom(path, window) == pytest.approx(sum(least) / len(least))
    assert confidence.tail(path, window) == pytest.approx(sum(path[-window:]) / len(path[-window:]))
    assert confidence.mean(path) == pytest.approx(sum(path) / len(path))


@given(PATHS, st.integers(1, 20), st.integers(0, 20))
def test_a_path_is_cut_at_the_first_full_window_below_the_threshold(path: list[float], window: int, limit: int) -> None:
    threshold = limit + 0.123456
    ends = [n for n in range(window, len(path) + 1) if confidence.mean(path[n - window : n]) < threshold]
    assert confidence.first_below(path, threshold, window) == (ends[0] if ends else None)


def test_an_empty_path_and_an_empty_window_are_errors() -> None:
    with pytest.raises(ConfigError, match="empty path"):
        confidence.mean([])
    with pytest.raises(ConfigError, match="window=0"):
        confidence.lowest([1.0], 0)
