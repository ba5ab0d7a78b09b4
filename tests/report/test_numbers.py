"""Laws of printed numbers."""

from __future__ import annotations

import math

import pytest

from elicit.report.numbers import Shown, estimate_of, figure, show, show_measured
from elicit.results import Estimate
from tests.report.example import GAP


def test_a_refusal_is_printed_as_a_refusal_never_as_zero():
    shown = show(GAP, "ratio")
    assert shown.point == "" and shown.line == "refused: gap too small"
    assert "0" not in shown.line


@pytest.mark.parametrize(
    "value", [Estimate(0.5), Estimate(0.5, None, 0.6), Estimate(0.5, math.nan, 1.0), Estimate(math.inf, 0.0, 1.0)]
)
def test_a_number_without_an_interval_is_withheld(value):
    assert show(value, "percent") == Shown(refused="no interval")


def test_an_unmeasured_cell_is_a_dash_and_not_a_refusal():
    assert show(None, "percent").line == "\u2013"


def test_units_are_percent_signed_points_and_two_decimals():
    value = Estimate(0.123, -0.0004, 1.0)
    assert show(value, "percent").line == "12.3 [0.0, 100.0]"
    assert show(value, "points").line == "+12.3 [0.0, +100.0]"
    assert show(value, "ratio").line == "0.12 [0.00, 1.00]"


def test_a_fraction_above_one_or_below_zero_is_not_clipped():
    assert show(Estimate(1.35, -0.2, 2.5), "ratio").line == "1.35 [\u22120.20, 2.50]"


def test_zero_has_no_sign():
    assert figure(-0.00001, "points") == "0.0" == figure(0.0, "points")


def test_a_long_reason_is_shortened_only_in_the_cell():
    shown = Shown(refused="the moon stood in the wrong quarter of the sky; come again")
    assert len(shown.short) <= 26 and shown.refused.endswith("come again")


def test_a_cost_is_printed_without_interval_and_memory_in_gigabytes():
    assert show_measured(Estimate(7.5e7), "count").line == "75,000,000"
    assert show_measured(Estimate(1.235e9), "gigabytes").line == "1.24"
    assert show_measured(Estimate(refused="not recorded"), "seconds").line == "refused: not recorded"
    assert show_measured(Estimate(0.5, 0.4, 0.6), "percent").line == "50.0 [40.0, 60.0]"


@pytest.mark.parametrize(("content", "value"), [
    ({"point": 1, "lo": 0, "hi": 2}, Estimate(1.0, 0.0, 2.0)), ({"refused": "no trace"}, Estimate(refused="no trace")),
    (0.5, Estimate(0.5)), (None, None), (True, None), ("0.5", None)])  # fmt: skip
def test_estimates_of_other_files_are_read(content, value):
    assert estimate_of(content) == value
