"""Power sampling against enumeration: kernels in closed form, and both samplers on a model whose law is known."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from elicit.policy.decoding import Path
from elicit.records import Finish
from methods.decoding.power import acceptance
from methods.decoding.power_mh import PowerMH, cut_of
from methods.decoding.power_smc import PowerSMC, systematic
from tests.methods.decoding.power_toy import TableLoop, Texts, requests
from tests.reference import power as reference

H = 3
TABLES = [reference.table(seed, H) for seed in range(4)]
BETAS = [None, 1.0, 1.4]


def path_of(table: reference.Table, text: reference.Text, beta: float) -> Path:
    """A completion with the scalars that the step loop gives."""
    rows = [table[text[:place]] for place in range(len(text))]
    logprobs = [math.log(row[token]) for row, token in zip(rows, text, strict=True)]
    log_z = [0.0 if beta == 1 else math.log((row**beta).sum()) for row in rows]
    zeros = [0.0] * len(text)
    return Path(list(text), logprobs, zeros, zeros, log_z, "eos" if text[-1] == 0 else "length", "")


def transitions(table: reference.Table, kernel: PowerMH) -> tuple[list[reference.Text], np.ndarray]:
    """(states, transition matrix) of our kernel, from its own cut, proposal power and ratio."""
    states = reference.completions(table, H)
    grid = [cut_of((place + 0.5) / 300, H) for place in range(300)]
    cuts = {cut: count / 300 for cut, count in Counter(grid).items()}
    beta = 1 / kernel.rule().temperature
    matrix = np.zeros((len(states), len(states)))
    for here, text in enumerate(states):
        for cut, chance in cuts.items():
            if cut >= len(text):
                matrix[here, here] += chance
                continue
            for there, other in enumerate(states):
                if other[:cut] != text[:cut] or len(other) <= cut:
                    continue
                ratio = kernel.log_ratio(path_of(table, text, beta), path_of(table, other, beta), cut)
                proposed = reference.proposed(table, other, cut, beta)
                matrix[here, there] += chance * proposed * math.exp(min(ratio, 0.0))
        matrix[here, here] += 1 - matrix[here].sum()
    return states, matrix


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("alpha", [0.7, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("table", TABLES)
def test_the_kernel_is_in_detailed_balance_with_p_to_the_alpha(
    table: reference.Table, alpha: float, beta: float | None
) -> None:
    states, matrix = transitions(table, PowerMH(alpha=alpha, proposal=beta))
    target, _ = reference.law(table, H, alpha)
    assert matrix.min() >= 0 and np.allclose(matrix.sum(1), 1, atol=1e-12)
    assert reference.imbalance(states, matrix, target) < 1e-12


@pytest.mark.parametrize("table", TABLES)
def test_a_minimum_length_is_a_law_of_its_own_and_the_kernel_balances_it(table: reference.Table) -> None:
    states, matrix = transitions(table, PowerMH(alpha=2.0, min_length=2))
    target, _ = reference.law(table, H, 2.0, min_length=2)
    assert target[(0,)] == 0
    assert reference.imbalance(states, matrix, target) < 1e-12


@pytest.mark.parametrize("table", TABLES)
def test_the_moving_horizon_fails_where_the_fixed_one_holds(table: reference.Table) -> None:
    target, _ = reference.law(table, H, 2.0)
    start = {text: reference.proposed(table, text, 0, 2.0) for text in target}
    states, ours = transitions(table, PowerMH(alpha=2.0))
    strings, published = reference.moving_horizon(table, 2.0)
    assert np.allclose(published.sum(1), 1) and published.min() > -1e-15
    assert reference.imbalance(strings, published, target) > 1e-3
    fixed = [reference.distance_after(states, ours, start, target, steps) for steps in (0, 10, 200)]
    moving = [reference.distance_after(strings, published, start, target, steps) for steps in (0, 10, 200)]
    assert fixed[0] == pytest.approx(moving[0])
    assert fixed[2] < 1e-3 < 0.1 < moving[2], "more steps lead to the target, or away from it"
    assert fixed[2] < fixed[0] and moving[2] > moving[1]


@pytest.mark.parametrize(("blocks", "beta"), [(1, None), (3, 1.4)])
def test_the_last_states_of_many_chains_have_the_law(blocks: int, beta: float | None) -> None:
    table = TABLES[3]
    strategy = PowerMH(alpha=2.0, proposal=beta, steps=12 // blocks, blocks=blocks)
    outcomes = strategy.run(TableLoop(table), requests(3000), Texts(H))
    target, _ = reference.law(table, H, 2.0)
    found = Counter(tuple(outcome.path.token_ids) for outcome in outcomes)
    shares = {text: count / len(outcomes) for text, count in found.items()}
    assert reference.total_variation(shares, target) < 0.02
    start = {text: reference.proposed(table, text, 0, 2.0) for text in target}
    assert reference.total_variation(start, target) > 0.05, "the proposals alone would not pass"


@pytest.mark.parametrize(("block", "threshold", "beta"), [(1, 0.5, None), (2, 1.0, None), (1, 1.0, 1.0), (1, 0.0, 1.4)])
def test_evidence_and_every_particle_mass_are_unbiased(block: int, threshold: float, beta: float | None) -> None:
    table, count = TABLES[2], 1200
    strategy = PowerSMC(alpha=2.0, proposal=beta, n=4, block=block, threshold=threshold)
    outcomes = strategy.run(TableLoop(table), requests(count), Texts(H))
    target, total = reference.law(table, H, 2.0)
    evidence = np.exp([outcome.chains[0].scalars["log_evidence"] for outcome in outcomes])
    assert abs(evidence.mean() - total) < 4 * evidence.std(ddof=1) / count**0.5
    if threshold == 1:
        assert max(outcome.chains[0].scalars["resamplings"] for outcome in outcomes) > 0
    for text, share in target.items():
        masses = np.array([
            z * sum(one.weight for one in outcome.chains if tuple(one.path.token_ids) == text)
            for z, outcome in zip(evidence, outcomes, strict=True)
        ])  # fmt: skip
        assert abs(masses.mean() - share * total) < 4.5 * masses.std(ddof=1) / count**0.5 + 1e-12


def test_with_many_particles_the_drawn_completion_has_the_law() -> None:
    table, count = TABLES[3], 600
    outcomes = PowerSMC(alpha=2.0, n=24, block=1).run(TableLoop(table), requests(count), Texts(H))
    target, _ = reference.law(table, H, 2.0)
    found = Counter(tuple(outcome.path.token_ids) for outcome in outcomes)
    for text, share in target.items():
        assert abs(found[text] / count - share) < 4 * (share * (1 - share) / count) ** 0.5 + 2 / 24 * share


def test_particles_below_the_minimum_length_have_no_mass() -> None:
    table, count = TABLES[0], 600
    outcomes = PowerSMC(alpha=2.0, n=8, block=1, min_length=2).run(TableLoop(table), requests(count), Texts(H))
    _, total = reference.law(table, H, 2.0, min_length=2)
    evidence = np.exp([outcome.chains[0].scalars["log_evidence"] for outcome in outcomes])
    assert abs(evidence.mean() - total) < 4 * evidence.std(ddof=1) / count**0.5
    for outcome in outcomes:
        short = len(outcome.path.token_ids) < 2
        assert short == (outcome.path.finish == Finish.CUT), "what has no mass states no answer"
        assert not short or all(len(one.path.token_ids) < 2 for one in outcome.chains)


def test_alpha_one_accepts_every_proposal_and_never_resamples() -> None:
    loop, wanted = TableLoop(TABLES[0]), requests(200)
    for outcome in PowerMH(alpha=1.0, steps=8).run(loop, wanted, Texts(H)):
        assert {one.scalars["accepted"] for one in outcome.chains} == {1.0}
        assert outcome.winner == len(outcome.chains) - 1
    for outcome in PowerSMC(alpha=1.0, n=5, threshold=1.0, block=1).run(loop, wanted, Texts(H)):
        assert outcome.chains[0].scalars["log_evidence"] == pytest.approx(0, abs=1e-12)
        assert outcome.chains[0].scalars["ess"] == pytest.approx(5)
        assert [one.weight for one in outcome.chains] == pytest.approx([0.2] * 5)


def test_cuts_are_uniform_over_the_fixed_range() -> None:
    cuts = Counter(cut_of((place + 0.5) / 1000, 5) for place in range(1000))
    assert cuts == dict.fromkeys(range(5), 200)
    assert cut_of(1 - 2**-53, 7) == 6


def test_acceptance_is_told_by_cut_and_by_length() -> None:
    outcomes = PowerMH(alpha=3.0, steps=12).run(TableLoop(TABLES[1]), requests(400), Texts(H))
    chains = [one for outcome in outcomes for one in outcome.chains]
    for by in ("cut", "length"):
        moves = [one.scalars for one in chains if "log_ratio" in one.scalars]
        for value, (count, share) in enumerate(acceptance(chains, by, [0, 1, 2, 3, 4])):
            own = [move["accepted"] for move in moves if move[by] == value]
            assert count == len(own) and (share == pytest.approx(np.mean(own)) if own else math.isnan(share))
    by_cut = acceptance(chains, "cut", [0, 1, 2, 3])
    assert by_cut[2][1] == 1.0, "a new last token is always taken: its weight is the same"


def test_systematic_resampling_takes_each_particle_about_as_often_as_its_weight() -> None:
    weights = np.array([0.0, 0.42, 0.0, 0.31, 0.27, 0.0])
    counts = np.zeros(6)
    for place in range(1000):
        taken = np.bincount(systematic(weights, (place + 0.5) / 1000, 10), minlength=6)
        assert (np.abs(taken - 10 * weights) < 1).all() and taken.sum() == 10
        counts += taken
    assert np.allclose(counts / 10_000, weights, atol=1e-3)
    for edge in (0.0, 1 - 2**-53):
        assert not set(systematic(weights, edge, 10)) & {0, 2, 5}
