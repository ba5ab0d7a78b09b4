"""Lenses that studies read: calibration, factors of a prompt, repaired traces, legibility, gains, stopping."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from elicit.evaluate.lenses import LENSES
from elicit.evaluate.lenses.calibration import confidence_N_J
from elicit.evaluate.lenses.factors import effect, share
from elicit.records import Item
from tests.evaluate.lenses.scene import CHAIN, right_text, side, view

ITEMS = CHAIN.items("test", 24)


def answer(item: Item, offset: int | None) -> str:
    return " Hmm." if offset is None else f" The answer is {(int(item.gold or 0) + offset) % 10}."


def texts(offsets: list[list[int | None]]) -> list[list[str | None]]:
    """The same answers for every item of a cycle of rows."""
    rows = itertools.cycle(offsets)
    return [[answer(item, offset) for offset in next(rows)] for item in ITEMS]


def test_confidence_is_the_share_of_the_others_and_its_error_that_of_a_restatement() -> None:
    offsets: list[list[int | None]] = [[0, 0, 1, None], [1, 1, 1, 1], [0, 0, 0, 0], [2, 0, 1, None]]
    of = side("m", ITEMS, texts(offsets))
    columns = (
        LENSES["calibration"].read(view([side("base", ITEMS, texts([[0, 0, 0, 0]]), role="base"), of], ITEMS)).columns
    )
    pairs = []
    for row in offsets:
        for j, given in enumerate(row):
            others = [other == given for k, other in enumerate(row) if k != j]
            pairs.append((0.0 if given is None else sum(others) / 3, float(given == 0)))
    assert confidence_N_J(of)[:4].ravel() == pytest.approx([sure for sure, _ in pairs])
    bins: dict[int, list[float]] = {}
    for sure, right in pairs:
        bins.setdefault(min(9, int(sure * 10)), []).append(sure - right)
    found = columns["m"]
    assert found["calibration error"].point == pytest.approx(sum(abs(sum(of)) for of in bins.values()) / len(pairs))
    assert found["Brier"].point == pytest.approx(np.mean([(sure - right) ** 2 for sure, right in pairs]))
    assert found["overconfidence"].point == pytest.approx(np.mean([sure - right for sure, right in pairs]))
    # a base that is always right and sure has no error, so the difference is the policy's own
    assert columns["base"]["calibration error"].point == 0
    assert found["calibration error - base"].point == pytest.approx(found["calibration error"].point)


def test_a_single_sample_has_no_confidence() -> None:
    found = LENSES["calibration"].read(view([side("base", ITEMS, texts([[0]]), role="base")], ITEMS))
    assert "n = 1" in str(found.refused)


LEVELS = (("qa", "plain"), ("same", "other"), ("before", "after"), ("right", "wrong"))


def cells(effects: dict[str, int]) -> list:
    """Cells of a factorial: of ten samples, 2 are right, and more by every level that is in `effects`."""
    out = [side("base", ITEMS, texts([[0] * 10]), role="base")]
    for names in itertools.product(*LEVELS):
        right = 2 + sum(effects.get(name, 0) for name in names)
        out.append(side("_".join(("form", *names)), ITEMS, texts([[0] * right + [1] * (10 - right)])))
    return out


def test_effects_and_shares_are_those_that_were_planted_and_add_up() -> None:
    found = LENSES["factors"].read(view(cells({"qa": 4, "same": 2}), ITEMS)).columns["base"]
    assert found["format: effect"].point == pytest.approx(-0.4) and found["format: swing"].point == pytest.approx(0.4)
    assert found["domain: effect"].point == pytest.approx(-0.2)
    assert found["position: share"].point == pytest.approx(0) and found["validity: kept"].point == pytest.approx(1)
    assert found["format: share"].point == pytest.approx(0.8) and found["domain: share"].point == pytest.approx(0.2)
    assert found["format - domain: share"].point == pytest.approx(0.6)
    assert found["interactions: share"].point == pytest.approx(0, abs=1e-9)


def test_shares_of_main_effects_are_sums_of_squares_of_a_brute_force_analysis() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(16)
    signs = np.array(list(itertools.product([1, -1], repeat=4)))
    total = ((values - values.mean()) ** 2).sum()
    for k in range(4):
        up, down = values[signs[:, k] == 1], values[signs[:, k] == -1]
        squares = 8 * ((up.mean() - values.mean()) ** 2 + (down.mean() - values.mean()) ** 2)
        assert share(values, signs[:, k]) == pytest.approx(squares / total)
        assert effect(values, signs[:, k]) == pytest.approx(up.mean() - down.mean())


def test_an_incomplete_factorial_is_refused() -> None:
    assert "no factorial: 16 policies" in str(LENSES["factors"].read(view(cells({})[:-1], ITEMS)).refused)


def test_a_trace_is_valid_without_what_it_takes_back_and_only_then() -> None:
    def taken_back(item: Item) -> str:
        head, _, tail = right_text(item).partition(" = ")
        step = head.removeprefix(" Working. ")
        return f" Working. {step} = {(int(tail[0]) + 1) % 10}. Instead. {step} = {tail}"

    plain = [[right_text(item)] for item in ITEMS]
    mended = [[taken_back(item)] for item in ITEMS]
    broken = [[text.replace(" Instead.", "") for text in row] for row in mended]
    sides = [side("base", ITEMS, plain, role="base"), side("mended", ITEMS, mended), side("broken", ITEMS, broken)]
    found = LENSES["repaired"].read(view(sides, ITEMS)).columns
    assert [found[name]["valid"].point for name in ("base", "mended", "broken")] == [1, 1, 0]
    assert [found[name]["verifying"].point for name in ("base", "mended", "broken")] == [0, 1, 0]
    assert all(of.measures.valid_N_J.max() == 0 for of in sides[1:])


def test_legibility_counts_words_symbols_repetitions_and_unmarked_sentences() -> None:
    text = " Working. 3 + 4 = 7. 3 + 4 = 7. Blue sky."
    found = LENSES["legibility"].read(view([side("base", ITEMS, [[text]] * 24, role="base")], ITEMS)).columns["base"]
    assert found["words per sentence"].point == pytest.approx((1 + 5 + 5 + 2) / 4)
    assert found["symbols"].point == pytest.approx(10 / len(text))
    assert found["repeated"].point == pytest.approx(1 / 4) and found["unmarked"].point == pytest.approx(2 / 4)


def test_gains_of_coherence_and_validity_are_differences_of_their_columns() -> None:
    def late(item: Item) -> str:
        """The right steps with another conclusion: every step holds, the trace does not."""
        return CHAIN.corrupted_completion(item)

    base = side("base", ITEMS, [[right_text(item), late(item)] for item in ITEMS], role="base")
    of = side("m", ITEMS, [[right_text(item), right_text(item)] for item in ITEMS])
    found = LENSES["coherence"].read(view([base, of], ITEMS)).columns
    assert found["m"]["coherent - base"].point == pytest.approx(0)
    assert found["m"]["valid - base"].point == pytest.approx(0.5)
    assert found["m"]["coherent gain - valid gain"].point == pytest.approx(-0.5)
    assert "valid - base" not in found["base"]


def test_stopping_is_the_first_answer_less_the_last_and_the_text_after_it() -> None:
    def stated(item: Item, *offsets: int) -> str:
        return "".join(answer(item, offset) for offset in offsets)

    rows = [[stated(item, 0, 1), stated(item, 1, 0), stated(item, 0, 0), stated(item, 0)] for item in ITEMS]
    found = LENSES["reflection"].read(view([side("m", ITEMS, rows)], ITEMS)).columns["m"]
    assert found["stopping: accuracy"].point == pytest.approx(0)
    one = len(" The answer is 4.")
    assert found["stopping: text saved"].point == pytest.approx(3 * one / (7 * one))
    lost = [[stated(item, 1, 0), stated(item, 0)] for item in ITEMS]
    only = LENSES["reflection"].read(view([side("m", ITEMS, lost)], ITEMS)).columns["m"]
    assert only["stopping: accuracy"].point == pytest.approx(-0.5)
