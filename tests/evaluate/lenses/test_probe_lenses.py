"""Lenses that force answers, on planted policies: one reads its trace, one ignores it, one is fixed half-way."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from elicit.evaluate.lenses import LENSES
from elicit.evaluate.lenses.causality import paraphrase, with_error
from elicit.evaluate.lenses.commitment import course
from elicit.evaluate.lenses.economy import DRAFT
from elicit.evaluate.lenses.forced import STUB, forced_answer, trace_ends
from elicit.evaluate.lenses.importance import total_variation
from elicit.evaluate.lenses.sentences import sentences
from elicit.evaluate.lenses.view import Side
from elicit.records import Item
from tests.evaluate.lenses.scene import CHAIN, right_text, side, view

ITEMS = [item for item in CHAIN.items("test", 40) if 2 <= len(item.facts["operations"]) <= 5][:16]
TEXTS = [[right_text(item)] for item in ITEMS]
Policy = Callable[[Item, str, int], str]
"""(item, forced text, draw) -> continuation"""


def reader(item: Item, forced: str, draw: int) -> str:
    """States the last result in the forced text; 0 if there is none."""
    results = re.findall(r"= (\d)", forced)
    return f" {results[-1] if results else 0}."


def blind(item: Item, forced: str, draw: int) -> str:
    """States the gold for every trace."""
    return f" {item.gold}."


def probed(name: str, policy: Policy, texts: Any = TEXTS) -> Side:
    """A side with the rows of the lens's plan, answered by this policy."""
    of = side("m", ITEMS, texts)
    by_id = {item.id: item for item in ITEMS}
    rows = []
    for probe in LENSES[name].plan(view([of], ITEMS), of):  # type: ignore[attr-defined]
        text = of.texts_N_J[[item.id for item in ITEMS].index(probe.item), probe.j]
        forced = text[: probe.kept] + probe.text
        for draw in range(probe.n):
            rows.append({"item": probe.item, "j": probe.j, "key": probe.key, "draw": draw, "forced_text": forced,
                         "forced_tokens": len(forced.split()), "tokens": 2, "finish": "eos",
                         "text": policy(by_id[probe.item], forced, draw)})  # fmt: skip
    return replace(of, probes={name: rows})


def columns(name: str, policy: Policy) -> dict[str, Any]:
    return LENSES[name].read(view([probed(name, policy)], ITEMS)).columns["m"]


def test_a_policy_that_reads_its_trace_follows_every_trace() -> None:
    found = columns("causality", reader)
    assert [found[c].point for c in ("error", "other", "followed", "own right")] == [1, 1, 1, 1]
    assert found["paraphrase"].point == 0
    golds = [item.gold for item in ITEMS]
    assert found["removed"].point == found["filler"].point == np.mean([gold != "0" for gold in golds])
    assert found["error - paraphrase"].point == 1


def test_a_policy_that_ignores_its_trace_never_changes_its_answer() -> None:
    found = columns("causality", blind)
    assert all(found[c].point == 0 for c in ("error", "other", "filler", "removed", "paraphrase", "followed"))
    assert found["error"].hi > 0  # sixteen traces can't exclude a small rate


@pytest.mark.parametrize(
    ("trace", "wrong"),
    [
        ("7 * 7 = 9.", "7 * 7 = 0."),
        ("a c. c h.", "a c. c a."),
        ("up down up.", "up down down."),
        ("Max is a cat, so Max is red.", "Max is a cat, so Max is not red."),
        ("No value", None),
    ],
)
def test_an_error_changes_the_last_value_only(trace: str, wrong: str | None) -> None:
    assert with_error(trace) == wrong


def test_a_paraphrase_keeps_the_content() -> None:
    assert paraphrase(" Working. 3 + 4 = 7.") == " Scratch. 3 + 4 = 7."
    assert paraphrase(" 3 + 4 = 7.") is None


def test_the_answer_of_a_reader_is_fixed_by_the_last_step_and_that_of_a_blind_one_at_once() -> None:
    assert columns("commitment", blind)["commitment"].point == 0
    found = columns("commitment", reader)
    assert found["commitment"].point > 0.8 and found["earned"].point > 0.5
    assert found["commitment"].point + found["tail share"].point == pytest.approx(1)


def test_the_course_of_a_trace() -> None:
    assert course(["1", "4", "2", "4", "4"], "4", "4") == {
        "never commits": 0, "earned": 1, "right lost": 0, "commitment": 0.75, "tail share": 0.25, "left": 1,
    }  # fmt: skip
    lost = course(["4", "4", "2"], "2", "4")
    assert lost["right lost"] == 1 and lost["commitment"] == 1 and lost["left"] == 0
    assert course(["1", None], "4", "4") == {"never commits": 1, "earned": 1, "right lost": 0}


def test_accuracy_rises_with_the_budget_for_a_reader_and_not_for_a_blind_policy() -> None:
    found = columns("economy", reader)
    assert found["at 100 %"].point == 1 and found["at 0 %"].point < 0.3
    flat = columns("economy", blind)
    difference = flat.pop(DRAFT)
    assert {estimate.point for estimate in flat.values()} == {1.0} and difference.bounds[0] == 0
    assert found[DRAFT].point == pytest.approx(found["at 7.6 %"].point - found["at 100 %"].point)
    table = LENSES["economy"].read(view([probed("economy", reader)], ITEMS)).table
    spent = [row["tokens"] for row in table]
    assert spent == sorted(spent) and spent[0] == len(STUB.split()) + 2  # the forced answer's own tokens count


def chooser(item: Item, forced: str, draw: int) -> str:
    """Before the first result each draw takes its own value; after it all draws agree."""
    results = re.findall(r"= (\d)", forced)
    value = results[0] if results else str(draw % 10)
    return f"{'' if results else f' 0 + {value} = {value}.'} So the answer is {value}."


def test_the_sentence_that_decides_is_the_important_one() -> None:
    found = LENSES["importance"].read(view([probed("importance", chooser)], ITEMS))
    rows = [row for row in found.table if "point" in row]
    decisive = [row for row in rows if row["sentence"] == 2]  # the opener is the first sentence
    others = [row for row in rows if row["sentence"] > 2]
    assert decisive and all(row["point"] > 0.7 and row["clear"] == 1 for row in decisive)
    assert others and all(row["point"] == 0 for row in others)


def test_variants_are_reported_as_rank_correlations_with_resampling_within_traces() -> None:
    def branching(item: Item, forced: str, draw: int) -> str:
        """The later in the trace, the fewer draws leave it."""
        done = len(sentences(forced))
        return f" Else {draw}. So the answer is {draw % 10 if draw % 6 > done else 0}."

    of = probed("importance", branching)
    rows = LENSES["importance"].read(view([of], ITEMS)).table
    looked = [{"item": row["item"], "j": 0, "sentence": row["sentence"] - 1, "attention": row.get("point"),
               "suppression": -row["point"] if "point" in row else None} for row in rows]  # fmt: skip
    of = replace(of, probes={**of.probes, "sentences": looked})
    found = LENSES["importance"].read(view([of], ITEMS)).columns["m"]
    assert found["rho with attention"].point == pytest.approx(1)
    assert found["rho with suppression"].point == pytest.approx(-1)


def test_total_variation_of_the_same_distribution_stays_within_its_noise() -> None:
    rng = np.random.default_rng(0)
    found = [total_variation(*rng.choice(list("abc"), (2, 30)).tolist(), rng) for _ in range(40)]
    assert np.mean([row["point"] for row in found]) == pytest.approx(np.mean([row["noise"] for row in found]), abs=0.03)
    assert np.mean([row["clear"] for row in found]) < 0.2
    apart = total_variation(["a"] * 20, ["b"] * 20, rng)
    assert apart["point"] == 1 and apart["lo"] > 0.8 and apart["clear"] == 1


def test_a_sentence_that_is_always_written_again_has_no_importance() -> None:
    def same(item: Item, forced: str, draw: int) -> str:
        return right_text(item)[len(forced) :]

    found = LENSES["importance"].read(view([probed("importance", same)], ITEMS))
    assert "same sentences" in str(found.columns["m"]["total variation"].refused)
    assert found.columns["m"]["fixed sentences"].point == 1


def test_forced_answers_are_read_from_the_first_sentence_after_the_stub() -> None:
    assert forced_answer(CHAIN, " 7. The answer is 8.") == "7"
    assert forced_answer(CHAIN, " 7\nQuestion: next") == "7" and forced_answer(CHAIN, " 7") == "7"
    assert forced_answer(CHAIN, "") is None and forced_answer(CHAIN, ".") is None


def test_a_trace_ends_before_the_sentence_that_states_the_answer() -> None:
    text = " Working. 3 + 4 = 7. So the answer is 7."
    assert [text[:end] for end in trace_ends(CHAIN, text)] == [" Working.", " Working. 3 + 4 = 7."]
    assert trace_ends(CHAIN, " The answer is 7.") == ()
    assert sentences(" 1.5 is half of 3.\nSo it is.") == ["1.5 is half of 3.", "So it is."]


@pytest.mark.parametrize("name", ["commitment", "economy", "causality", "importance"])
def test_plans_are_the_same_for_the_same_view_and_unrun_ones_are_refused(name: str) -> None:
    of = side("m", ITEMS, TEXTS)
    seen = view([of], ITEMS)
    assert LENSES[name].plan(seen, of) == LENSES[name].plan(seen, of) != []  # type: ignore[attr-defined]
    assert "further sampling" in str(LENSES[name].read(seen).refused)
