"""Laws of the tables next to the scorecard: what was split or annotated is shown; if nothing was, the page says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from elicit.report import report
from elicit.report.pages.tables import Table, distance_table, figures_table, further_table, split_table
from elicit.report.rows import load, rows
from elicit.results import Comparison, Curve, Estimate
from tests.report.example import GAP, brief, estimate, refused, share, without

SPLIT = {
    "split/gain": estimate(0.81), "split/format": estimate(0.01), "split/prompt": estimate(0.06),
    "split/budget": estimate(-0.02), "split/remainder": estimate(0.76),
}  # fmt: skip
NO_B2 = SPLIT | {"split/budget": refused("rung B2 was not measured: eval=full samples it")}
KL = {"kl/sequence": estimate(1.9), "kl/token": estimate(0.07), "kl/top_share": share(0.6)}
BOUND = {"kl/sequence": refused("its strategy has no next-token distribution of its own"),
         "kl/bound": estimate(1.4, 0), "kl/percentile": share(0.9)}  # fmt: skip
LIKELIHOOD = {"likelihood/nll": estimate(0.61), "likelihood/rank_10": share(0.02), "likelihood/typicality": share(0.45)}
SIZE = {"likelihood/n_items": 48, "likelihood/n": 4}
WHY = refused("not annotated: eval.annotate=true (at the bare prompt), or elicit lens GROUP run=true")
NONE = {"kl/sequence": WHY, "likelihood/nll": WHY}


def annotated(more: dict[str, Estimate] | None = None) -> Comparison:
    """The base and one method with its controls; `more` goes to the method, its controls were split without B2."""
    out = brief()
    base, method, *controls = out.lines
    base.values |= {"split/gain": refused("not fitted")} | KL | LIKELIHOOD
    base.notes |= SIZE
    method.values |= SPLIT | BOUND | LIKELIHOOD | (more or {})
    method.notes |= SIZE | {"split/against": "B2"}
    for control in controls:
        control.values |= NO_B2 | NONE
        control.notes |= {"split/against": "B1"}
    return out


def made(build: object, comparison: Comparison) -> Table:
    """One of the tables of a comparison."""
    given = load(comparison)
    assert callable(build)
    table = build(given, rows(given))
    assert isinstance(table, Table)
    return table


def text(comparison: Comparison, out: Path) -> tuple[str, str]:
    page = report(comparison, out)
    return page.read_text(encoding="utf-8"), (out / "report.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return text(annotated(), tmp_path_factory.mktemp("page"))


def test_every_split_is_a_line_that_names_what_its_remainder_is_against() -> None:
    table = made(split_table, annotated())
    assert [(row.role, rest) for row, _, rest in table.lines] == [("method", "B2"), ("placebo", "B1"), ("rival", "B1")]
    assert [shown.point for shown in table.lines[0][1]] == ["+81.0", "+1.0", "+6.0", "\u22122.0", "+76.0"]
    assert table.lines[1][1][3].short == "rung B2 was not measured"


def test_only_annotated_policies_are_lines_and_only_filled_columns_are_there() -> None:
    table = made(distance_table, annotated())
    assert [row.role for row, _, _ in table.lines] == ["base", "method"]
    assert {rest for _, _, rest in table.lines} == {"48\u00a0\u00d7\u00a04"}
    assert [column.key for column in table.columns] == [
        "kl/sequence", "kl/token", "kl/top_share", "kl/bound", "kl/percentile", "likelihood/nll", "likelihood/rank_10",
        "likelihood/typicality"]  # fmt: skip
    assert "no next-token" in table.lines[1][1][0].refused and table.lines[0][1][0].point == "1.90"


def test_the_pages_hold_both_tables(pages: tuple[str, str]) -> None:
    for page in pages:
        for words in ("Where a gain comes from", "Remainder against", "How far from the base", "Typicality", "+76.0"):
            assert words in page
        assert "further ceilings" not in page


def test_without_annotations_the_page_says_how_to_make_them(tmp_path: Path) -> None:
    plain = brief()
    for line in plain.lines:
        line.values |= NONE
    for page in text(plain, tmp_path):
        assert "eval.annotate=true" in page and "How far from the base" not in page


def test_further_ceilings_have_a_table_of_their_own_and_add_no_column_to_the_scorecard(tmp_path: Path) -> None:
    given = annotated({"ef/B0/C3": estimate(0.87), "ef/B0/C2": GAP})
    table = made(further_table, given)
    assert [column.key for column in table.columns] == ["ef/B0/C2", "ef/B0/C3"] and len(table.lines) == 1
    page, _ = text(given, tmp_path)
    head = page[page.index("<thead>") : page.index("</thead>")]
    assert "C3" not in head and "further ceilings" in page


def test_a_comparison_without_these_columns_is_still_shown(tmp_path: Path) -> None:
    given = brief()
    given.lines[:] = [replace(line, values=without(line.values, "split")) for line in given.lines]
    for build in (split_table, distance_table, further_table):
        assert not made(build, given).lines
    bare = replace(brief(), columns=())
    assert not made(figures_table, bare).lines
    text(bare, tmp_path)


def test_every_other_column_is_in_the_page_and_costs_have_no_interval(pages: tuple[str, str]) -> None:
    costs = {"cost/flops": Estimate(7.5e7), "cost/seconds_amortised/10000": Estimate(0.031), "support/SRR": share(0.9)}
    given = annotated(costs)
    given.lines[1].curves["cov"] = Curve((1, 2), (0.5, 0.7), (0.4, 0.6), (0.6, 0.8))
    table = made(figures_table, given)
    shown = {column.key: cell for column, cell in zip(table.columns, table.lines[0][1], strict=True)}
    assert [shown[key].point for key in ("cov", "support/SRR", "ctrl/specificity")] == ["70.0", "90.0", "90.0"]
    assert shown["cost/flops"].point == "75,000,000" and shown["cost/flops"].interval == ""
    assert "Specificity" in pages[0] and "Specificity" in pages[1]
