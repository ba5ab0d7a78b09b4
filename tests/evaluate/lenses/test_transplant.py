"""The transplant lens on rows made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from elicit.evaluate.lenses import LENSES
from elicit.evaluate.lenses.view import Side
from tests.evaluate.lenses.scene import CHAIN, side, view

ITEMS = CHAIN.items("test", 20)


def swapped(name: str, right: dict[tuple[str, str], list[np.ndarray]]) -> Side:
    """A policy with these grades [N] by (host, positions) and round."""
    rows: list[dict[str, Any]] = [
        {"item": item.id, "j": 0, "host": host, "positions": positions, "k": k, "strict": int(grades_N[i]), "swaps": k,
         "changed": k, "tokens": 5, "finish": "eos", "text": ""}
        for (host, positions), rounds in right.items()
        for k, grades_N in enumerate(rounds)
        for i, item in enumerate(ITEMS)
    ]  # fmt: skip
    return side(name, ITEMS, [[" The answer is 1."]] * 20, probes={"transplant": rows})


def first(count: int) -> np.ndarray:
    return (np.arange(20) < count).astype(int)


BASE = side("base", ITEMS, [[" The answer is 1."]] * 20, role="base")
CURVES = {
    ("base", "divergent"): [first(2), first(10), first(16)], ("base", "random"): [first(2), first(2), first(4)],
    ("method", "divergent"): [first(18), first(9), first(6)], ("method", "random"): [first(18), first(18), first(17)],
}  # fmt: skip


def test_shares_of_the_gap_are_what_the_swaps_recover_and_lose() -> None:
    found = LENSES["transplant"].read(view([BASE, swapped("rl", CURVES)], ITEMS)).columns["rl"]
    assert (found["base"].point, found["own"].point) == pytest.approx((0.1, 0.9))
    assert found["gain recovered"].point == pytest.approx((16 - 2) / 16)
    assert found["gain lost"].point == pytest.approx((18 - 6) / 16)
    assert found["base + k: divergent - random"].point == pytest.approx(12 / 20)
    assert found["own - k: divergent - random"].point == pytest.approx(-11 / 20)
    assert found["tokens that differ"].point == 2


def test_the_figure_has_one_curve_per_host_and_kind_of_positions_over_all_rounds() -> None:
    figure = LENSES["transplant"].read(view([BASE, swapped("rl", CURVES)], ITEMS)).figure
    assert figure is not None and figure["x"] == [0, 1, 2] and len(figure["series"]) == 4
    assert figure["series"][0]["y"] == pytest.approx([0.1, 0.5, 0.8])
    assert all(low <= y <= high for one in figure["series"]
               for low, y, high in zip(one["lo"], one["y"], one["hi"], strict=True))  # fmt: skip


def test_without_a_gap_there_is_no_share_of_it() -> None:
    same = {key: [first(6)] * 2 for key in CURVES}
    found = LENSES["transplant"].read(view([BASE, swapped("twin", same)], ITEMS)).columns["twin"]
    assert "do not differ" in str(found["gain recovered"].refused) and found["gain lost"].point is None
    assert found["base + k: divergent - random"].point == 0


def test_ungraded_texts_count_nowhere() -> None:
    grades = {key: [np.where(np.arange(20) < 10, -1, 1)] * 2 for key in CURVES}
    found = LENSES["transplant"].read(view([BASE, swapped("rl", grades)], ITEMS)).columns["rl"]
    assert found["base"].point == 1


def test_the_lens_says_how_to_run_it() -> None:
    assert "run=true" in str(LENSES["transplant"].read(view([BASE], ITEMS)).refused)
