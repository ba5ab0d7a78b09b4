"""Laws of printed numbers."""

from __future__ import annotations

import math

import pytest

from elicit.report.numbers import Shown, figure, show
from tests.report.example import GAP


def test_a_refusal_is_printed_as_a_refusal_never_as_zero():
    shown = show(GAP, "ratio")
    assert shown.point == "" and shown.line == "refused: gap too small"
    assert "0" not in shown.line


@pytest.mark.parametrize(
    "value", [{"point": 0.5}, {"point": 0.5, "lo": None, "hi": 0.6}, {"point": 0.5, "lo": math.nan, "hi": 1}, 0.5]
)
def test_a_number_without_an_interval_is_withheld(value):
    assert show(value, "percent") == Shown(refused="no interval")


def test_an_unmeasured_cell_is_a_dash_and_not_a_refusal():
    assert show(None, "percent").line == "\u2013"


def test_units_are_percent_signed_points_and_two_decimals():
    value = {"point": 0.123, "lo": -0.0004, "hi": 1.0}
    assert show(value, "percent").line == "12.3 [0.0, 100.0]"
    assert show(value, "points").line == "+12.3 [0.0, +100.0]"
    assert show(value, "ratio").line == "0.12 [0.00, 1.00]"


def test_a_fraction_above_one_or_below_zero_is_not_clipped():
    assert show({"point": 1.35, "lo": -0.2, "hi": 2.5}, "ratio").line == "1.35 [\u22120.20, 2.50]"


def test_zero_has_no_sign():
    assert figure(-0.00001, "points") == "0.0" == figure(0.0, "points")


def test_a_long_reason_is_shortened_only_in_the_cell():
    shown = Shown(refused="the moon stood in the wrong quarter of the sky; come again")
    assert len(shown.short) <= 26 and shown.refused.endswith("come again")
