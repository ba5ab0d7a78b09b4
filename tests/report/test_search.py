"""Laws of what a report shows of a search: every try, the choice and its test, positions, equal cost, features."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from elicit.errors import DataError
from elicit.files import read_json, write_json
from elicit.report import report
from elicit.report.figures import text_cost, tries
from elicit.report.figures.equal_cost import at_budgets, envelope
from elicit.report.figures.figure import Inputs
from elicit.report.figures.positions import best
from elicit.report.render import figure_inputs
from elicit.report.rows import load, rows
from elicit.report.sources import all_logs
from tests.report.example import HOSTILE, comparison, node, on_disk, share
from tests.report.test_report import Page

STRENGTHS = (0.0, 0.5, 1.0)


def log_of(folder: Path, scores: list[float], doses: dict[str, list[float]], name: str = "sae") -> None:
    """A run with a search of two rounds and a dose-response by position; the last row says what was chosen."""
    (folder / "fit").mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Any]] = [
        {f"{name}/try": i, f"{name}/try/layer": 1, f"{name}/try/feature": i, f"{name}/try/strength": 0.5,
         f"{name}/try/write": "last_prompt", f"{name}/try/dev": score, f"{name}/try/dev_items": 8 if i else 16}
        for i, score in enumerate(scores)]  # fmt: skip
    found += [
        {f"{name}/dose/write": write, f"{name}/dose/strength": s, f"{name}/dose/accuracy": score,
         f"{name}/dose/kl": s / 2, f"{name}/dose/length": 10.0 + s, f"{name}/dose/dev_items": 16}
        for write, own in doses.items() for s, score in zip(STRENGTHS, own, strict=True)]  # fmt: skip
    best = max((score, s) for s, score in zip(STRENGTHS, doses["last_prompt"], strict=True) if s)
    found.append({f"{name}/chosen/layer": 1, f"{name}/chosen/feature": 0, f"{name}/chosen/write": "last_prompt",
                  f"{name}/chosen/strength": best[1], f"{name}/chosen/accuracy": best[0],
                  f"{name}/chosen/dev_items": 16})  # fmt: skip
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))


def feature(number: int) -> dict[str, Any]:
    return {"layer": 1, "feature": number, "rate": 0.02, "norm": 1.0, "least": 0.1, "scores": {"cohens_d": 1.5},
            "injection_d": 0.3, "token_driven": False, "top_tokens": [HOSTILE], "logit_lens": ["so"],
            "contexts": [{"before": "a", "token": HOSTILE, "after": "b", "activation": 2.0, "label": 1}],
            "histogram": {"edges": [0.0, 1.0, 2.0], "counts": [7, 3]}}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with a search for rl_steering, its placebo (two seeds) and its rival."""
    place = on_disk(tmp_path_factory.mktemp("searched"), small=True)
    told = read_json(place / "comparison.json")
    by_name = {p["name"]: p for p in told["lines"]}
    method = by_name["rl_steering"]
    placebo, rival = (next(p for p in told["lines"] if p["parent"] == "rl_steering" and p["role"] == role)
                      for role in ("placebo", "rival"))  # fmt: skip
    root = place.parent.parent
    log_of(root / "m", [0.9, 0.5, 0.2], {"last_prompt": [0.1, 0.6, 0.9], "every": [0.1, 0.3, 0.0]})
    log_of(root / "p1", [0.3, 0.2, 0.1], {"last_prompt": [0.1, 0.3, 0.2]})
    log_of(root / "p2", [0.5, 0.2, 0.1], {"last_prompt": [0.1, 0.2, 0.4]})
    log_of(root / "r", [0.7, 0.6, 0.1], {"last_prompt": [0.1, 0.7, 0.4]}, "contrastive")
    method["run"], rival["run"], placebo["run"] = str(root / "m"), str(root / "r"), str(root / "p1")
    placebo["members"] = [{"id": "p", "seed": 0, "acc": 0.5, "run": str(root / run)} for run in ("p1", "p2")]
    cards = [
        {"layer": 1, "features": 64, "k": 8, "l0": 7.9, "fve": 0.9, "dead": 0.1, "ce_recovered": 0.99, "faults": []}
    ]
    write_json(root / "m" / "fit" / "features.json",
               {"schema": 1, "dictionaries": cards, "features": [feature(3), feature(0)], "tries": [], "doses": [],
                "chosen": {"layer": 1, "feature": 0}, "edit": {}})  # fmt: skip
    write_json(place / "comparison.json", told)
    return place


@pytest.fixture(scope="module")
def inputs(folder: Path) -> Inputs:
    return figure_inputs(load(folder / "comparison.json"), folder=folder)


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page")
    report(folder / "comparison.json", out)
    return out


def lines(page: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((page / "figures" / f"{name}.csv").open()))


def test_every_try_of_the_method_and_of_every_draw_of_its_controls_is_shown(page: Path) -> None:
    found = lines(page, "tries")
    made = {role: [line for line in found if line["role"] == role and line["kind"] != "chosen"]
            for role in ("method", "placebo", "rival")}  # fmt: skip
    assert len(made["method"]) == 3 + 4, "an unedited dose is no try"
    assert len(made["placebo"]) == 2 * (3 + 2) and {line["draw"] for line in made["placebo"]} == {"0", "1"}
    assert len(made["rival"]) == 3 + 2
    chosen = [line for line in found if line["kind"] == "chosen"]
    assert [line["dev_accuracy"] for line in chosen] == ["0.9", "0.3", "0.4", "0.7"]
    assert all(float(line["test_lo"]) <= float(line["test"]) <= float(line["test_hi"]) for line in chosen)
    assert all(line["test"] == "" for line in found if line["kind"] != "chosen")


def test_the_table_shows_the_distribution_before_any_choice(inputs: Inputs) -> None:
    method, placebo, _ = tries.table(tries.rows(inputs))
    assert (method["tries"], method["options"], method["median"], method["best"]) == (7, 2, 0.35, 0.5)
    assert (method["chosen"], placebo["chosen"], placebo["draws"]) == (0.9, 0.4, 2)
    assert method["what"] == "layer 1, feature 0, r = 1, last_prompt"


def test_positions_are_the_best_dose_of_each_and_drawn_only_if_several_were_tried(page: Path) -> None:
    found = {line["write"]: line for line in lines(page, "positions")}
    assert set(found) == {"last_prompt", "every"} and found["every"]["strength"] == "0.5"
    assert best([{"id": "a", "write": "every", "strength": 1.0, "dev_accuracy": 1.0, "kl": None}]) == []
    assert {line["length"] for line in lines(page, "dose_length")} == {"10.0", "10.5", "11.0"}
    assert len(lines(page, "dose_kl")) == 6


def test_equal_cost_is_the_best_at_no_more_kl() -> None:
    def dose(name: str, kl: float, score: float) -> dict[str, Any]:
        return {"id": name, "label": name, "policy": name, "role": "method", "depth": 0, "class": "R", "write": "every",
                "strength": kl, "kl": kl, "dev_accuracy": score, "dev_items": 16}  # fmt: skip

    made = [dose("a", 0.0, 0.1), dose("a", 0.2, 0.9), dose("a", 0.1, 0.4), dose("a", 0.4, 0.3),
            dose("b", 0.0, 0.1), dose("b", 0.15, 0.6), dose("b", 0.5, 0.7)]  # fmt: skip
    cheapest = envelope(made)
    assert [(r["id"], r["kl"]) for r in cheapest] == [
        ("a", 0.0), ("a", 0.1), ("a", 0.2), ("b", 0.0), ("b", 0.15), ("b", 0.5)]  # fmt: skip
    columns, told = at_budgets(cheapest, [made[1], made[6]])
    assert columns == ["a: 0.2", "b: 0.5"]
    assert {line["policy"]: line["cells"] for line in told} == {"a": [0.9, 0.9], "b": [0.6, 0.7]}
    assert envelope(made[:4]) == [], "one edit is not compared with anything"


def test_text_cost_is_drawn_with_test_accuracy_for_every_policy_that_the_lens_measured() -> None:
    told = load(comparison())
    name = next(line.name for line in told.lines if line.role == "method")
    readings = {"side_effects": {"columns": {
        name: {"text loss, questions - base": node(share(0.2)), "text loss, notes.txt - base": node(share(0.4)),
               "ECE": node(share(0.1))},
        told.lines[0].name: {"text loss, questions": node(share(2.0))}}}}  # fmt: skip
    (found,) = text_cost.rows(figure_inputs(told, readings))
    assert (found["policy"], found["cost"], found["text"]) == (name, 0.4, "notes.txt"), (
        "given text goes before questions"
    )
    assert text_cost.rows(figure_inputs(told)) == []


def test_the_page_shows_the_search_and_the_features_and_nothing_in_them_runs(page: Path) -> None:
    html, markdown = ((page / f"report.{ending}").read_text(encoding="utf-8") for ending in ("html", "md"))
    for text in (html, markdown):
        for word in ("What the search saw", "At equal cost", "Features of rl_steering", "Logit lens", "last_prompt"):
            assert word in text, word
    assert Page(html).open == [] and "<script>alert" not in html + markdown
    first = html[html.index("Table: the 2 features") :]
    assert first.index("1, 0</th>") < first.index("1, 3</th>"), "the chosen one comes first"
    assert [line["tokens"] for line in lines(page, "features")] == ["7", "3"]
    assert re.search(r"Chosen: layer 1, feature 0; fires on 2.0 % of tokens; not token-driven", html)


def test_a_fit_that_was_taken_over_shows_the_log_of_the_run_that_made_it(folder: Path, tmp_path: Path) -> None:
    told = read_json(folder / "comparison.json")
    root = folder.parent.parent
    (root / "later").mkdir(exist_ok=True)
    write_json(root / "later" / "manifest.json", {"fit_from": "m"})
    (root / "later" / "log.jsonl").write_text("")
    policy = next(p for p in told["lines"] if p["name"] == "rl_steering")
    policy["run"], policy["members"] = str(root / "later"), []
    found = all_logs(rows(load(told)), tmp_path, None)
    assert found[policy["id"]] == [root / "m" / "log.jsonl"]


def test_another_schema_of_features_is_refused(folder: Path, tmp_path: Path) -> None:
    file = folder.parent.parent / "m" / "fit" / "features.json"
    before = read_json(file)
    write_json(file, {**before, "schema": 2})
    with pytest.raises(DataError, match="not schema 1"):
        report(folder / "comparison.json", tmp_path)
    write_json(file, before)
