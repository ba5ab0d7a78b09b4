"""Laws of figures: one registry line each, one error bar, and no matplotlib before something is drawn."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from elicit.report import render, report
from elicit.report.figures import FIGURES, Figure
from elicit.report.figures.accuracy import ACCURACY
from elicit.report.figures.figure import Axis, Chart, Point
from elicit.report.figures.solves import solvers
from elicit.report.figures.writer import paint, to_svg
from elicit.report.render import figure_inputs
from elicit.report.rows import load
from elicit.report.sources import template_folder
from elicit.results import Line
from tests.report.example import brief, comparison
from tests.report.test_report import Page

TOY = Figure("toy", "A toy & more", "curves", "What a <toy> shows.",
             lambda inputs: [{"policy": row.name, "letters": len(row.name)} for row in inputs.rows],
             lambda rows, _: Chart((3, 2), [Point(row["letters"], y, "#0072b2") for y, row in enumerate(rows)],
                                   Axis("Letters"), Axis()))  # fmt: skip


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("section", ["curves", "scorecard"])
def test_a_figure_is_one_entry_and_nothing_else_changes(
    section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(brief(), tmp_path / "without")
    monkeypatch.setattr(render, "FIGURES", (*FIGURES, replace(TOY, section=section)))
    report(brief(), tmp_path / "with")
    before, after = files(tmp_path / "without"), files(tmp_path / "with")
    assert set(after) - set(before) == {f"figures/toy.{ending}" for ending in ("csv", "svg", "pdf")}
    assert {name for name in before if before[name] != after[name]} == {"report.html", "report.md"}
    page = after["report.html"].decode()
    shown = re.search(r'<figure id="figure-toy">.*?</figure>\n*', page, flags=re.DOTALL)
    assert shown and page.replace(shown[0], "").split() == before["report.html"].decode().split()
    assert "What a &lt;toy&gt; shows." in shown[0] and 'aria-label="A toy &amp; more"' in shown[0]
    assert Page(page).open == []
    inside = page[page.index(f'<section id="{section}"') :]
    assert shown[0] in inside[: inside.index("</section>")]
    assert "![A toy &amp; more](figures/toy.svg)" in after["report.md"].decode()
    lines = list(csv.DictReader(after["figures/toy.csv"].decode().splitlines()))
    assert [line["policy"] for line in lines] == [line.name for line in brief().lines]


def test_every_section_of_a_figure_is_one_that_both_pages_show() -> None:
    for ending in ("html", "md"):
        text = (template_folder() / f"comparison.{ending}.j2").read_text(encoding="utf-8")
        shown = set(re.findall(r'pictures\((?:figures, )?"([\w/]+)"\)', text))
        assert {figure.section for figure in FIGURES} - {"overview"} <= shown  # the overview is scorecard.png, inline
        assert {section.split("/")[0] for section in shown} <= set(render.SECTIONS)


def test_names_of_figures_are_unique() -> None:
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)


def test_a_figure_without_rows_is_not_drawn(tmp_path: Path) -> None:
    report(brief(), tmp_path)
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"accuracy", "label_bits"}


def test_shape_shows_the_role_and_intervals_end_at_their_limits() -> None:
    inputs = render.figure_inputs(render.load(comparison()))
    rows = ACCURACY.rows(inputs)
    chart = ACCURACY.chart(rows, inputs)
    points = [mark for mark in chart.marks if isinstance(mark, Point)]
    assert [point.across for point in points] == [(100 * row["lo"], 100 * row["hi"]) for row in rows]
    shapes = {row["role"]: point.shape for row, point in zip(rows, points, strict=True)}
    assert (shapes["placebo"], shapes["rival"], shapes["method"]) == ("hollow", "diamond", "dot")
    axes = paint(chart).axes[0]
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_solid_capstyle() == "butt"]
    assert [tuple(line.get_xdata()) for line in drawn if line.get_ydata()[0] == line.get_ydata()[1]] == [
        point.across for point in points]  # fmt: skip


def test_a_chart_is_drawn_to_the_same_bytes_every_time() -> None:
    chart = TOY.chart([{"letters": 3}, {"letters": 5}], render.figure_inputs(render.load(brief())))
    assert to_svg(paint(chart), "toy") == to_svg(paint(chart), "toy")


def test_figures_are_listed_without_matplotlib_and_torch() -> None:
    code = "import sys, elicit.report, elicit.report.figures; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"matplotlib", "torch"} & set(done.stdout.split())


def test_c1_is_the_base_asked_again_and_no_column_of_who_solves_what_at_whatever_prompt() -> None:
    made = comparison()
    c1 = [Line("b0", "C1", "ceiling"), Line("b1", "C1", "ceiling", prompt="think")]
    without = set(solvers(figure_inputs(load(made))))
    assert all(set(solvers(figure_inputs(load(replace(made, lines=[*made.lines, one]))))) == without for one in c1)
