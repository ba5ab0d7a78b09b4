"""Laws of the range of doses: it holds the best one, nothing that is clearly worse, and no gap; the wall is a KL."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from elicit.sampling.dose_range import WALL, dose_range, within_noise


def rows(accuracies: list[float], kl: list[float] | None = None, items: int = 48, write: str = "every") -> list[dict]:
    kl = kl or [0.0] * len(accuracies)
    cells = zip(accuracies, kl, strict=True)
    return [
        {"write": write, "strength": float(i), "accuracy": share, "kl": cost, "dev_items": items}
        for i, (share, cost) in enumerate(cells)
    ]


def test_doses_that_are_as_good_are_in_the_range_and_clearly_worse_ones_are_not() -> None:
    found = dose_range(rows([0.1, 0.3, 0.95, 1.0, 0.98, 0.4]), "every")
    assert found is not None and (found.lo, found.best, found.hi) == (2.0, 3.0, 4.0)
    assert not found.zero_within and found.wall is None
    assert "strengths 2 to 4 at every within noise of the best (3: 1.00 on 48 dev items)" in found.line
    assert found.row("x")["x/range/hi"] == 4.0 and "x/range/wall" not in found.row("x")


def test_a_dose_beyond_a_bad_one_is_not_in_the_range() -> None:
    found = dose_range(rows([0.1, 0.95, 0.2, 1.0]), "every")
    assert found is not None and (found.lo, found.hi) == (3.0, 3.0)


def test_if_no_edit_is_within_noise_that_is_said() -> None:
    found = dose_range(rows([0.10, 0.12, 0.15]), "every")
    assert found is not None and found.zero_within and "so is no edit at all" in found.line


def test_the_wall_is_the_first_dose_with_that_kl() -> None:
    found = dose_range(rows([0.1, 0.5, 0.5, 0.5], [0.0, 0.2, WALL, 3.0]), "every")
    assert found is not None and found.wall == 2.0 and found.line.endswith("from 2")


def test_other_positions_do_not_count_and_a_position_without_a_dose_has_no_range() -> None:
    mixed = [*rows([0.1, 0.5]), *rows([0.1, 1.0], write="onward")]
    found = dose_range(mixed, "every")
    assert found is not None and found.accuracy == 0.5
    assert dose_range(mixed, "prompt") is None and dose_range(rows([0.3]), "every") is None


@given(st.lists(st.integers(0, 48), min_size=2, max_size=8))
def test_the_range_is_without_gaps_and_every_dose_in_it_is_within_noise(counts: list[int]) -> None:
    found = dose_range(rows([count / 48 for count in counts]), "every")
    assert found is not None and found.lo <= found.best <= found.hi
    inside = [count / 48 for i, count in enumerate(counts) if i and found.lo <= i <= found.hi]
    assert max(inside) == found.accuracy == max(counts[1:]) / 48
    assert all(within_noise(found.accuracy, share, 48) for share in inside)


def test_the_rule_is_agresti_and_caffo_s() -> None:
    n, best, other = 40, 30, 20
    p, q = (best + 1) / (n + 2), (other + 1) / (n + 2)
    limit = 1.96 * math.sqrt(p * (1 - p) / (n + 2) + q * (1 - q) / (n + 2))
    assert within_noise(best / n, other / n, n) == (p - q <= limit)
    assert within_noise(1.0, 1.0, 1) and not within_noise(1.0, 0.0, 48)
