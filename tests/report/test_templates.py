"""Laws of the further templates: cards, claims, organisms, several bases; their figures, and lenses in every page."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from elicit.errors import ConfigError, DataError
from elicit.report import report
from elicit.report.pages.calibration import tables
from elicit.report.pages.claim import Claim, retest
from elicit.report.rows import load, rows
from elicit.report.view import planted
from elicit.results import Comparison, Pair, read_comparison
from tests.report.example import comparison, estimate, on_disk, refused, share
from tests.report.test_report import Page

CLAIM = "statement: Vectors recover <b>most</b> of it\nsource: arXiv 2505.18706\npolicy: rl_steering\nquantity: gain\n"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return on_disk(tmp_path_factory.mktemp("example"), small=True)


@pytest.fixture(scope="module")
def page(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page")
    report(example / "comparison.json", out)
    return out


def read(out: Path, ending: str = "html") -> str:
    return (out / f"report.{ending}").read_text(encoding="utf-8")


def test_lenses_are_shown_with_their_intervals_and_refusals(page: Path) -> None:
    html, markdown = read(page), read(page, "md")
    for text in (html, markdown):
        assert "Share of step pairs without a local error" in text and "no shift axis was sampled" in text
        assert "no trace was right" in text or "refused" in text
    assert all((page / "figures" / f"lens-{name}.pdf").exists() for name in ("coherence", "economy", "importance"))
    section = html[html.index('id="lens-coherence"') : html.index('id="lens-economy"')]
    assert re.search(r'0\.65<span class="interval">\[0\.62, 0\.68\]', section) and "200\u00a0\u00d7\u00a016" in section


def test_labels_frontier_and_doses_are_drawn_from_their_rows(page: Path, example: Path) -> None:
    def lines(name: str) -> list[dict[str, str]]:
        return list(csv.DictReader((page / "figures" / f"{name}.csv").open()))

    ledgers = {line.name: line.ledger for line in read_comparison(example / "comparison.json").lines}
    for line in lines("label_bits"):
        used = ledgers[line["policy"]]
        assert int(line["bits"]) == used["label_bits"] + used["select_bits"]
    doses = lines("dose")
    assert {line["policy"] for line in doses} == {"rl_steering"} and len(doses) == 7
    for line in doses:
        assert float(line["lo"]) <= float(line["dev_accuracy"]) <= float(line["hi"]) and line["dev_items"] == "48"
    kl = {line["policy"]: float(line["kl"]) for line in lines("frontier")}
    assert set(kl) == {"base, bare prompt", "rlvr", "rl_steering"} and kl["rl_steering"] > kl["rlvr"]


def test_a_card_shows_result_data_settings_and_controls_of_every_method(example: Path, tmp_path: Path) -> None:
    report(example / "comparison.json", tmp_path, "method_card")
    for text in (read(tmp_path), read(tmp_path, "md")):
        for word in ("rlvr", "rl_steering", "0.4, 0.6", "random reward", "7,680", "One vector at one layer"):
            assert word in text, word
    assert Page(read(tmp_path)).open == []


@pytest.mark.parametrize(("published", "tolerance", "outcome"), [
    (0.77, 0.05, "reproduced"), (0.40, 0.05, "not reproduced"), (0.71, 0.05, "direction only")])  # fmt: skip
def test_a_claim_is_judged_by_its_rule(published: float, tolerance: float, outcome: str) -> None:
    claim = Claim("s", "x", "rl_steering", "gain", published, tolerance)  # ours: .77 +- .03
    assert retest(claim, rows(load(comparison()))).outcome == outcome


def test_a_refused_figure_decides_no_claim() -> None:
    given = comparison()
    given.lines[6].values["gain/B0"] = refused("one cluster")
    claim = Claim("s", "x", given.lines[6].name, "gain", 0.5)
    assert retest(claim, rows(load(given))).outcome == "not decidable"


def test_a_claim_s_page_shows_both_figures_and_what_differs(example: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    shutil.copytree(example, folder)
    with pytest.raises(ConfigError, match=r"claim\.yaml: template=claim needs it"):
        report(folder / "comparison.json", tmp_path / "out", "claim")
    (folder / "claim.yaml").write_text(CLAIM + "published: 0.7\nsame: {model: false, data: true}\n")
    report(folder / "comparison.json", tmp_path / "out", "claim")
    html = read(tmp_path / "out")
    assert "recover &lt;b&gt;most&lt;/b&gt;" in html and "Published +70.0, here +77.0 [+74.0, +80.0]" in html
    assert "Not the original&rsquo;s: model" in html
    assert "published +70.0" in read(tmp_path / "out", "md")


def test_all_faults_of_a_claim_are_reported_at_once(example: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    shutil.copytree(example, folder)
    (folder / "claim.yaml").write_text(CLAIM.replace("quantity: gain", "quantity: gian") + "publshed: 0.7\n")
    with pytest.raises(ConfigError) as fault:
        report(folder / "comparison.json", tmp_path / "out", "claim")
    assert all(
        part in str(fault.value) for part in ("did you mean published", "published is missing", "did you mean gain")
    )


def test_an_organism_s_page_says_whether_each_method_finds_what_was_planted(example: Path, tmp_path: Path) -> None:
    report(example / "comparison.json", tmp_path, "organism")
    for text in (read(tmp_path), read(tmp_path, "md")):
        assert "An ability is planted" in text and "found" in text


def answer_of(given: Comparison) -> str:
    """What `planted` says of the method whose values a test sets."""
    return next(answer for row, answer in planted(load(given)).answers if row.line.id == given.lines[3].id)


@pytest.mark.parametrize(("forced", "gain", "half", "answer"), [
    (0.99, 0.8, 0.03, "found"), (0.99, 0.2, 0.03, "found in part"), (0.99, 0.0, 0.02, "not found"),
    (0.17, 0.0, 0.02, "quiet"), (0.17, 0.1, 0.02, "false elicitation"), (0.17, 0.0, 0.2, "not decidable")])  # fmt: skip
def test_what_was_planted_is_found_or_not_by_rule(forced: float, gain: float, half: float, answer: str) -> None:
    given = comparison()
    given.ceilings["C4"] = share(forced, 0.01)
    numbers = {"ctrl/gain": estimate(gain, half), "gain/B0": estimate(gain, half), "ef/B0/C4": estimate(gain / 0.84)}
    given.lines[3].values |= numbers
    assert answer_of(given) == answer


def test_a_gain_in_form_alone_is_no_false_elicitation() -> None:
    given = comparison()
    given.ceilings["C4"] = share(0.17, 0.01)
    strict = {"ctrl/gain": estimate(0.6, 0.03), "gain/B0": estimate(0.6, 0.03)}
    for lenient, answer in ((0.0, "form"), (0.6, "false elicitation")):
        given.lines[3].values |= strict | {"ctrl/lenient": estimate(lenient, 0.03), "ctrl/any": estimate(lenient, 0.03)}
        assert answer_of(given) == answer


def test_several_bases_are_side_by_side_and_their_differences_are_listed(example: Path, tmp_path: Path) -> None:
    first = read_comparison(example / "comparison.json")
    other = replace(
        first,
        checkpoint={"id": "x", "name": "pythia", "n_parameters": 1_400_000_000, "revision": "step1000"},
        setup=replace(first.setup, n=8),
        lines=[line for line in first.lines if "rlvr" not in (line.parent, line.name)],
    )
    with pytest.raises(ConfigError, match="template=bases"):
        report([other, first], tmp_path / "out")
    report([other, first], tmp_path / "out", "bases")
    html = read(tmp_path / "out")
    assert html.index("<b>organism</b>") < html.index("<b>pythia @ step1000</b>")  # smallest first
    assert "not run" in html and "differ in n (16, 8)" in html and Page(html).open == []
    assert (tmp_path / "out" / "figures" / "bases.pdf").exists() and "pythia @ step1000" in read(tmp_path / "out", "md")
    with pytest.raises(ConfigError, match="walk"):
        report([replace(other, task="walk"), first], tmp_path / "out", "bases")


def test_several_tasks_have_a_mean_with_an_interval(example: Path, tmp_path: Path) -> None:
    first = read_comparison(example / "comparison.json")
    without = [line for line in first.lines if "rlvr" not in (line.parent, line.name)]
    report([first, replace(first, task="walk", lines=without)], tmp_path, "tasks")
    html, markdown = read(tmp_path), read(tmp_path, "md")
    assert Page(html).open == [] and "mean of 2 tasks" in html and (tmp_path / "figures" / "tasks.pdf").exists()
    base = next(line for line in first.lines if line.role == "base").get("acc/strict")
    assert base is not None and base.bounds is not None
    point, lo, hi = base.bounds
    lo, hi = point - (point - lo) / 2**0.5, point + (hi - point) / 2**0.5  # two equal and independent estimates
    assert f"{100 * point:.1f} [{100 * lo:.1f}, {100 * hi:.1f}]" in next(
        row for row in markdown.splitlines() if row.startswith("| bare base")
    )
    assert "1 of 2" in next(row for row in markdown.splitlines() if row.startswith("| rlvr"))
    with pytest.raises(ConfigError, match=r"2 comparisons are of task"):
        report([first, first], tmp_path / "out", "tasks")
    with pytest.raises(ConfigError, match="base model"):
        report(
            [first, replace(first, task="walk", checkpoint={"id": "x", "name": "pythia"})], tmp_path / "out", "tasks"
        )


def test_methods_are_paired_in_page_and_markdown(example: Path, tmp_path: Path) -> None:
    given = read_comparison(example / "comparison.json")
    ids = {line.name: line.id for line in given.lines}
    names = ("rlvr", "rl_steering")
    pair = Pair(ids["rlvr"], ids["rl_steering"], names, ("bare", "bare"), estimate(0.04, 0.03))
    report(replace(given, pairs=(pair,)), tmp_path)
    assert "rlvr &minus; rl_steering" in read(tmp_path) and "rlvr \u2212 rl_steering" in read(tmp_path, "md")
    assert "+4.0" in read(tmp_path)


def test_calibration_of_the_yardstick_and_of_the_organisms_are_tables() -> None:
    given = {
        "simulated": {"coverage": {"accuracy": {"rate": 0.951, "lo": 0.93, "hi": 0.97, "of": 600, "calibrated": True}},
                      "false_positives": {"ctrl": {"rate": 0.02, "lo": 0.01, "hi": 0.03, "of": 500, "holds": True}},
                      "current": False},
        "organisms": {"totals": {"twin": {"all": {"fits": 9, "judged": 8, "gain": 0.004, "fraction": None,
                      "elicits": {"point": 0.0, "lo": 0.0, "hi": 0.3, "of": 8}}}}, "current": True},
    }  # fmt: skip
    coverage, false, fits = tables(given)
    assert coverage.rows == [["accuracy", "95.1 [93.0, 97.0]", "600", "yes"]] and "another version" in coverage.note
    assert false.rows[0][1] == "2.0 [1.0, 3.0]"
    assert fits.rows[0][:4] == ["twin", "all", "9", "8"] and fits.rows[0][6] == "0.0 [0.0, 30.0]"
    assert tables({"simulated": None, "organisms": None}) == [] == tables({})


def test_lenses_of_another_schema_are_refused(example: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    shutil.copytree(example, folder)
    (folder / "lenses.json").write_text(json.dumps({"schema": 2, "lenses": {}}))
    with pytest.raises(DataError, match="schema 1"):
        report(folder / "comparison.json", tmp_path / "out")
