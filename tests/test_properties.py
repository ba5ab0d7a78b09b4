"""Laws that hold for all inputs (hypothesis): path names, serialisation, splits, statistics. Grading: tests/tasks."""

from __future__ import annotations

import json
import tempfile
from itertools import combinations, pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from elicit.errors import ConfigError, DataError, segment
from elicit.evaluate.metrics.coverage import coverage, pass_hat_k
from elicit.evaluate.statistics.resamples import jeffreys
from elicit.evaluate.statistics.significance import benjamini_hochberg, holm, sign_flip_test, tail_share
from elicit.experiment.plan import _as_segment
from elicit.files import content_hash, read_json, read_rows, seed_of, write_json, write_rows
from elicit.reading import parse_json, parse_yaml, yaml_text
from elicit.records import Item
from elicit.tasks.natural.task import carve, with_test
from elicit.tasks.splits import share_of, split_of, subset, without_repeats
from elicit.tasks.task import make_item

PLAIN = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
"""without half characters and NUL, which no file of ours may hold"""
LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | PLAIN
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN, inner, max_size=4))
QUESTIONS = st.lists(st.text("abc XY?\n", min_size=1, max_size=6), max_size=24)
P_VALUES = st.lists(st.floats(0, 1), max_size=12)

# path names


@given(st.text(max_size=140))
def test_a_segment_is_one_folder_below_its_root(name: str) -> None:
    try:
        assert segment(name, "group") == name
    except ConfigError as fault:
        assert "group=" in str(fault)
        return
    root = Path("/root/comparisons")
    assert (root / name).parent == root and (root / name).parts[-1] == name and name not in (".", "..")
    assert (root / name).resolve().parent == root and "\0" not in name and len(name.encode()) <= 120


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=200))
def test_a_derived_name_is_always_a_segment(name: str) -> None:
    assert segment(_as_segment(name), "group")


# serialisation


@given(VALUES)
def test_json_is_read_as_it_was_written_and_its_hash_ignores_the_order_of_keys(value: Any) -> None:
    assert parse_json(json.dumps(value), "x", object) == value
    assert parse_json(json.dumps(value, ensure_ascii=False), "x", object) == value
    turned = dict(reversed(value.items())) if isinstance(value, dict) else value
    assert content_hash(value) == content_hash(turned) == content_hash(json.loads(json.dumps(value)))


@given(st.dictionaries(PLAIN, VALUES, max_size=4))
def test_yaml_is_read_as_it_was_written(value: dict[str, Any]) -> None:
    assert parse_yaml(yaml_text(value), "x") == value


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin1")))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (parse_json, parse_yaml):
        try:
            assert isinstance(read(text, "file x"), dict)
        except DataError as fault:
            assert str(fault).startswith("file x: ")


@given(
    st.lists(
        st.tuples(PLAIN, st.integers(-(2**40), 2**40), st.booleans(), st.lists(st.floats(width=32, allow_nan=False)))
    )
)
def test_rows_and_objects_come_back_from_files(rows: list[tuple[str, int, bool, list[float]]]) -> None:
    assume(rows)
    given_rows = [dict(zip(("item", "j", "strict", "logprobs"), row, strict=True)) for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "shard-a.parquet", given_rows)
        assert read_rows([Path(folder) / "shard-a.parquet"]) == given_rows
        finite = {"rows": [{**row, "logprobs": None} for row in given_rows]}
        write_json(Path(folder) / "a.json", finite)
        assert read_json(Path(folder) / "a.json") == finite


@given(st.lists(PLAIN, max_size=5), st.lists(PLAIN, max_size=5))
def test_seeds_are_a_function_of_their_parts(a: list[str], b: list[str]) -> None:
    assert (seed_of(*a) == seed_of(*b)) is (a == b) and 0 <= seed_of(*a) < 2**63


# splits


def items_of(questions: list[str]) -> list[Item]:
    return [make_item("t", "", question, "1") for question in questions]


@given(QUESTIONS, st.randoms(use_true_random=False), st.floats(0, 1), st.floats(0, 1))
def test_a_question_is_in_one_split_whatever_the_order_of_the_file(
    questions: list[str], random: Any, a: float, b: float
) -> None:
    shares = {"train": a * b, "dev": a * (1 - b), "test": 1 - a}
    items = items_of(questions)
    shuffled = random.sample(items, len(items))
    splits, again = carve(items, shares), carve(shuffled, shares)
    placed = {name: {share_of(item.question) for item in of_split} for name, of_split in splits.items()}
    assert placed == {name: {share_of(item.question) for item in of_split} for name, of_split in again.items()}
    assert sum(map(len, placed.values())) == len({share_of(question) for question in questions})
    assert all(split_of(item.question, shares) == name for name, of_split in splits.items() for item in of_split)


@given(QUESTIONS, QUESTIONS, st.floats(0, 1))
def test_no_train_question_is_in_a_test_set(train: list[str], test: list[str], dev: float) -> None:
    splits = with_test(items_of(train), items_of(test), dev)
    held = {share_of(item.question) for item in splits["test"]}
    assert held == {share_of(question) for question in test}
    assert not held & {share_of(item.question) for name in ("train", "dev") for item in splits[name]}


@given(QUESTIONS, st.integers(0, 24), st.integers(0, 24), st.integers(0, 3))
def test_a_smaller_subset_is_part_of_a_larger_one_in_file_order(
    questions: list[str], a: int, b: int, seed: int
) -> None:
    items = without_repeats(items_of(questions))
    small, large = (subset(items, limit, seed) for limit in sorted((a, b)))
    assert len(small) == min(a, b, len(items)) and [item for item in large if item in small] == small
    assert [item for item in items if item in large] == large


# statistics


@given(st.lists(st.booleans(), min_size=2, max_size=9), st.data())
def test_coverage_is_the_share_of_the_choices_of_k_answers(right: list[bool], data: Any) -> None:
    k = data.draw(st.integers(1, len(right) // 2))
    chosen = list(combinations(right, k))
    counts = np.array([sum(right)]), np.array([len(right)])
    assert coverage(*counts, k)[0] == pytest.approx(fmean(map(any, chosen)))
    assert pass_hat_k(*counts, k)[0] == pytest.approx(fmean(map(all, chosen)))


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 5)), min_size=1, max_size=24))
def test_sign_flips_know_no_order_and_no_direction(cells: list[tuple[int, int]]) -> None:
    differences, clusters = np.array([d / 4 for d, _ in cells]), np.array([c for _, c in cells])
    found = sign_flip_test(differences, clusters)
    assert 0 < found.p <= 1 and found.exact
    assert sign_flip_test(-differences, clusters) == found
    assert sign_flip_test(differences[::-1], clusters[::-1]) == pytest.approx(found)
    up, down = (sign_flip_test(sign * differences, clusters, one_sided=True).p for sign in (1, -1))
    assert up + down >= 1 - 1e-12 and min(1.0, 2 * min(up, down)) >= found.p - 1e-12


@given(P_VALUES)
def test_adjusted_p_values_keep_the_order_and_are_never_smaller(p_values: list[float]) -> None:
    order = np.argsort(p_values, kind="stable")
    strict, lenient = holm(p_values), benjamini_hochberg(p_values)
    for adjusted in (strict, lenient):
        assert all(p - 1e-12 <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
        assert all(adjusted[a] <= adjusted[b] + 1e-12 for a, b in pairwise(order))
    assert all(s >= v - 1e-12 for s, v in zip(strict, lenient, strict=True))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_the_tail_share_of_draws_is_a_p_value_that_knows_no_direction(draws: list[float]) -> None:
    both = tail_share(np.array(draws))
    assert 0 < both <= 1 and tail_share(-np.array(draws)) == both
    assert tail_share(np.array(draws), one_sided=True) <= 1


@given(st.integers(1, 500), st.data())
def test_the_interval_of_a_share_holds_it_and_is_mirrored(n: int, data: Any) -> None:
    right = data.draw(st.integers(0, n))
    one, other = jeffreys(right / n, n), jeffreys(1 - right / n, n)
    assert 0 <= one.lo <= right / n <= one.hi <= 1
    assert (one.lo, one.hi) == pytest.approx((1 - other.hi, 1 - other.lo), abs=1e-9)
