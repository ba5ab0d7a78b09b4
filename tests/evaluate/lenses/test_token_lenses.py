"""Lenses that read numbers a token: confidence, likelihood, divergence, and the metrics beneath them."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
import pytest

from elicit.evaluate.lenses import LENSES
from elicit.evaluate.lenses.confidence import auroc, elected, top_mask
from elicit.evaluate.measures.ragged import Ragged
from elicit.evaluate.metrics.kl import best_of_n_bound, chain_count, chosen_percentile, divergence
from elicit.evaluate.metrics.likelihood import likelihood, typicality
from tests.evaluate.lenses.scene import CHAIN, annotations, side, view
from tests.reference import lenses as plain

RNG = np.random.default_rng(3)
ITEMS = CHAIN.items("test", 12)
RIGHT = RNG.integers(0, 2, (12, 6)).astype(bool)
RIGHT[0], RIGHT[1] = True, False  # items without pairs
TEXTS = [[f" It is {(int(item.gold or 0) + (0 if ok else 1 + j % 3)) % 10}." for j, ok in enumerate(row)]
         for item, row in zip(ITEMS, RIGHT, strict=True)]  # fmt: skip
TOKENS = [[RNG.gamma(2, size=5).round(1).tolist() for _ in row] for row in TEXTS]
SIDE = side("base", ITEMS, TEXTS, role="base")
NOTES = annotations(SIDE, TOKENS)


def test_auroc_counts_pairs_within_items() -> None:
    values = np.array([[np.mean(tokens) for tokens in row] for row in TOKENS]).round(1)
    found = auroc(values, RIGHT, np.ones_like(RIGHT))
    for i in range(12):
        want = plain.auroc(values[i][RIGHT[i]].tolist(), values[i][~RIGHT[i]].tolist())
        assert np.isnan(found[i]) if want is None else found[i] == pytest.approx(want)


def test_ungraded_samples_make_no_pairs() -> None:
    known = np.ones((1, 3), bool)
    known[0, 2] = False
    assert auroc(np.array([[1.0, 2.0, 9.0]]), np.array([[True, False, False]]), known)[0] == 0


def test_weighted_votes_are_those_of_the_restatement() -> None:
    classes, grades = RNG.integers(-1, 3, (30, 7)), np.zeros((30, 7), int)
    grades[classes == 1] = 1
    weights = RNG.integers(0, 4, (30, 7)).astype(float)
    want = [plain.vote(*(part.tolist() for part in row)) for row in zip(classes, weights, grades, strict=True)]
    assert np.allclose(elected(classes, grades, weights), want)


def test_the_filter_keeps_the_surest() -> None:
    assert top_mask(np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 1.0]]), 2).tolist() == [
        [True, False, True],
        [True, True, False],
    ]


def test_a_policy_that_is_sure_when_it_is_right_gains_by_the_filter_and_a_blind_one_does_not() -> None:
    sure = [[[5.0 + 0.01 * j if ok else 1.0] for j, ok in enumerate(row)] for row in RIGHT]
    blind = [[[1.0] for _ in row] for row in RIGHT]
    columns = {}
    for name, tokens in (("sure", sure), ("blind", blind)):
        of = replace(SIDE, name=name, annotations=annotations(SIDE, tokens))
        columns[name] = LENSES["confidence"].read(view([of], ITEMS)).columns[name]
    assert columns["sure"]["AUROC, mean"].point == 1 and columns["blind"]["AUROC, mean"].point == 0.5
    assert columns["sure"]["filtered, weighted"].point == pytest.approx(11 / 12)  # one item has no right sample
    assert columns["sure"]["filtered - random"].lo > 0
    assert columns["sure"]["random 3 of 6"] == columns["blind"]["random 3 of 6"]


def test_confidence_without_annotations_is_refused() -> None:
    assert "no policy is annotated" in str(LENSES["confidence"].read(view([SIDE], ITEMS)).refused)


def test_likelihood_is_that_of_each_trace_alone() -> None:
    ranks = [[RNG.integers(0, 200, 5).tolist() for _ in row] for row in TEXTS]
    notes = replace(NOTES, base_ranks=Ragged.of([tokens for row in ranks for tokens in row]))
    found = likelihood(notes)
    for i in range(12):
        for j in range(6):
            assert found["nll"][i, j] == pytest.approx(np.mean(TOKENS[i][j]))
            for k in (1, 10, 100):  # stored ranks count from 0: rank > k means k tokens or more are better
                want = np.mean([rank + 1 > k for rank in ranks[i][j]])
                assert found[f"rank > {k}"][i, j] == pytest.approx(want)


def test_typicality_is_the_share_of_own_samples_that_are_less_likely() -> None:
    own = np.array([[1.0, 2.0, 3.0, np.nan], [np.nan] * 4])
    found = typicality(np.array([[2.5, 2.0, 0.0], [1.0, 1.0, 1.0]]), own)
    assert found[0].tolist() == pytest.approx([1 / 3, 0.5, 1.0]) and np.isnan(found[1]).all()


def test_likelihood_names_what_is_missing_for_typicality() -> None:
    found = LENSES["likelihood"].read(view([replace(SIDE, annotations=NOTES)], ITEMS)).columns["base"]
    assert "T=1" in str(found["typicality"].refused)
    at_one = replace(SIDE, annotations=NOTES)
    found = LENSES["likelihood"].read(view([replace(SIDE, annotations=NOTES)], ITEMS, support=at_one)).columns["base"]
    assert found["typicality"].point == pytest.approx(0.5)  # against themselves


def test_kl_sums_over_positions_and_is_refused_off_the_support_regime() -> None:
    found = divergence(NOTES)
    assert found is not None and found["sequence"][2, 3] == pytest.approx(sum(TOKENS[2][3]))
    read = LENSES["divergence"].read(view([replace(SIDE, annotations=NOTES)], ITEMS)).columns["base"]
    assert "regime compare" in str(read["sequence"].refused) and read["sequence, compare"].point > 0
    ruled = replace(SIDE, annotations=replace(NOTES, own_rule=True))
    assert LENSES["divergence"].read(view([ruled], ITEMS)).columns["base"]["sequence"].point > 0
    support = side("base", ITEMS, TEXTS, role="base", regime="support", annotations=NOTES)
    read = LENSES["divergence"].read(view([support], ITEMS)).columns["base"]
    want = np.mean([np.mean([sum(tokens) for tokens in row]) for row in TOKENS])
    assert read["sequence"].point == pytest.approx(want)


def test_the_bound_of_picking_one_of_n_holds_for_votes_too() -> None:
    """Exact KL of 'the majority of three, else the first' against the base, over all triples of a small base."""
    base = np.array([0.6, 0.3, 0.1])
    picked = np.zeros(3)
    for a in range(3):
        for b in range(3):
            for c in range(3):
                answers = [a, b, c]
                winner = max(set(answers), key=answers.count) if len(set(answers)) < 3 else a
                picked[winner] += base[a] * base[b] * base[c]
    best = np.array([1 - (1 - 0.1) ** 3])  # the rarest wherever it occurs: nearly the extreme
    rarest = float(best[0] * log(best[0] / 0.1) + (1 - best[0]) * log((1 - best[0]) / 0.9))
    assert picked.sum() == pytest.approx(1)
    assert 0 < float((picked * np.log(picked / base)).sum()) < rarest < best_of_n_bound(3)
    assert best_of_n_bound(1) == 0


def test_selecting_policies_have_a_percentile_and_no_kl() -> None:
    own = -sum(TOKENS[0][0])
    chains = {(0, 0): np.array([[5, own], [5, own - 1], [5, own + 1], [5, own - 2], [5, own]])}
    notes = replace(NOTES, kl=None, selecting=True, chains=chains, independent=True)
    assert divergence(notes) is None and chain_count(notes) == 5
    assert chosen_percentile(notes)[0, 0] == pytest.approx((2 + 0.5) / 4)
    of = replace(SIDE, annotations=notes)
    read = LENSES["divergence"].read(view([of], ITEMS)).columns["base"]
    assert "no next-token distribution" in str(read["sequence"].refused)
    assert read["best-of-N bound"].point == pytest.approx(log(5) - 0.8)
    read = LENSES["divergence"].read(view([replace(of, annotations=replace(notes, independent=False))], ITEMS))
    assert "no independent draws" in read.columns["base"]["best-of-N bound"].refused
