"""Laws of the scorecard."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from elicit.errors import DataError
from elicit.report import scorecard
from elicit.report.pages.overview import lines as overview_lines
from elicit.report.pages.overview import overview
from elicit.report.pages.scorecard import lines
from elicit.report.pages.tables import scorecard_columns
from elicit.report.rows import load, rows
from elicit.results import Member
from tests.report.example import HOSTILE, comparison, hostile


def printed(given, expected=None, terminal=False, width=200):
    out = io.StringIO()
    scorecard(given, expected, Console(file=out, force_terminal=terminal, width=width, color_system=None))
    return out.getvalue()


def test_every_policy_has_one_row_grouped_by_role_and_controls_follow_their_method():
    given = comparison()
    given.lines.reverse()
    table = rows(load(given))
    assert sorted(row.line.id for row in table) == sorted(line.id for line in given.lines)
    assert [row.role for row in table][:3] == ["base", "prompt", "ceiling"]
    assert [row.role for row in table][3:] == ["method", "placebo", "rival"] * 5
    for method, placebo, rival in zip(table[3::3], table[4::3], table[5::3], strict=True):
        assert placebo.line.parent == rival.line.parent == method.line.name


def test_a_control_without_its_method_is_still_shown_by_its_whole_name():
    given = comparison()
    given.lines = [line for line in given.lines if line.name != "rlvr"]
    strays = rows(load(given))[-2:]
    assert [row.group for row in strays] == ["Controls without their method"] * 2
    assert [row.label for row in strays] == [row.line.name for row in strays]
    assert all(row.line.parent == "rlvr" and row.label.startswith("rlvr") for row in strays)


def test_no_number_without_interval_and_every_row_has_n_seeds_and_class():
    given = load(comparison())
    table = rows(given)
    columns = scorecard_columns(given, table)
    for row in table:
        for column in columns:
            cell = row.cell(column)
            assert bool(cell.point) == bool(cell.interval)
        assert re.fullmatch(r"\d+\s\u00d7\s\d+", row.sample_size)
        assert row.seeds >= 1 and row.data_class
    head, _, *body = lines(table, columns)
    assert all(title in head for title in ("Items \u00d7 n", "Seeds", "Class"))
    assert len(body) == len(table)


def test_a_rung_has_no_gain_over_itself_and_references_have_no_fraction():
    given = load(comparison())
    table = rows(given)
    cells = {row.badge: {c.key: row.cell(c).line for c in given.columns} for row in table}
    assert cells["B0"]["gain/B0"] == "\u2013" and cells["B1"]["gain/B0"].startswith("+6.0")
    assert {cells[badge]["ef/B0/C4"] for badge in ("B0", "B1", "ceiling")} == {"\u2013"}
    assert {cells[badge]["ctrl/gain"] for badge in ("placebo", "rival")} == {"\u2013"}


def test_a_refusal_is_in_the_cell_in_short_and_below_in_full():
    given = load(comparison())
    cells = [row.cell(column).line for row in rows(given) for column in given.columns]
    assert cells.count("refused: gap too small") > 5
    text = printed(comparison())
    assert "below max(5 points, 2 SE)" in text


def test_one_seed_is_noted_and_several_seeds_are_not_called_one():
    assert "1 seed: interval over items only" in printed(comparison())
    given = comparison()
    for line in given.lines:
        line.seeds = 3
    assert "1 seed" not in printed(given)


def test_a_checkpoint_that_is_no_base_model_is_named_so():
    given = comparison()
    given.checkpoint["base_model"] = False
    assert "not a base model: no latent claim" in printed(given)


def test_expected_figures_are_next_to_the_measured_ones_with_their_agreement():
    text = printed(comparison(), {"rlvr": 0.97, "critique_ft": {"acc": [0.1, 0.2], "ef": 0.76}})
    assert "acc 0.97 ok" in text
    assert "acc 0.10\u20130.20 DIFFERS, ef 0.76 ok" in text


def test_plain_lines_hold_no_control_codes_and_wide_lines_are_not_folded():
    text = printed(comparison(), width=40)
    assert "\x1b" not in text
    assert any(len(line) > 150 for line in text.splitlines())


@pytest.mark.parametrize("width", [80, 120, 180])
def test_a_terminal_of_any_width_shows_every_method(width):
    text = printed(comparison(), terminal=True, width=width)
    assert all(name in text for name in ("rlvr", "critique_ft", "cot_decoding"))


def test_hostile_names_reach_the_terminal_without_codes_or_markup():
    given = hostile(10)
    given.lines[3].name = "[bold red]x[/] " + HOSTILE
    for terminal in (False, True):
        text = printed(given, terminal=terminal, width=300)
        assert "\x1b[31m" not in text and "\u202e" not in text
        assert "[bold red]x[/]" in text


@pytest.mark.parametrize(("broken", "message"), [
    ({"schema": 3}, "schema 3"), ({"schema": 1, "policies": []}, "no policies"),
    ({"schema": 1, "policies": [{"id": "a", "name": "n", "role": "base"}]}, "has no acc"),
    ({"schema": 1, "policies": [{"id": "a", "name": "n", "role": "wizard", "acc": {}}]}, "'wizard'")])  # fmt: skip
def test_an_unreadable_comparison_is_refused_with_its_fault(broken, message):
    with pytest.raises(DataError, match=message):
        scorecard(broken)


def test_several_comparisons_are_one_table_with_a_dash_for_a_policy_that_one_of_them_lacks():
    chain, add = replace(comparison(), group="g-chain"), replace(comparison(), group="g-add")
    add.lines = [line for line in add.lines if line.name != "rlvr"]
    head, *body = overview_lines([chain, add])
    assert head.split("  ")[0] == "" and "g-chain: " in head and "g-add: " in head
    assert len(body) == len(chain.lines)
    line = next(line for line in body if line.startswith("rlvr"))
    assert line.split()[-4:] == ["\u2013"] * 4
    out = io.StringIO()
    overview([chain], Console(file=out))
    assert out.getvalue() == ""


def test_a_placebo_with_several_draws_shows_them_all():
    given = comparison()
    placebo = next(line for line in given.lines if line.role == "placebo")
    placebo.seeds = 3
    placebo.members = tuple(Member(str(s), s, None, acc) for s, acc in enumerate((0.1, 1.0, 0.12)))
    assert f"{placebo.name}: 3 draws, accuracy 10.0, 12.0, 100.0." in printed(given)
