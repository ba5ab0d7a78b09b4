"""Controls of critique fine-tuning: one builder, one field each, as many loss tokens."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elicit.errors import MethodError
from elicit.tasks.review import flip_verdict, parts
from elicit.training.sft.rows import Row
from methods.critique_ft.controls import (
    PLACEBOS,
    RIVALS,
    Recipe,
    build_rows,
    derangement,
    equal_tokens,
)
from methods.critique_ft.method import CritiqueFT
from methods.critique_ft.perturb import PERTURBATIONS, perturbed
from methods.critique_ft.program import ProgramCritic
from methods.critique_ft.records import Example
from tests.methods.critique_ft.examples import SOURCES, chain_examples

EXAMPLES = chain_examples()
OWN = build_rows(EXAMPLES, Recipe(), SOURCES, np.random.default_rng(0))
CONTROLS = {**PLACEBOS, **RIVALS}


def rows_of(name: str, examples=EXAMPLES) -> list[Row]:
    return build_rows(examples, CONTROLS[name], SOURCES, np.random.default_rng(1))


@pytest.mark.parametrize("name", sorted(CONTROLS))
def test_a_control_differs_from_the_method_in_exactly_one_field(name):
    changed = [f.name for f in fields(Recipe) if getattr(CONTROLS[name], f.name) != getattr(Recipe(), f.name)]
    assert len(changed) == 1
    method = CritiqueFT(critic=ProgramCritic("with_correction"))
    control = {**method.placebos(), **method.rivals()}[name]
    assert replace(control, recipe=method.recipe) == method


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *((name, "completion") for name in ("shuffled_critiques", "flipped_verdicts", *sorted(PERTURBATIONS))),
        ("without_response", "prompt"),
        ("loss_on_prompt", "prompt_in_loss"),
    ],
)
def test_the_rows_of_a_control_differ_in_one_field_and_do_differ(name, field):
    rows = rows_of(name)
    assert len(rows) == len(OWN)
    for row, own in zip(rows, OWN, strict=True):
        assert replace(row, **{field: getattr(own, field)}) == own
    assert rows != OWN


def test_the_methods_rows_are_the_review_prompt_and_the_critique_with_its_own_response():
    for row, example in zip(OWN, EXAMPLES, strict=True):
        assert row.prompt == f"Question: {example.question}\nProposed: {example.response.strip()}\nReview:"
        assert row.completion == example.critique and not row.prompt_in_loss


def test_a_filler_has_as_many_tokens_as_the_critique_and_one_word():
    for row, own in zip(rows_of("filler"), OWN, strict=True):
        assert row.prompt == own.prompt
        assert len(row.completion_ids) == len(SOURCES.tokenise(own.completion)) and len(set(row.completion_ids)) == 1


@settings(max_examples=60, deadline=None)
@given(
    problems=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4)), min_size=2, max_size=12),
    seed=st.integers(0, 99), in_class=st.booleans(),
)  # fmt: skip
def test_a_shuffle_is_a_derangement_within_the_verdict_class(problems, seed, in_class):
    examples = [
        Example(f"p{p}", "q", "r", f" critique {p} {side} {k}", side)
        for p, counts in enumerate(problems)
        for side, count in zip((True, False), counts, strict=True)
        for k in range(count)
    ]
    classes = [[e for e in examples if e.right is side] for side in (True, False)] if in_class else [examples]
    if any(len(members) == 1 for members in classes):
        with pytest.raises(MethodError, match="one example only"):
            derangement(examples, in_class, random.Random(seed))
        return
    order = derangement(examples, in_class, random.Random(seed))
    assert sorted(order) == list(range(len(examples)))
    assert all(place != giver for place, giver in enumerate(order))
    for place, giver in enumerate(order):
        mine, theirs = examples[place], examples[giver]
        assert not in_class or mine.right is theirs.right
        members = next(c for c in classes if mine in c)
        if 2 * max(Counter(e.key for e in members).values()) <= len(members):
            assert mine.key != theirs.key


def test_flipped_verdicts_change_the_verdict_alone():
    for row, own in zip(rows_of("flipped_verdicts"), OWN, strict=True):
        assert row.completion == flip_verdict(own.completion)


def test_bare_verdicts_are_shuffled_freely_for_within_their_class_they_are_alike():
    bare = [
        replace(example, critique=f" The proposed answer is {'right' if example.right else 'wrong'}.")
        for example in EXAMPLES
    ]
    with pytest.raises(MethodError, match=r"changes none of 24 critiques.*shuffled_freely"):
        rows_of("shuffled_critiques", bare)
    placebo = CritiqueFT(critic=ProgramCritic("verdict_only")).placebos()["shuffled_critiques"]
    rows = build_rows(bare, placebo.recipe, SOURCES, np.random.default_rng(0))
    assert Counter(row.completion for row in rows) == Counter(example.critique for example in bare)
    assert [row.completion for row in rows] != [example.critique for example in bare]


def test_a_trace_control_without_a_trace_is_an_error():
    bare = [replace(example, critique=" The proposed answer is wrong.") for example in EXAMPLES]
    with pytest.raises(MethodError, match="steps_shuffled changes none of 24"):
        rows_of("steps_shuffled", bare)


def pieces(critique: str) -> tuple[list[str], list[str], list[str]]:
    before, verdict, after = parts(critique)
    return before[1:], verdict, after


@pytest.mark.parametrize("family", ["chain", "walk", "add", "flips"])
def test_perturbations_do_what_they_are_called(family):
    examples = chain_examples(10, family=family)
    texts = [example.critique for example in examples]
    changed = {name: perturbed(examples, name, random.Random(0)) for name in PERTURBATIONS}
    for place, text in enumerate(texts):
        steps, verdict, after = pieces(text)
        new = {name: pieces(critiques[place]) for name, critiques in changed.items()}
        assert sorted(new["steps_shuffled"][0]) == sorted(steps)
        assert new["steps_shuffled"][0] != steps or len(set(steps)) == 1
        assert len(new["steps_deleted"][0]) == len(steps) - -(-len(steps) // 3)
        assert [s for s in new["steps_inserted"][0] if s in steps][: len(steps)] == steps
        assert len(new["steps_inserted"][0]) >= len(steps)
        assert new["tail_cut"] == (steps, verdict, [])
        assert len(changed["tail_cut"][place].split()) == len(changed["span_cut"][place].split())
        assert changed["span_cut"][place].endswith(" ".join([*verdict, *after]))
        assert new["numbers_changed"][1:] == (verdict, after)
        same = [a == b for a, b in zip(text.split(), changed["numbers_changed"][place].split(), strict=True)]
        assert not all(same) and same[0] and len(same) == len(text.split())
        assert "Working" not in changed["keywords_removed"][place] and " So " not in changed["keywords_removed"][place]
        assert changed["wrong_answer"][place].rpartition("answer is")[0] == text.rpartition("answer is")[0]
        assert changed["wrong_answer"][place] != text
    assert any(pieces(c)[0] != pieces(t)[0] for c, t in zip(changed["steps_inserted"], texts, strict=True))


@settings(max_examples=80, deadline=None)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=30), wanted=st.integers(1, 900))
def test_a_control_comes_within_one_row_of_the_methods_loss_tokens(lengths, wanted):
    places = equal_tokens(lengths, wanted, np.random.default_rng(0))
    assert places and abs(sum(lengths[place] for place in places) - wanted) <= max(max(lengths) / 2, lengths[places[0]])
    counts = Counter(places)
    assert max(counts.values()) - min(counts.get(place, 0) for place in range(len(lengths))) <= 1


def test_own_traces_come_from_their_source_right_or_wrong():
    asked = []
    sources = replace(SOURCES, traces=lambda right: asked.append(right) or [Row("q", " a")])
    for name, right in (("sft_right", True), ("sft_wrong", False)):
        assert build_rows(EXAMPLES, CONTROLS[name], sources, np.random.default_rng(0)) == [Row("q", " a")]
        assert asked.pop() is right
