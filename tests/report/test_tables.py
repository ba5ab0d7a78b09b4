"""Laws of the tables next to the scorecard: what was split or annotated is shown; if nothing was, the page says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from elicit.report import report
from elicit.report.pages.tables import (
    Table,
    distance_table,
    figures_table,
    further_table,
    p_value_table,
    scorecard_columns,
    split_table,
)
from elicit.report.rows import load, rows
from elicit.results import Column, Comparison, Curve, Estimate, Line
from elicit.results.comparison import ROLES
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


def test_a_column_without_a_number_in_any_row_is_a_sentence_with_its_reason(tmp_path: Path) -> None:
    given = annotated({"split/budget": refused("rung B2 was not measured: eval=full samples it")})
    table = made(split_table, given)
    assert "split/budget" not in {column.key for column in table.columns}
    (budget,) = (column.title for column in given.table("split") if column.key == "split/budget")
    assert table.unmeasured == (f"{budget}: rung B2 was not measured: eval=full samples it",)
    for page in text(given, tmp_path):
        assert f"Not measured in any row: {budget}: rung B2 was not measured" in page


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
        assert "from every rung to every ceiling" in page


def test_without_annotations_the_page_says_how_to_make_them(tmp_path: Path) -> None:
    plain = brief()
    for line in plain.lines:
        line.values |= NONE
    for page in text(plain, tmp_path):
        assert "eval.annotate=true" in page and "How far from the base" not in page


def test_the_scorecard_has_one_elicitation_fraction_and_a_table_of_its_own_has_all(tmp_path: Path) -> None:
    given = annotated({"ef/B0/C3": estimate(0.87), "ef/B0/C2": GAP})
    table = made(further_table, given)
    keys = [column.key for column in table.columns]
    assert {"ef/B0/C4", "ef/B0/C1", "ef/B1/C4", "ef/B0/C2", "ef/B0/C3"} <= set(keys) and len(set(keys)) == len(keys)
    loaded = load(given)
    shown = scorecard_columns(loaded, rows(loaded))
    assert [column.key for column in shown if column.key.startswith("ef/")] == ["ef/B1/C4"]
    page, _ = text(given, tmp_path)
    head = page[page.index("<thead>") : page.index("</thead>")]
    assert "C3" not in head and "from every rung to every ceiling" in page


def test_a_comparison_without_these_columns_is_still_shown(tmp_path: Path) -> None:
    given = brief()
    given.lines[:] = [replace(line, values=without(without(line.values, "split"), "ef")) for line in given.lines]
    for build in (split_table, distance_table, further_table):
        assert not made(build, given).lines
    bare = replace(brief(), columns=())
    assert not made(figures_table, bare).lines
    text(bare, tmp_path)


def test_a_refused_p_is_shown_with_its_reason(tmp_path: Path) -> None:
    reason = "two training seeds: too few for a p value; fit a third (sweep=seeds)"
    given = annotated({"p/gain": refused(reason), "p/ctrl": Estimate(0.0312), "p/ctrl_holm": Estimate(3e-43)})
    table = made(lambda _, table: p_value_table(table), given)
    (row, cells, _), *others = table.lines
    assert row.role == "method" and not others
    assert [cell.line for cell in cells] == [
        "refused: two training seeds", "\u2013", "0.031", "< 1e-6", "\u2013"]  # fmt: skip
    for page in text(given, tmp_path):
        assert "refused: two training seeds" in page
        assert f"Refused, {reason}: {row.name} (Gain, p)." in page


def test_the_base_and_its_ceiling_are_next_to_the_methods_if_something_of_them_was_measured() -> None:
    taus = [Column(f"cover/{tau}", f"Cover@{tau}", "percent", "", "figures", ROLES) for tau in (0.2, 0.8)]
    slope = Column("sharpening/covariance", "Reward and log p", "points", "", "figures", ("base", "ceiling"))
    given = annotated({"cover/0.2": share(0.9), "cover/0.8": share(0.7)})
    base = given.lines[0]
    base.values |= {"cover/0.2": share(0.3), "cover/0.8": refused("the model does not fit")}
    base.values["sharpening/covariance"] = estimate(0.04)
    c1 = Line("c1", "C1", "ceiling", values={"cover/0.2": share(0.5), "sharpening/covariance": estimate(0.05)})
    silent = Line("c2", "C2", "ceiling", values={"cover/0.2": refused("n = 1")})
    given = replace(given, columns=(*taus, slope), lines=[base, c1, silent, *given.lines[1:]])
    table = made(figures_table, given)
    shown = {row.name: [cell.line for cell in cells] for row, cells, _ in table.lines}
    assert [row.role for row, _, _ in table.lines] == ["base", "ceiling", "method", "placebo", "rival"]
    assert shown[base.name] == ["30.0 [27.0, 33.0]", "refused: the model does not fit", "+4.0 [+1.0, +7.0]"]
    assert shown["C1"] == ["50.0 [47.0, 53.0]", "\u2013", "+5.0 [+2.0, +8.0]"]
    assert shown[given.lines[3].name] == ["90.0 [87.0, 93.0]", "70.0 [67.0, 73.0]", "\u2013"]


def test_where_the_cover_of_a_method_crosses_that_of_the_base_is_in_the_page(tmp_path: Path) -> None:
    given = annotated()
    given.lines[1].notes["cover/crossing"] = "above the base at every tau"
    for page in text(given, tmp_path):
        assert f"Cover@tau: {given.lines[1].name} above the base at every tau." in page.replace("\\_", "_")


def test_what_the_base_solves_if_it_is_asked_more_often_is_a_sentence_of_the_page(tmp_path: Path) -> None:
    asked = {"E": 30, "asked": 30, "solved_by_base": 12, "unsolved": 18, "upper_bound": 0.0029}
    given = annotated({f"support/escalation/{key}": Estimate(x) for key, x in asked.items()})
    given.lines[1].values["support/NDR"] = refused("regime compare")
    for page in text(given, tmp_path):
        assert "30 items were solved by it and by no sample of the base" in page
        assert "solves 12 of them; 18 stay unsolved, each with a rate below 0.3 % (95 % bound)" in page


def test_every_other_column_is_in_the_page_and_costs_have_no_interval(pages: tuple[str, str]) -> None:
    costs = {"cost/flops": Estimate(7.5e7), "cost/seconds_amortised/10000": Estimate(0.031), "support/SRR": share(0.9)}
    given = annotated(costs)
    given.lines[1].curves["cov"] = Curve((1, 2), (0.5, 0.7), (0.4, 0.6), (0.6, 0.8))
    table = made(figures_table, given)
    method = next(cells for row, cells, _ in table.lines if row.role == "method")
    shown = {column.key: cell for column, cell in zip(table.columns, method, strict=True)}
    assert [shown[key].point for key in ("cov", "support/SRR", "ctrl/specificity")] == ["70.0", "90.0", "90.0"]
    assert shown["cost/flops"].point == "75,000,000" and shown["cost/flops"].interval == ""
    assert "Specificity" in pages[0] and "Specificity" in pages[1]
