"""Laws of form: who only learns to declare, to stop or to write more is not called eliciting, from grades to labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from elicit.evaluate.calibration.nulls import CLAIMS, Part, SimulatedTask, labels_of
from elicit.evaluate.calibration.worlds import (
    Beta,
    Manners,
    draw_world,
    simulated_entry,
    simulated_items,
    simulated_measures,
)
from elicit.evaluate.comparison.compare import tabulate_measures
from elicit.evaluate.comparison.lines import lines_of
from elicit.evaluate.comparison.warnings import collect
from elicit.evaluate.measures.measure import Measures, measure
from elicit.evaluate.metrics.accuracy import accuracy, loosest
from elicit.evaluate.metrics.ceilings import ceiling_c1, ceilings, read_as
from elicit.evaluate.metrics.table import CompareConfig, Table
from elicit.evaluate.stages.grade import grade
from elicit.records import Item
from elicit.results import Line
from elicit.tasks.formal.task import FormalTask
from elicit.tasks.task import Judgement
from tests.evaluate.simulated import store

ITEMS, N = 200, 8


def tabulated(
    manners: dict[str, Manners], rates: dict[str, float] | None = None, unread: tuple[str, ...] = ()
) -> Table:
    """Base, method m, its placebo and C1 (64 samples, the base's manners), with one solve rate for all by default."""
    rng = np.random.default_rng(7)
    world = replace(draw_world(rng, ITEMS, N, 1), base=Beta.of(0.5, 2))
    rates_N, items = world.rates(rng)["base"], simulated_items(world, rng)
    roles = {"base": "base", "m": "method", "m/coin": "placebo", "C1": "ceiling"}
    entries, measured = [], []
    for name, role in roles.items():
        entries.append(simulated_entry(role, name, "m" if role == "placebo" else None))
        own = np.clip(rates_N + (rates or {}).get(name, 0.0), 0, 1)
        n, regime = (64, "support") if name == "C1" else (N, "compare")
        m = simulated_measures(name, items, own, n, rng, manners.get(name, manners["base"]), regime)
        measured.append(replace(m, first_N_J=None) if name in unread else m)
    config = CompareConfig("form", draws=1000)
    return tabulate_measures(entries, measured, items, SimulatedTask(), config, {})  # type: ignore[arg-type]


def method_of(table: Table) -> Line:
    return next(line for line in lines_of(table) if line.name == "m")


DECLARES = {"base": Manners(0.4), "m": Manners(0.99), "m/coin": Manners(0.42)}
STOPS = {"base": Manners(1, 0.4), "m": Manners(1, 0.99), "m/coin": Manners(1, 0.42)}


def test_learning_to_declare_is_a_clear_strict_gain_that_nothing_is_left_of() -> None:
    line = method_of(tabulated(DECLARES))
    assert line.values["ctrl/gain"].lo > 0.2 and line.number("p/ctrl_holm") < 1e-9
    assert line.values["split/format"].lo > 0.2
    for key in ("ctrl/lenient", "ctrl/any", "split/remainder"):
        assert line.values[key].hi < 0.05 and line.values[key].lo < 0, key
    assert line.number("p/lenient_holm") > 0.05


def test_learning_to_stop_is_termination_and_no_remainder() -> None:
    line = method_of(tabulated(STOPS))
    assert line.values["ctrl/lenient"].lo > 0.2, "a rambling answer is wrong leniently, too"
    assert line.values["split/termination"].lo > 0.2
    for key in ("ctrl/any", "split/remainder", "split/format"):
        assert abs(line.values[key].point) < 0.03 and line.values[key].lo <= 0, key
    unread = method_of(tabulated(STOPS, unread=("C1",)))
    assert "grade again" in unread.values["split/termination"].refused and unread.values["ctrl/any"].refused is not None
    assert unread.values["split/remainder"].lo > 0.2, "without first declarations nobody can tell"


def test_a_base_that_declares_three_percent_is_not_a_base_that_cannot() -> None:
    """EF B0 to C1 was 1.43, and "part of the ability was not seen in the base"."""
    table = tabulated({"base": Manners(0.03), "m": Manners(0.99)})
    line, c1 = method_of(table), ceilings(table)["C1"]
    assert table.c1 is not None and table.c1.reading == "any" and "first declarations" in table.c1.kind
    rates_N = accuracy(table.arms[3].measures[0], "lenient")
    assert (c1.hi or 0) > rates_N.mean() or c1.refused is not None
    assert abs(line.values["ef/B0/C1"].point or 0.0) < 0.2


def digits(
    names: tuple[str, ...], classes_N_J: list[list[int]], strict: list[list[int]], lenient: list[list[int]]
) -> Measures:
    table = tabulated({"base": Manners()}).base.measures[0]
    shape = np.shape(strict)
    return replace(
        table.at(range(len(strict))), strict_N_J=np.array(strict), lenient_N_J=np.array(lenient), class_names=names,
        classes_N_J=np.array(classes_N_J), empty_N_J=np.zeros(shape, bool), first_N_J=None,
        valid_N_J=np.full(shape, -1), finish_N_J=np.full(shape, "eos"),
    )  # fmt: skip


def test_undeclared_samples_get_the_answer_they_were_read_as_or_one_of_their_items() -> None:
    rng = np.random.default_rng(1)
    world = draw_world(rng, ITEMS, 4, 1)
    items = [replace(item, gold=gold) for item, gold in zip(simulated_items(world, rng)[:2], "57", strict=True)]
    m = digits(
        ("1", "5"), [[-1, 0, -1, 1], [-1, -1, -1, 0]], [[0, 0, 0, 1], [0, 0, 0, 0]], [[1, 0, 0, 1], [1, 0, 0, 0]]
    )
    got = read_as(m, "lenient", items, SimulatedTask().answer_class)
    named = [[got.class_names[code] for code in row] for row in got.classes_N_J]
    assert [row[0] for row in named] == ["5", "7"] and named[0][1::2] == ["1", "5"] and named[1][3] == "1"
    assert {named[0][2], *named[1][1:3]} <= {"1", "5"}, "of any item: they declared one wrong answer each"
    assert got.strict_N_J.tolist() == [[1, 0, 0, 1], [1, 0, 0, 0]]
    steady = digits(("1", "2"), [[0] * 8 + [-1] * 4, [1] * 8 + [-1] * 4], [[0] * 12] * 2, [[0] * 12] * 2)
    assert read_as(steady, "lenient", items, SimulatedTask().answer_class).classes_N_J.tolist() == [[0] * 12, [1] * 12]


def test_a_base_that_guesses_without_declaring_has_no_selection_ceiling() -> None:
    """Ten-way answers at random, 3 % of them declared: lenient coverage is high, and so is what guessing covers."""
    rng = np.random.default_rng(2)
    world = draw_world(rng, ITEMS, 32, 1)
    items = simulated_items(world, rng)
    m = simulated_measures("p", items, np.full(ITEMS, 0.1), 32, rng, Manners(0.03))
    got = ceiling_c1(m, items, SimulatedTask().answer_class, reading="lenient")
    assert got.guessing == pytest.approx(1 - 0.9**16, abs=0.1) and "plain guessing" in str(got.refused)


def test_the_loosest_reading_is_one_that_all_policies_have() -> None:
    table = tabulated(DECLARES)
    measured = [arm.measures[0] for arm in table.arms]
    assert loosest(measured) == "any" and loosest([replace(measured[0], first_N_J=None), *measured]) == "lenient"
    for m in measured:
        assert (accuracy(m, "strict") <= accuracy(m, "lenient")).all()
        assert (accuracy(m, "lenient") <= accuracy(m, "any")).all()


def test_readers_are_warned_of_unanswered_and_unlike_truncated_samples() -> None:
    table = tabulated(STOPS)
    text = "\n".join(collect(table, lines_of(table)))
    silent = [line for line in text.splitlines() if "hold no declared answer" in line]
    assert [line.split(":")[0] for line in silent] == ["base", "m/coin", "C1"]
    unlike = [line for line in text.splitlines() if "stopping in time" in line]
    assert len(unlike) == 1 and unlike[0].startswith("m: ") and "the base 59.9%" in unlike[0]
    quiet = tabulated({"base": Manners(0.9), "m": Manners(0.95)})
    text = "\n".join(collect(quiet, lines_of(quiet)))
    assert "declared answer" not in text and "stopping in time" not in text
    some = tabulated(STOPS, unread=("m/coin",))
    assert "not graded of m/coin" in "\n".join(collect(some, lines_of(some)))


def test_four_items_that_nobody_solves_decide_nothing() -> None:
    rng = np.random.default_rng(0)
    world = draw_world(rng, 4, 8, 1)
    entries = [("base", "base", None), ("ceiling", "C4", None), ("method", "m", None), ("placebo", "m/0", "m")]
    parts = [Part(simulated_entry(*entry), np.full(4, float(entry[0] == "ceiling"))) for entry in entries]
    assert labels_of(parts, world, rng, 300) == {"m": "not decidable"}
    many = draw_world(rng, 80, 8, 1)
    parts = [part._replace(rates_N=np.full(80, float(part.entry.role == "ceiling"))) for part in parts]
    assert labels_of(parts, many, rng, 300) == {"m": "no gain"}


def test_form_and_ability_together_are_claimed_with_the_share_of_form_apart() -> None:
    line = method_of(tabulated(DECLARES, {"m": 0.25}))
    assert line.values["split/remainder"].lo > 0.05 and line.values["split/format"].lo > 0.1
    rng = np.random.default_rng(4)
    world = replace(draw_world(rng, 150, 8, 1), base=Beta.of(0.3, 2), gain=Beta.of(0.6, 4))
    rates = world.rates(rng)
    parts = [
        Part(simulated_entry("base", "base"), rates["base"], Manners(0.4)),
        Part(simulated_entry("ceiling", "C4"), rates["ceiling"]),
        Part(simulated_entry("method", "m"), rates["method"][0], Manners(0.99)),
        Part(simulated_entry("placebo", "m/0", "m"), rates["base"], Manners(0.99)),
    ]
    assert set(labels_of(parts, world, rng, 400).values()) <= set(CLAIMS)


class OneReadingLess(FormalTask):
    """A task whose grades lack the first declaration, as those of a task of one's own may."""

    def grade(self, item: Item, text: str, finished: bool) -> Judgement:
        return replace(super().grade(item, text, finished), first=None, first_answer=None)

    grade_quick = grade


def test_the_grade_stage_stores_the_third_reading(tmp_path: Path) -> None:
    task = FormalTask("chain", n_train=5, n_dev=5, n_test=6)
    items = task.items("test")
    samples, _ = store(tmp_path, "p", items, np.full(6, 0.5), 4, truncated=0.5)
    m = measure(samples, grade(samples, task, {item.id: item for item in items}, tmp_path / "read", workers=1), items)
    assert m.first_N_J is not None and (m.first_N_J >= 0).all()
    assert np.array_equal(m.first_N_J == 1, m.lenient_N_J == 1), "each of these completions declares once"
    assert np.array_equal(m.strict_N_J == 1, (m.first_N_J == 1) & (m.finish_N_J == "eos"))
    plain = OneReadingLess("chain", n_train=5, n_dev=5, n_test=6)
    m = measure(samples, grade(samples, plain, {item.id: item for item in items}, tmp_path / "old", workers=1), items)
    assert m.first_N_J is None, "a task without that reading has no grade of it"


@pytest.mark.parametrize("wrong", [" So the answer is {}.", " Working. It is {}.", " I would say {}."])
def test_a_right_formal_answer_before_another_one_is_right_by_its_first_declaration(wrong: str) -> None:
    task = FormalTask("chain", n_train=5, n_dev=5, n_test=6)
    item = task.items("test")[0]
    other = str((int(item.gold or 0) + 1) % 10)
    rambling = task.gold_completion(item) + wrong.format(other)
    for finished in (True, False):
        judged = task.grade(item, rambling, finished)
        assert (judged.strict, judged.lenient, judged.first, judged.first_answer) == (False, False, True, item.gold)
    late = task.grade(item, wrong.format(other) + task.gold_completion(item), True)
    assert (late.strict, late.lenient, late.first, late.first_answer) == (True, True, False, other)
    cut = task.grade(item, f" Working. So the answer is {item.gold}", False)
    assert (cut.first, cut.first_answer) == (False, None), "a declaration without its period is not complete"
