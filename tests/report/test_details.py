"""Laws of the tables behind the scorecard: what was split or annotated is shown, what was not says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elicit.report import report
from elicit.report.pages.details import distance_table, figures_table, further_table, split_table
from elicit.report.rows import load, rows
from tests.report.example import GAP, brief, estimate, share

SPLIT = {
    "gain": estimate(0.81), "format": estimate(0.01), "prompt": estimate(0.06), "budget": estimate(-0.02),
    "remainder": estimate(0.76), "against": "B2", "b2": "B2, 48 tokens", "prompt_of_method": "bare",
}  # fmt: skip
NO_B2 = SPLIT | {"budget": {"refused": "rung B2 was not measured: eval=full samples it"}, "against": "B1"}
KL = {"sequence": estimate(1.9), "token": estimate(0.07), "top_share": share(0.6), "regime": "support", "n_items": 48,
      "n": 4}  # fmt: skip
BOUND = {"sequence": {"refused": "its strategy has no next-token distribution of its own"}, "bound": estimate(1.4, 0),
         "percentile": share(0.9), "regime": "compare", "n_items": 48, "n": 4}  # fmt: skip
LIKELIHOOD = {"nll": estimate(0.61), "rank_10": share(0.02), "typicality": share(0.45), "n_items": 48, "n": 4}
NONE = {"refused": "not annotated: eval.annotate=true (at the bare prompt), or elicit lens GROUP run=true"}


def told(**of_method: Any) -> dict[str, Any]:
    """The base and one method with its controls; `of_method` goes to the method, its controls were split without B2."""
    out = brief()
    base, method, *controls = out["policies"]
    base |= {"split": {"refused": "not fitted"}, "kl": KL, "likelihood": LIKELIHOOD}
    method |= {"split": SPLIT, "kl": BOUND, "likelihood": LIKELIHOOD} | of_method
    for control in controls:
        control |= {"split": NO_B2, "kl": NONE, "likelihood": NONE}
    return out


def text(comparison: dict[str, Any], out: Path) -> tuple[str, str]:
    page = report(comparison, out)
    return page.read_text(encoding="utf-8"), (out / "report.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return text(told(), tmp_path_factory.mktemp("page"))


def test_every_split_is_a_line_that_names_what_its_remainder_stands_against() -> None:
    found = split_table(rows(load(told())))
    assert [(row.role, rest) for row, _, rest in found.lines] == [("method", "B2"), ("placebo", "B1"), ("rival", "B1")]
    assert [shown.point for shown in found.lines[0][1]] == ["+81.0", "+1.0", "+6.0", "\u22122.0", "+76.0"]
    assert found.lines[1][1][3].short == "rung B2 was not measured"


def test_only_annotated_policies_are_lines_and_only_filled_columns_are_there() -> None:
    found = distance_table(rows(load(told())))
    assert [row.role for row, _, _ in found.lines] == ["base", "method"]
    assert {rest for _, _, rest in found.lines} == {"48\u00a0\u00d7\u00a04"}
    keys = [column.key for column in found.columns]
    assert keys == ["kl", "kl_token", "kl_top", "bound", "percentile", "nll", "rank_10", "typicality"]
    assert "no next-token" in found.lines[1][1][0].refused and found.lines[0][1][0].point == "1.90"


def test_the_pages_hold_both_tables(pages: tuple[str, str]) -> None:
    for page in pages:
        for words in ("Where a gain comes from", "Remainder against", "How far from the base", "Typicality", "+76.0"):
            assert words in page
        assert "further ceilings" not in page


def test_without_annotations_the_page_says_how_to_make_them(tmp_path: Path) -> None:
    plain = told(kl=NONE, likelihood=NONE)
    plain["policies"][0] |= {"kl": NONE, "likelihood": NONE}
    for page in text(plain, tmp_path):
        assert "eval.annotate=true" in page and "How far from the base" not in page


def test_further_ceilings_stand_beside_the_scorecard_and_widen_it_by_nothing(tmp_path: Path) -> None:
    ef = {"B0/C1": GAP, "B0/C4": estimate(0.9), "B0/C3": estimate(0.87), "B0/C2": GAP}
    found = further_table(rows(load(told(ef=ef))))
    assert [column.key for column in found.columns] == ["ef_b0_c2", "ef_b0_c3"] and len(found.lines) == 1
    page, _ = text(told(ef=ef), tmp_path)
    head = page[page.index("<thead>") : page.index("</thead>")]
    assert "C3" not in head and "further ceilings" in page


def test_an_older_comparison_without_these_columns_is_still_shown(tmp_path: Path) -> None:
    table = rows(load(brief()))
    assert not split_table(table).lines and not distance_table(table).lines and not further_table(table).lines
    text(brief(), tmp_path)


def test_every_other_column_is_in_the_page_and_costs_have_no_interval(pages: tuple[str, str]) -> None:
    more = told(cost={"flops_per_answer": 7.5e7, "seconds_amortised": {"10000": 0.031}},
                cov={"k": [1, 2], "point": [0.5, 0.7], "lo": [0.4, 0.6], "hi": [0.6, 0.8]},
                support={"intervals": {"SRR": share(0.9)}})  # fmt: skip
    (_, cells, _), *_ = figures_table(rows(load(more))).lines
    shown = {column.key: cell for column, cell in zip(figures_table(rows(load(more))).columns, cells, strict=True)}
    assert (shown["cov"].point, shown["srr"].point, shown["specificity"].point) == ("70.0", "90.0", "90.0")
    assert shown["flops"].point == "75,000,000" and shown["flops"].interval == ""
    assert "Specificity" in pages[0]
