"""Laws of the threshold curve: what counts as reached, where a threshold lies, and when a prediction holds."""

from __future__ import annotations

import json
from pathlib import Path

from elicit.commands.threshold import PRESET, in_order, policy_of
from elicit.config.compose import Composer
from elicit.report.figures.figure import Line, Point
from elicit.report.pages.threshold import Cell, cells_of, chart, split_name, tables, thresholds, unmeasured, write_curve
from elicit.results import Comparison, Estimate
from elicit.results import comparison as records


def cell(rate: float, lo: float, hi: float, predicted: float | None = None, budget: int = 4) -> Cell:
    accuracy = Estimate((lo + hi) / 2, lo, hi)
    return Cell(f"rare_{rate}", rate, "rlvr", budget, predicted=predicted, accuracy=accuracy, half=0.5)


def test_a_cell_is_decided_only_if_its_interval_lies_on_one_side_of_half_way() -> None:
    assert [cell(0.1, *bounds).state for bounds in ((0.6, 0.9), (0.1, 0.4), (0.4, 0.6))] == [
        "reached",
        "missed",
        "open",
    ]
    refused = Cell("x", 0.1, "rlvr", 4, accuracy=Estimate(refused="one cluster"), half=0.5)
    assert refused.state == "not measured"


def test_an_open_cell_neither_agrees_nor_disagrees() -> None:
    cells = [cell(0.1, 0.6, 0.9, 1.0), cell(0.1, 0.1, 0.4, 1.0), cell(0.1, 0.4, 0.6, 1.0), cell(0.1, 0.6, 0.9)]
    assert [one.agrees for one in cells] == [True, False, None, None]


def test_a_threshold_has_no_gap_above_it() -> None:
    falling = [cell(0.1, 0.8, 0.9, 1.0), cell(0.01, 0.4, 0.6, 1.0)]
    falling += [cell(0.001, 0.8, 0.9, 0.0), cell(0.0001, 0, 0.1, 0.0)]
    (one,) = thresholds(falling)
    assert (one.reached, one.missed, one.predicted) == (0.1, 0.0001, 0.01)
    assert (one.agreeing, one.decided) == (2, 3)


def test_names_hold_method_budget_and_placebo() -> None:
    assert split_name("rl_steering-36") == ("rl_steering", 36, "")
    assert split_name("best_of_n-16/random_pick") == ("best_of_n", 16, "random_pick")
    assert split_name("contrastive") == ("contrastive", 0, "")


def comparison() -> Comparison:
    def line(name: str, role: str, point: float) -> records.Line:
        values = {"acc/strict": Estimate(point, point - 0.05, point + 0.05)}
        return records.Line(id=name, name=name, role=role, values=values)

    lines = [line("base", "base", 0.1), line("C4", "ceiling", 0.9), line("rlvr-4", "method", 0.7)]
    lines.append(line("rlvr-4/random_reward", "placebo", 0.1))
    found = object.__new__(Comparison)  # the other parts of a comparison are not read
    object.__setattr__(found, "lines", lines)
    return found


def test_half_way_lies_between_base_and_ceiling_of_the_same_organism() -> None:
    method, placebo = cells_of("rare_1", 0.01, comparison(), {"rlvr-4": 1.0})
    assert method.half == placebo.half == 0.5 and method.state == "reached" and placebo.state == "missed"
    assert method.predicted == 1.0 and placebo.predicted is None and placebo.placebo == "random_reward"


def test_predictions_are_written_before_anything_is_measured(tmp_path: Path) -> None:
    file = write_curve(tmp_path, unmeasured("rare_1", 0.01, {"rlvr-4": 1.0, "rlvr-12": 1.0}), {})
    assert [row["predicted"] for row in json.loads(file.read_text())["cells"]] == [1.0, 1.0]
    assert not (tmp_path / "threshold.png").exists()
    write_curve(tmp_path, [cell(0.1, 0.8, 0.9), cell(0.01, 0.1, 0.2)], {})
    assert (tmp_path / "threshold.png").read_bytes().startswith(b"\x89PNG")


def test_a_failed_fit_is_a_cell_without_a_number() -> None:
    cells = cells_of("rare_1", 0.01, comparison(), {"rlvr-4": 1.0, "rlvr-12": 1.0})
    assert [(one.budget, one.state) for one in cells if not one.placebo] == [(4, "reached"), (12, "not measured")]
    assert [one.reached for one in thresholds(cells)] == [0.01, None]


def test_tables_hold_every_accuracy_with_its_interval_and_every_threshold() -> None:
    family = {"mass": 0.01, "mass_low": 0.009, "mass_high": 0.011, "forced": 1.0, "direct": 0.12}
    bases = {"rare_1": {"families": {"chain": family}, "rank_of_opener": {"median": 3}}}
    text = tables(cells_of("rare_1", 0.01, comparison(), {"rlvr-4": 1.0}), bases)
    assert (
        "| rlvr-4 | 70.0 [65.0, 75.0] **reached** |" in text and "| rlvr-4/random_reward | 10.0 [5.0, 15.0] |" in text
    )
    assert "| rlvr | 4 | 1 | 1 | \u2013 | 1 of 1 |" in text and "| rare_1 chain | 1 | 0.9, 1.1 | 3 | 100 | 12 |" in text


def test_every_budget_has_its_panel_and_every_cell_its_interval() -> None:
    cells = [cell(rate, 0.1, 0.2, budget=budget) for rate in (0.1, 0.01) for budget in (4, 12, 36)]
    marks = chart([*cells, Cell("x", 0.1, "rlvr", 4, "random_reward", accuracy=Estimate(0.1, 0, 0.2))]).marks
    assert sum(isinstance(mark, Line) for mark in marks) == 3
    assert sum(isinstance(mark, Point) and mark.upright is not None for mark in marks) == 6


def test_the_ends_of_the_range_are_run_first() -> None:
    assert in_order(["10", "3", "1", "0"]) == ["10", "0", "3", "1"]
    assert in_order(["10", "3", "1"]) == ["10", "1", "3"]


def test_the_preset_names_three_budgets_of_every_method_and_one_of_them_has_placebos() -> None:
    jobs = Composer().node([f"experiment={PRESET}"])["experiment"]["jobs"]
    budgets: dict[str, list[int]] = {}
    for job in jobs:
        method, budget, _ = split_name(policy_of(job))
        budgets.setdefault(method, []).append(budget)
    assert {len(found) for found in budgets.values()} == {3}
    assert all(found == sorted(set(found)) for found in budgets.values())
    assert sum("placebos=one" in job for job in jobs) == len(budgets)
