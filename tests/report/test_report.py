"""Laws of the rendered report."""

from __future__ import annotations

import copy
import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from elicit.errors import ConfigError, DataError
from elicit.files import read_json
from elicit.report import report
from elicit.report.pages.counts import solved_table
from elicit.report.rows import load, rows
from elicit.report.sources import references, template_folder
from elicit.report.view import chosen_traces, run_link, view
from elicit.results import Column, Comparison, Estimate, Side, Solves, Trace, read_comparison, write_comparison
from tests.report.example import HOSTILE, brief, comparison, hostile, share


class Page(HTMLParser):
    """What a browser would make of a page: its tags, attributes and text."""

    VOID = ("meta", "br", "img", "hr", "link", "input", "use", "path", "rect", "image", "wbr")

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    page = report(comparison(), out)
    return out, page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    out = tmp_path_factory.mktemp("hostile")
    report(hostile(), out)
    return out


def test_the_report_is_whole(rendered):
    out, text = rendered
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    figures = {
        f"figures/{n}.{e}"
        for n in ("accuracy", "coverage", "budget", "label_bits", "solves", "validity")
        for e in ("pdf", "csv", "svg")
    }
    pages = {"report.md", "report.html", "notes.md", "scorecard.png", "scorecard.tex", "numbers.tex", "references.bib"}
    assert names == figures | pages
    assert Page(text).open == []


def test_sections_are_in_their_order(rendered):
    order = ["verdict", "scorecard", "curves", "solves", "validity", "traces"]
    order += ["calibration", "limitations", "provenance"]
    assert re.findall(r'<section id="([\w-]+)"', rendered[1]) == order


def test_the_page_points_at_nothing_outside_itself_and_runs_no_script(rendered):
    text = rendered[1]
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert not re.search(
        r"https?:|@import|url\((?!#)|//\w", re.sub(r"data:image/png;base64,[A-Za-z0-9+/=\s]+", "", text)
    )
    for tag, name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href") and tag != "a":
            assert value.startswith(("data:image/png", "#"))


def test_ids_are_unique_although_several_figures_share_the_page(rendered):
    ids = [value for _, name, value in Page(rendered[1]).attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_figures_take_their_colours_from_the_page(rendered):
    assert "var(--ink)" in rendered[1] and "var(--c1)" in rendered[1]
    svgs = "".join(re.findall(r"<svg.*?</svg>", rendered[1], flags=re.DOTALL))
    assert not re.search(r"(?:fill|stroke): ?#", svgs)


def test_every_scorecard_row_shows_interval_sample_size_seeds_class_and_its_run(rendered):
    table = re.search(r'<table class="wide">.*?</table>', rendered[1], flags=re.DOTALL)[0]
    body = [row for row in re.findall(r"<tr class=\"(?:top|child)\">.*?</tr>", table, flags=re.DOTALL)]
    assert len(body) == len(comparison().lines)
    for row in body:
        assert re.search(r'\d+\.\d<span class="interval">\[', row)
        assert (
            re.search(r"\d+\s\u00d7\s\d+", row)
            and re.search(r"\d seeds?<", row)
            and re.search(r"<td>[ZVRTL]( \+[\d,]+ dev)?</td>", row)
        )


def test_refusals_are_printed_as_refusals_and_their_reasons_in_full(rendered):
    assert rendered[1].count(">refused: gap too small<") >= 15
    assert "below max(5 points, 2 SE)" in rendered[1]
    assert "Coverage refused for cot_decoding" in rendered[1]


def test_hostile_text_is_inert_in_html(attacked):
    text = (attacked / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == [] and "script" not in page.tags and "img" not in page.tags
    assert not [a for a in page.attributes if a[1].startswith("on") or a[2].lower().lstrip().startswith("javascript")]
    assert "\x1b" not in text and "\u202e" not in text and "U+001B\u27e9[31m" in text and "U+202E" in text
    assert "{{ 7 * 7 }}" in "".join(page.text)
    assert "characters left out" in text and len(text) < 5_000_000


def test_hostile_text_is_inert_in_markdown_and_latex(attacked):
    text = (attacked / "report.md").read_text(encoding="utf-8")
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in outside and "onerror=alert(1)>" not in outside and "\n# heading" not in outside
    assert "\x1b" not in text and "\u202e" not in text
    tex = (attacked / "scorecard.tex").read_text(encoding="utf-8")
    assert r"\textless{}/script" in tex and "\u202e" not in tex and r"\$x\$" in tex


def test_notes_are_made_once_and_survive_every_rendering(tmp_path):
    report(brief(), tmp_path)
    notes = tmp_path / "notes.md"
    assert notes.read_text().count("<!-- notes: ") == 9
    mine = "<!-- notes: scorecard -->\nMy *own* words.<script>x</script>\n\n<!-- notes: appendix -->\nKept too.\n"
    notes.write_text(mine)
    for _ in range(2):
        page = report(brief(), tmp_path).read_text()
    assert notes.read_text() == mine
    section = page[page.index('id="scorecard"') : page.index('id="curves"')]
    assert "My <em>own</em> words." in section and "<script>" not in page
    assert "Notes: appendix" in page and "Kept too." in page
    assert "My *own* words." in (tmp_path / "report.md").read_text()


def test_a_note_s_block_that_occurs_twice_is_refused(tmp_path):
    (tmp_path / "notes.md").write_text("<!-- notes: solves -->\na\n<!-- notes: solves -->\nb\n")
    with pytest.raises(DataError, match="occurs twice"):
        report(brief(), tmp_path)


def test_a_user_s_template_is_found_by_its_path_and_may_extend_the_built_in_one(tmp_path):
    mine = tmp_path / "mine.html.j2"
    mine.write_text(
        '{% extends "builtin/comparison.html.j2" %}{% block traces %}<p>no traces, {{ c.group }}</p>{% endblock %}'
    )
    page = report(replace(brief(), group=HOSTILE), tmp_path / "out", template=str(mine)).read_text()
    assert "<p>no traces, &lt;/script&gt;" in page and 'id="scorecard"' in page and 'id="traces"' not in page
    assert not (tmp_path / "out" / "report.md").exists()


def test_a_copied_template_renders_as_the_built_in_one(tmp_path):
    for name in ("comparison.html.j2", "comparison.md.j2"):
        (tmp_path / name).write_text((template_folder() / name).read_text())
    theirs = report(brief(), tmp_path / "a", template=str(tmp_path / "comparison.html.j2")).read_text()
    assert theirs == report(brief(), tmp_path / "b").read_text()


@pytest.mark.parametrize(("body", "told"), [("{{ c.nothing.at.all }}", "nothing"), ("{% if %}", "line 1"),
                                            ("{{ ''.__class__.__mro__ }}", "unsafe")])  # fmt: skip
def test_a_broken_or_unsafe_template_is_an_error_with_its_name(tmp_path, body, told):
    (tmp_path / "bad.md.j2").write_text(body)
    with pytest.raises(DataError, match=told):
        report(brief(), tmp_path, template=str(tmp_path / "bad.md.j2"))


def test_an_unknown_template_names_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match="did you mean comparison"):
        report(brief(), tmp_path, template="comparsion")


def test_optional_parts_may_be_missing(tmp_path):
    policy = {"id": "a", "name": "only", "role": "base", "acc": {"refused": "all ungraded"}}
    page = report({"schema": 1, "group": "g", "task": "t", "policies": [policy]}, tmp_path).read_text()
    assert "refused: all ungraded" in page and "Not recorded in this comparison" in page and Page(page).open == []
    nothing = {"solves": Solves(), "traces": (), "warnings": (), "commands": (), "provenance": {}, "calibration": {},
               "ceilings": {}}  # fmt: skip
    for name, empty in nothing.items():
        draft = load(replace(brief(), **{name: empty}))
        view(draft, rows(draft), tmp_path)
    given = replace(comparison(), **nothing)
    for line in given.lines:
        line.values, line.curves, line.ledger = {"acc/strict": line.values["acc/strict"]}, {}, {}
    assert Page(report(given, tmp_path).read_text()).open == []


FIRST = Path(__file__).parents[1] / "fixtures" / "yesterday" / "comparison_schema1.json"


def test_a_file_of_schema_1_renders_as_the_same_comparison_in_schema_2(tmp_path):
    write_comparison(read_comparison(FIRST), tmp_path / "comparison.json")
    old, new = (report(path, tmp_path / path.stem) for path in (FIRST, tmp_path / "comparison.json"))
    assert old.read_bytes() == new.read_bytes()
    assert report(read_json(FIRST), tmp_path / "content").read_bytes() == old.read_bytes()


TOY = Column("toy/score", "Toy score", "percent", "a metric that no reader knows by name", "figures", ("method",))


def with_toy() -> Comparison:
    """The example with one more column, measured for one method and refused for the next."""
    out = brief()
    out.lines[1].values["toy/score"] = share(0.4321, 0.05)
    return replace(out, columns=(*out.columns, TOY))


def test_a_column_that_no_code_knows_is_shown_by_its_title_in_every_page(tmp_path):
    page = report(with_toy(), tmp_path).read_text()
    markdown = (tmp_path / "report.md").read_text()
    assert '<th scope="col" title="a metric that no reader knows by name">Toy score</th>' in page
    assert '<td>43.2<span class="interval">[38.2, 48.2]</span></td>' in page
    assert "| Toy score |" in markdown and "43.2 [38.2, 48.2]" in markdown


def test_a_checkpoint_that_is_no_base_model_gets_a_banner(tmp_path, rendered):
    given = brief()
    given.checkpoint["base_model"] = False
    for text in (report(given, tmp_path).read_text(), (tmp_path / "report.md").read_text()):
        assert "not a base model: no latent claim" in text
    assert "not a base model" not in rendered[1]


def test_a_figure_s_csv_holds_what_is_drawn(rendered):
    out, _ = rendered
    lines = list(csv.DictReader((out / "figures" / "accuracy.csv").open()))
    points = {line.id: line.number("acc/strict") for line in comparison().lines}
    assert {line["id"]: float(line["point"]) for line in lines} == points
    solves = list(csv.DictReader((out / "figures" / "solves.csv").open()))
    assert len(solves) == 200
    base = [float(line["base, bare prompt"]) for line in solves]
    assert base == sorted(base, reverse=True)


def test_who_solves_what_counts_each_item_once():
    by_policy = {"b0": (0.5, 0.0, 0.0, 1.0), "b1": (0.1, 0.2, 0.0, 0.0)}
    given = load(replace(comparison(), solves=Solves(tuple("abcd"), by_policy)))
    (line,) = solved_table(given.solves, rows(given))
    assert (line.both, line.policy_only, line.base_only, line.neither, line.n_items) == (1, 1, 1, 1, 4)


def test_counts_of_validity_support_and_tests_are_shown_if_the_comparison_holds_them(tmp_path):
    given = brief()
    counts = {"valid/n/valid_right": 2885, "valid/n/valid_wrong": 0, "valid/n/invalid_right": 108,
              "valid/n/invalid_wrong": 207, "valid/valid_given_correct": 0.964, "support/K": 8, "support/P": 71,
              "support/E": 127, "support/S": 0, "support/null/E": 13, "support/null/S": 12, "p/gain": 1e-4,
              "p/gain_holm": 1e-3, "p/ctrl": 2e-4, "p/ctrl_holm": 0.002, "p/detectable": 0.0532}  # fmt: skip
    given.lines[1].values |= {key: Estimate(x) for key, x in counts.items()}
    given.lines[2].values |= {f"support/{key}": Estimate(refused="one sample") for key in ("SRR", "NDR")}
    given.created = 1_795_241_415.0
    first = given.traces[0]
    given.traces = (replace(first, method=replace(first.method, policy=given.lines[1].id)),)
    page = report(given, tmp_path).read_text()
    assert "2,885 of 2,993" in page and "refused: one sample" in page and "2026-11-21 06:10 UTC" in page
    assert "<td>127</td><td>13</td><td>0</td><td>12</td>" in page and "<td>0.002</td><td>5.3</td>" in page
    assert "<b>rlvr</b>, answer 8" in page


def test_shown_traces_are_shared_out_evenly_between_methods_in_their_order():
    base = Side("", None)
    traces = [Trace(str(i), "", None, "", base, Side("", None, name)) for name in "abc" for i in range(10)]
    shown = chosen_traces(traces, 7)
    assert [(t.method.policy, t.item) for t in shown] == [
        ("a", "0"), ("a", "1"), ("a", "2"), ("b", "0"), ("b", "1"), ("c", "0"), ("c", "1")]  # fmt: skip


def test_a_ceiling_s_row_shows_its_value_and_is_not_in_the_accuracy_figure(tmp_path):
    given = brief()
    given.lines.append(replace(comparison().lines[2], name="C4"))
    assert "ceiling 99.0 [98.0, 100.0]" in report(given, tmp_path).read_text()
    assert "C4" not in (tmp_path / "figures" / "accuracy.csv").read_text()


def test_numbers_for_a_paper_are_macros_of_the_printed_cells(rendered):
    tex = (rendered[0] / "numbers.tex").read_text()
    assert r"\expandafter\def\csname elicit@rlvr/acc\endcsname{97.0 [94.0, 100.0]}" in tex
    assert r"\csname elicit@rlvr/ef-b1-c1\endcsname{refused: gap too small}" in tex
    assert r"\errmessage" in tex


def test_references_are_those_of_the_methods_used():
    keys = [re.match(r"@\w+\{(\w+)", entry)[1] for _, entry in references(["rlvr"])]
    assert "shao2024deepseekmath" in keys and "galichin2025have" not in keys
    assert all(citation.count("arXiv") == 1 for citation, _ in references(["rlvr", "decoding", "sae_steering", "star"]))


def test_config_differences_show_only_what_differs(tmp_path):
    given = brief()
    for line, rate in ((given.lines[0], 1e-6), (given.lines[1], 1e-4)):
        line.run = str(tmp_path / line.id)
        (tmp_path / line.id).mkdir()
        config = {"method": {"lr": rate, "steps": 30}, "seed": rate}
        (tmp_path / line.id / "config.yaml").write_text(json.dumps(config))
    page = report(given, tmp_path / "out").read_text()
    assert "method.lr" in page and "method.steps" not in page


def test_rendering_changes_neither_the_comparison_nor_its_own_bytes(tmp_path):
    given = comparison()
    before = copy.deepcopy(given)
    first = report(given, tmp_path / "a").read_bytes()
    assert given == before
    source = tmp_path / "comparison.json"
    write_comparison(given, source)
    assert report(source, tmp_path / "b").read_bytes() == first


def test_a_page_of_twenty_policies_and_six_hundred_items_has_less_than_five_megabytes(tmp_path):
    page = report(comparison(n_items=600, copies=2), tmp_path)
    assert page.stat().st_size < 5_000_000


def test_a_report_links_to_runs_only_if_it_is_next_to_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    beside, elsewhere = Path("runs/comparisons/g/report"), Path("docs/example")
    assert run_link("runs/rlvr", beside) == "../../../rlvr"
    assert run_link("runs/rlvr", elsewhere) is None and run_link(None, beside) is None
    assert run_link("//host/x", beside) is None
    scheme = run_link("javascript:alert(1)", beside)
    assert scheme is not None and scheme.startswith("../") and ":" not in scheme
