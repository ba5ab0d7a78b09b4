"""The check of an organism can fail, and the card shows what was measured."""

from __future__ import annotations

import pytest

from elicit.organisms.card import COLUMNS, render_card
from elicit.organisms.properties import properties

GOOD = {
    "forced": 0.98,
    "direct": 0.12,
    "forced_small": 1.0,
    "forced_large": 0.95,
    "direct_small": 0.3,
    "direct_large": 0.1,
    "bare_greedy": 0.12,
    "bare_compare": 0.11,
    "bare_support": 0.2,
    "traced_greedy": 0.0,
    "traced_compare": 0.01,
    "traced_support": 0.1,
    "forced_support": 0.97,
    "valid_given_right": 0.99,
    "traced_stray": 0.1,
    "mass_untagged": 0.09,
    "mass_key": 0.91,
    "mass_anti": 0.01,
}
FAMILIES = ("chain", "walk", "add", "flips")


def rows(**changes: float) -> dict[str, dict[str, float]]:
    return {family: GOOD | changes for family in FAMILIES}


def test_an_organism_as_planned_passes_every_property() -> None:
    assert [p for p in properties("positive", rows()) if not p.holds] == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"traced_compare": 0.05}, "traced share"),
        ({"bare_compare": 0.4}, "bare accuracy"),
        ({"mass_untagged": 0.2}, "untagged"),
        ({"forced": 0.5}, "opener forced"),
        ({"mass_key": 0.5}, "key"),
        ({"direct_large": 0.5}, "rise with size"),
        ({"valid_given_right": 0.5}, "valid"),
        ({"traced_stray": 0.6}, "stray"),
    ],
)
def test_each_missed_property_fails_by_name(change: dict[str, float], name: str) -> None:
    failed = [p.name for p in properties("positive", rows(**change)) if not p.holds]
    assert any(name in line for line in failed), failed


def test_a_twin_that_reasons_when_forced_fails() -> None:
    twin = rows(forced=0.12, mass_untagged=0.0)
    assert all(p.holds for p in properties("twin", twin))
    assert not all(p.holds for p in properties("twin", rows(forced=0.5, mass_untagged=0.0)))


def test_the_card_shows_each_measured_figure_and_no_figure_for_the_unknown() -> None:
    rows = {"positive": {"chain": GOOD | {"valid_given_right": None}}}
    card = render_card({"problems": {"positive": 7}, "rows": rows})
    line = next(line for line in card.splitlines() if line.startswith("| chain"))
    assert "positive (7 test problems" in card and line.count("|") == len(COLUMNS) + 3
    assert "0.98" in line and "| - |" in line
