"""Token values of many traces at once, against one trace at a time."""

from __future__ import annotations

import numpy as np
import pytest

from elicit.errors import DataError
from elicit.evaluate.measures.ragged import Ragged
from elicit.sampling import confidence
from tests.reference import lenses as plain

RNG = np.random.default_rng(0)
ROWS = [RNG.normal(size=length).tolist() for length in (1, 5, 32, 33, 70, 2, 200)]


@pytest.mark.parametrize("width", [1, 4, 32, 128])
def test_windows_are_those_of_each_trace_alone(width: int) -> None:
    windows = Ragged.of(ROWS).windows(width)
    assert np.allclose(windows.values, [value for row in ROWS for value in plain.windows(row, width)])
    assert np.allclose(windows.least(), [confidence.lowest(row, width) for row in ROWS])
    assert np.allclose(windows.bottom(0.1), [confidence.bottom(row, width, 0.1) for row in ROWS])
    assert np.allclose(Ragged.of(ROWS).tail(width), [confidence.tail(row, width) for row in ROWS])


def test_means_and_largest_values() -> None:
    ragged = Ragged.of(ROWS)
    assert np.allclose(ragged.mean(), [np.mean(row) for row in ROWS])
    assert np.allclose(ragged.most(), [max(row) for row in ROWS])
    taken = ragged.take(np.array([4, 1]))
    assert np.allclose(taken.values, [*ROWS[4], *ROWS[1]])


def test_a_trace_without_tokens_has_no_value() -> None:
    ragged = Ragged.of([[1.0, 2.0], [], [3.0]])
    for values in (ragged.mean(), ragged.least(), ragged.tail(2), ragged.windows(2).least(), ragged.bottom(0.5)):
        assert np.isnan(values[1]) and np.isfinite(values[[0, 2]]).all()


def test_the_top_share_of_positions() -> None:
    row = [0.0] * 38 + [3.0, 1.0]
    assert np.allclose(Ragged.of([row, [2.0]]).top_share(0.05), [1.0, 1.0])
    assert np.allclose(Ragged.of([[1.0] * 40]).top_share(0.05), [2 / 40])
    assert np.isnan(Ragged.of([[0.0, 0.0]]).top_share(0.05)[0])  # nothing to share


def test_lengths_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(DataError, match="3 token values"):
        Ragged(np.zeros(3), np.array([1, 1]))
