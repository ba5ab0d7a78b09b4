"""Laws of labels: none covers another, whatever coincides."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text

from elicit.report.figures.figure import Axis, Chart, Label
from elicit.report.figures.labels import apart
from elicit.report.figures.marks import INK
from elicit.report.figures.writer import paint


def boxes(points: list[tuple[float, float, str]]) -> list[object]:
    labels = [Label(x, y, text, INK) for x, y, text in points]
    figure = paint(Chart((5.1, 3.5), [], Axis(limits=(0, 10)), Axis(limits=(0, 100)), labels))
    figure.canvas.draw()
    return [Text.get_window_extent(label) for label in figure.axes[0].texts]  # without the line that ties it


@pytest.mark.parametrize("points", [
    [(5.0, 50.0, f"method_{i}") for i in range(6)],
    [(9.9, 99.0, "contrastive"), (9.9, 99.1, "contrastive_v"), (9.8, 99.0, "cot_decoding")],
    [(0.1, 10.0, "B0"), (0.1, 11.0, "B1"), (0.2, 10.0, "rlvr")]])  # fmt: skip
def test_labels_of_points_that_coincide_do_not_overlap(points: list[tuple[float, float, str]]) -> None:
    for a, b in itertools.combinations(boxes(points), 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide <= 1 or high <= 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=12))
def test_moved_apart_keeps_order_and_distance(values: list[float]) -> None:
    placed = apart(values, 5.0, (0, 100))
    order = np.argsort(values, kind="stable")
    assert all(placed[b] - placed[a] >= 5.0 - 1e-6 for a, b in itertools.pairwise(order))
