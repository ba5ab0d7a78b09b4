"""Lenses that read texts and grades, on traces with a known answer."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from elicit.evaluate.lenses import LENSES
from elicit.evaluate.lenses.coherence import equation_errors, local_errors
from elicit.evaluate.lenses.length import spearman
from elicit.evaluate.lenses.reflection import candidates
from elicit.evaluate.lenses.structure import jensen_shannon, kind_of, long_links
from elicit.evaluate.lenses.validity import table_N_4
from elicit.records import Item
from elicit.results import Estimate
from elicit.tasks.formal.task import FAMILIES, FormalTask
from elicit.tasks.natural.gsm8k import Gsm8k
from elicit.tasks.task import make_item
from tests.evaluate.lenses.scene import CHAIN, right_text, side, view
from tests.reference import lenses as plain

ITEMS = CHAIN.items("test", 24)
FACTS = {"start": 3, "operations": [["+", 4], ["*", 7], ["-", 2]]}  # 3 + 4 = 7. 7 * 7 = 9. 9 - 2 = 7.


def invalid(item: Item) -> str:
    """The right answer after a first step with a wrong result."""
    head, _, tail = right_text(item).partition(" = ")
    return f"{head} = {(int(tail[0]) + 1) % 10}{tail[1:]}"


def direct(item: Item, right: bool = True) -> str:
    return f" The answer is {item.gold if right else (int(item.gold or 0) + 1) % 10}."


def mixed() -> list[list[str]]:
    """A quarter each: valid right, invalid right, traceless wrong, traceless right; the last item's all alike."""
    return [[right_text(item), invalid(item), direct(item, False), direct(item)] for item in ITEMS]


def test_validity_counts_the_table_that_was_planted() -> None:
    of = side("mixed", ITEMS, mixed())
    found = LENSES["validity"].read(view([of], ITEMS)).columns["mixed"]
    a, b, c, d = plain.table(of.measures.valid_N_J.ravel().tolist(), of.measures.strict_N_J.ravel().tolist())
    assert (a, b, c, d) == (24, 0, 48, 24) == tuple(table_N_4(of).sum(0).astype(int))
    assert found["valid given right"].point == pytest.approx(1 / 3)
    assert found["unearned"].point == pytest.approx(2 / 3)
    assert found["phi"].point == pytest.approx(plain.phi(a, b, c, d))
    assert found["odds ratio"].point == pytest.approx(24.5 * 24.5 / (0.5 * 48.5))


def test_validity_refuses_a_share_of_right_answers_if_there_is_none() -> None:
    wrong = side("wrong", ITEMS, [[direct(item, False)] * 2 for item in ITEMS])
    found = LENSES["validity"].read(view([wrong], ITEMS)).columns["wrong"]
    assert found["valid given right"] == Estimate(refused="no right answer") and found["phi"].refused


def test_validity_bins_add_up_to_the_whole() -> None:
    table = LENSES["validity"].read(view([side("mixed", ITEMS, mixed())], ITEMS)).table
    whole, *bins = (row for row in table)
    assert len(bins) > 1 and all(sum(row[c] for row in bins) == whole[c] for c in ("valid right", "invalid wrong"))


@pytest.mark.parametrize(
    ("trace", "errors"),
    [
        ("3 + 4 = 7. 7 * 7 = 9. 9 - 2 = 7.", [None, None, None]),
        ("3 + 4 = 8. 8 * 7 = 6. 6 - 2 = 4.", ["wrong_result", None, None]),  # inherited errors are not errors
        ("3 + 4 = 7. 6 * 7 = 2. 2 - 2 = 0.", [None, "broken_link", None]),
        ("3 + 4 = 7. 7 + 7 = 4. 4 - 5 = 9.", [None, "wrong_rule", "wrong_premise"]),
        ("3 + 4 = 7. 7 * 7 = 9. 9 - 2 = 7. 7 + 1 = 8.", [None, None, None, "extra_step"]),
        ("3 + 4 = 7. Hmm. 9 - 2 = 7.", [None, "unreadable"]),  # what follows an unreadable step can't be judged
        ("Hmm. Hmm. 9 - 2 = 7.", ["unreadable", "unreadable"]),
    ],
)
def test_steps_are_charged_with_their_own_errors_only(trace: str, errors: list[str | None]) -> None:
    assert local_errors(FAMILIES["chain"], FACTS, 3, f" Working. {trace} So the answer is 7.") == errors


def test_an_answer_without_a_trace_has_no_steps() -> None:
    assert local_errors(FAMILIES["chain"], FACTS, 3, " The answer is 7.") == []


def test_equations_of_a_text_in_words_are_judged_one_by_one() -> None:
    assert equation_errors("He has 3 + 4 = 7 eggs. Then 7 * 2 = 15. So 15 - 1 = 14.") == [None, "wrong_result", None]
    assert equation_errors("No arithmetic here.") == []


def test_coherence_can_be_high_while_validity_is_low() -> None:
    of = side("mixed", ITEMS, [[invalid(item)] for item in ITEMS])
    found = LENSES["coherence"].read(view([of], ITEMS))
    steps = sum(len(item.facts["operations"]) for item in ITEMS)
    errors = sum(row["steps"] for row in found.table)
    assert found.columns["mixed"]["valid"].point == 0
    assert found.columns["mixed"]["coherent"].point == pytest.approx((steps - errors) / steps)
    assert {row["error"] for row in found.table} <= {"wrong_result", "broken_link"}
    assert 24 <= errors <= 48  # the changed step, and the next one that does not start from it


def test_coherence_strata_weigh_pairings_with_the_base() -> None:
    base = side("base", ITEMS, [[direct(item, i % 2 == 0)] for i, item in enumerate(ITEMS)], role="base")
    texts = [[right_text(item) if i % 2 == 0 else invalid(item)] for i, item in enumerate(ITEMS)]
    found = LENSES["coherence"].read(view([base, side("m", ITEMS, texts)], ITEMS)).columns["m"]
    assert found["base right, policy right"].point == 1
    assert found["base wrong, policy right"].point < 1
    assert found["base right, policy wrong"].refused


@pytest.mark.parametrize("family", ["chain", "walk", "add", "flips", "maze", "deduction"])
def test_right_traces_of_every_family_are_coherent_and_valid(family: str) -> None:
    task = FormalTask(family=family, n_test=6)
    items = task.items("test")
    found = LENSES["coherence"].read(
        view([side("m", items, [[right_text(i, task)] for i in items], task)], items, task)
    )
    assert [found.columns["m"][name].point for name in ("coherent", "coherent throughout", "valid")] == [1, 1, 1]
    assert found.table == []


def test_coherence_beyond_formal_tasks_is_refused() -> None:
    task = Gsm8k()
    items = [make_item("words", "test", f"Question {k}?", str(k)) for k in range(3)]
    texts = [["First 1 + 1 = 2. The answer is 2."]] * 3
    assert LENSES["coherence"].read(view([side("base", items, texts, task)], items, task)).refused is None
    named = replace(CHAIN, family="walk")
    assert "formal tasks only" in str(
        LENSES["coherence"].read(view([side("b", items, texts, task)], items, named)).refused
    )


def test_reflections_are_steps_between_stated_answers() -> None:
    text = " So the answer is 4. Wait. The answer is 5. Check. The answer is 5. Hmm. The answer is 4."
    assert candidates(CHAIN, text) == ["4", "5", "5", "4"]
    assert candidates(CHAIN, " 3 + 4 = 7. So the answer is 7.") == []


def test_reflection_counts_what_was_planted() -> None:
    def text(*answers: int) -> str:
        return "".join(f" The answer is {answer % 10}." for answer in answers)

    golds = [int(item.gold or 0) for item in ITEMS]
    texts = [[text(g, g), text(g, g + 1), text(g + 1, g), text(g + 1, g + 2), text(g)] for g in golds]
    found = LENSES["reflection"].read(view([side("m", ITEMS, texts)], ITEMS)).columns["m"]
    assert found["reflecting"].point == 0.8 and found["changing"].point == 0.75
    assert found["right to wrong"].point == found["wrong to right"].point == 0.25
    assert found["given up"].point == found["mended"].point == 0.5


def test_no_second_answer_is_unknown_and_not_zero() -> None:
    found = LENSES["reflection"].read(view([side("m", ITEMS, [[right_text(item)] for item in ITEMS])], ITEMS))
    assert found.columns["m"]["reflecting"].point == 0
    assert found.columns["m"]["right to wrong"].refused


def test_rank_correlations_are_those_of_the_restatement() -> None:
    rng = np.random.default_rng(0)
    x, z = rng.integers(0, 5, 40), rng.normal(size=40)
    y = x + z + rng.normal(size=40)
    assert spearman(np.stack([x, y], 1)) == pytest.approx(plain.spearman(x.tolist(), y.tolist()))
    partial = plain.partial_spearman(x.tolist(), y.tolist(), z.tolist())
    assert spearman(np.stack([x, y, z], 1)) == pytest.approx(partial)


def test_traces_that_hold_every_step_grow_with_the_operations() -> None:
    traced, flat = ([[text(item)] for item in ITEMS] for text in (right_text, direct))
    found = LENSES["length"].read(view([side("flat", ITEMS, flat), side("traced", ITEMS, traced)], ITEMS)).columns
    assert found["traced"]["operations"].point == pytest.approx(1)
    assert "no spread" in str(found["flat"]["operations"].refused)


def test_kinds_of_steps_and_links() -> None:
    steps = ["3 + 4 = 7.", "Wait, is that right?", "Alternatively, add first.", "So the answer is 7.", "Working."]
    assert [kind_of(step) for step in steps] == ["deduction", "reflection", "exploration", "conclusion", "other"]
    assert long_links(["x = 42.", "a.", "b.", "42 again.", "42."], 3) == 1
    assert long_links(["x = 42.", "42.", "42.", "42."], 3) == 0


def test_divergence_is_that_of_the_restatement_and_0_for_the_same_policy() -> None:
    a, b = {0: 3.0, 1: 1.0, 2: 0.0}, {0: 1.0, 1: 1.0, 2: 2.0}
    arrays = [np.array([side_[k] for k in range(3)]) for side_ in (a, b)]
    assert jensen_shannon(*arrays) == pytest.approx(plain.jensen_shannon(a, b))  # type: ignore[arg-type]
    assert jensen_shannon(arrays[0], 5 * arrays[0]) == pytest.approx(0)
    assert jensen_shannon(np.array([1.0, 0]), np.array([0, 2.0])) == pytest.approx(1)
    same = [[right_text(item)] * 2 for item in ITEMS]
    read = LENSES["structure"].read(view([side("base", ITEMS, same), side("twin", ITEMS, same)], ITEMS)).columns
    assert read["twin"]["divergence"].point == pytest.approx(0) and read["base"]["divergence"].point == 0


@pytest.mark.parametrize("name", LENSES)
def test_every_lens_answers_or_refuses_bad_input(name: str) -> None:
    """Missing samples, unequal n, all wrong, one sample, blank texts: figures stay drawable, JSON stays strict."""
    bad = [
        [[None, " The answer is 1."] for _ in ITEMS],
        [[""] for _ in ITEMS],
        [[" It is 3.", None, None] for _ in ITEMS],
        [[direct(item, False)] for item in ITEMS],
    ]
    base = side("base", ITEMS, [[direct(item)] for item in ITEMS], role="base")
    for texts in bad:
        found = LENSES[name].read(view([base, side("m", ITEMS, texts)], ITEMS, draws=50))
        json.dumps(found.plain(), allow_nan=False)
        assert found.says and (found.refused or found.figure)
        for column in (estimate for of in found.columns.values() for estimate in of.values()):
            assert column.refused or column.lo <= column.point + 1e-6 <= column.hi + 2e-6
        for series in found.figure["series"] if found.figure else ():
            assert len(series["y"]) == len(found.figure["x"])
