"""Laws of stacked policies: the interaction is the pair minus both gains, paired by item; a missing part is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from elicit.evaluate.comparison.compare import compare
from elicit.evaluate.entry import Entry
from elicit.evaluate.measures.measure import measure
from elicit.evaluate.metrics.accuracy import accuracy
from elicit.report.figures import grid
from elicit.report.figures.figure import Heat, Inputs, Text
from elicit.report.rows import load, rows
from tests.evaluate.simulated import SimulatedTask, items
from tests.evaluate.test_compare import CONFIG, entry, line

MEANS = {"a": 0.3, "b": 0.4, "a+b": 0.9}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Entry], list, Path]:
    root, found = tmp_path_factory.mktemp("stack"), items(80)
    base = entry(root, "base", "base", found, 0.2)
    own = [entry(root, "method", name, found, mean, arm=name) for name, mean in MEANS.items()]
    own[2] = replace(own[2], on=("a",))
    return [base, *own], found, root


def test_the_interaction_is_the_pair_minus_the_sum_of_its_gains(world) -> None:
    entries, found, root = world
    out = compare(entries, found, root / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    base_N, a_N, b_N, pair_N = (accuracy(measure(one.samples, one.grades, found)) for one in entries)
    pair = line(out, "a+b")
    over, interaction = pair.values["stack/over"], pair.values["stack/interaction"]
    assert over.point == pytest.approx(np.mean(pair_N - a_N))
    paired_N = pair_N - a_N - b_N + base_N
    assert interaction.point == pytest.approx(np.mean(paired_N))
    # a normal interval of the paired values: the bootstrap is no further off than its own noise
    half = 1.96 * np.std(paired_N, ddof=1) / np.sqrt(len(paired_N))
    assert interaction.hi - interaction.lo == pytest.approx(2 * half, rel=0.2)
    assert not {"stack/over", "stack/interaction"} & {*line(out, "a").values, *line(out, "b").values}
    assert pair.notes["stack/on"] == ["a"] and "stack/on" not in line(out, "a").notes


def test_a_part_that_was_not_measured_is_named_and_not_zero(world) -> None:
    entries, found, root = world
    without_b = compare([*entries[:2], entries[3]], found, root / "nob", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    pair = line(without_b, "a+b")
    assert pair.values["stack/over"].point is not None
    assert "the method on the base is not in this comparison" in str(pair.values["stack/interaction"].refused)
    without_a = compare([entries[0], *entries[2:]], found, root / "noa", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    assert "a is not in this comparison" in str(line(without_a, "a+b").values["stack/over"].refused)


def test_an_entry_keeps_what_it_is_stacked_on_and_an_older_one_has_nothing(world) -> None:
    stacked = world[0][3]
    assert Entry.of(stacked.plain()) == stacked
    plain = {key: value for key, value in stacked.plain().items() if key != "on"}
    assert Entry.of(plain).on == ()


def test_the_grid_has_a_cell_for_the_base_for_each_part_and_for_the_pair(world) -> None:
    entries, found, root = world
    out = load(compare(entries, found, root / "grid", SimulatedTask(), CONFIG))  # type: ignore[arg-type]
    inputs = Inputs(rows(out), out.ceilings, out.solves, {})
    cells = {(row["below"], row["top"]): row for row in grid.rows(inputs)}
    assert list(cells) == [("base", "sampling"), ("base", "b"), ("a", "sampling"), ("a", "b")]
    assert [row["policy"] for row in cells.values()] == ["base", "b", "a", "a+b"]
    assert cells["a", "b"]["interaction"] == line(out, "a+b").values["stack/interaction"].point
    assert cells["a", "sampling"]["interaction"] is None
    chart = grid.chart(list(cells.values()), inputs)
    heat = next(mark for mark in chart.marks if isinstance(mark, Heat))
    assert len(heat.opacity) == 2 and len(heat.opacity[0]) == 2 and heat.opacity[1][1] == max(map(max, heat.opacity))
    assert sum(isinstance(mark, Text) for mark in chart.marks) == 2 * 4 + 1


def test_a_comparison_without_a_stack_has_no_grid(world) -> None:
    entries, found, root = world
    out = load(compare(entries[:3], found, root / "flat", SimulatedTask(), CONFIG))  # type: ignore[arg-type]
    assert grid.rows(Inputs(rows(out), out.ceilings, out.solves, {})) == []
