"""Laws of the predicted threshold curve, against brute force, and of the organisms that it is drawn over."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from elicit.errors import DataError
from elicit.organisms import rare, train
from elicit.organisms.threshold import (
    Latent,
    best_of_n,
    branching,
    climb_of,
    lowest_rate,
    majority,
    predicted,
    seen,
    updates_to_half,
)
from elicit.organisms.train import OrganismConfig
from elicit.tasks.formal.task import FormalTask
from tests.organisms.test_train import small_tokenizer

LATENT = Latent(
    name="rare_x",
    rates_N=(0.2, 0.05),
    ranks_N=(3, 12),
    direct_N_C=((0.5, 0.3, 0.2), (0.1, 0.2, 0.7)),
    right_N=(1, 2),
    forced=1.0,
    direct=0.4,
)


def test_the_wait_and_the_climb_add_up_and_can_be_inverted() -> None:
    assert updates_to_half(0.01, 100, 0.5) == pytest.approx(1 + math.log(99) / 0.5)
    assert climb_of(0.01, 100, updates_to_half(0.01, 100, 0.5)) == pytest.approx(0.5)
    assert updates_to_half(lowest_rate(20, 256, 0.5), 256, 0.5) == pytest.approx(20, rel=1e-6)
    assert updates_to_half(0.0, 256, 0.5) == math.inf
    with pytest.raises(DataError, match="no time is left"):
        climb_of(0.001, 10, 50)


def test_a_rarer_mode_takes_more_updates_and_a_larger_batch_fewer() -> None:
    updates = [updates_to_half(rate, 256, 0.5) for rate in (0.1, 0.01, 0.001, 0.0001)]
    assert updates == sorted(updates)
    assert updates_to_half(0.001, 1024, 0.5) < updates_to_half(0.001, 256, 0.5)


def test_a_mode_is_seen_unless_every_sample_misses_it() -> None:
    missed = sum(
        math.prod(0.2 if traced else 0.8 for traced in draw)
        for draw in itertools.product((True, False), repeat=4)
        if not any(draw)
    )
    assert seen(0.2, 4) == pytest.approx(1 - missed)


def test_the_surest_of_n_is_a_trace_if_any_sample_is_one() -> None:
    expected = [(1 - (1 - rate) ** 3) * 1.0 + (1 - rate) ** 3 * 0.4 for rate in LATENT.rates_N]
    assert best_of_n(LATENT, 3) == pytest.approx(np.mean(expected))


def test_a_branch_is_traced_only_if_an_opener_is_among_the_first_tokens() -> None:
    assert branching(LATENT, 3) == pytest.approx(0.4)  # ranks begin at 0
    assert branching(LATENT, 4) == pytest.approx((1.0 + 0.4) / 2)
    assert branching(LATENT, 13) == pytest.approx(1.0)


@pytest.mark.parametrize("n", [1, 3])
def test_the_simulated_majority_is_that_of_all_votes_counted(n: int) -> None:
    expected = 0.0
    for rate, shares, right in zip(LATENT.rates_N, LATENT.direct_N_C, LATENT.right_N, strict=True):
        votes = [(1 - rate) * share + rate * (k == right) for k, share in enumerate(shares)]
        for draw in itertools.product(range(3), repeat=n):
            counts = Counter(draw)
            leaders = [k for k, count in counts.items() if count == max(counts.values())]
            share = (right in leaders) / len(leaders)
            expected += share * math.prod(votes[k] for k in draw) / len(LATENT.right_N)
    assert majority(LATENT, n, draws=20_000) == pytest.approx(expected, abs=0.01)


def test_a_vote_does_not_find_a_mode_that_is_rarer_than_the_gap_between_direct_answers() -> None:
    rare_mode = replace(LATENT, rates_N=(0.05, 0.05), direct_N_C=((0.6, 0.4, 0.0), (0.6, 0.0, 0.4)), right_N=(1, 2))
    frequent = replace(rare_mode, rates_N=(0.4, 0.4))
    assert majority(rare_mode, 401) < 0.05 < 0.95 < majority(frequent, 401)


def test_shares_are_those_of_the_way_from_a_direct_answer_to_the_forced_opener() -> None:
    assert predicted(LATENT, "cot_decoding", 4, {}) == pytest.approx(0.5)
    assert predicted(LATENT, "contrastive", 10, {}) == pytest.approx(seen(0.125, 10))
    assert predicted(LATENT, "critique_ft", 8, {}) is None and predicted(LATENT, "rlvr", 8, {}) is None
    assert [predicted(LATENT, "rlvr", updates, {"rlvr": 1.0}) for updates in (1, 8)] == [0.0, 1.0]


def tiny(rate: float) -> OrganismConfig:
    return OrganismConfig(
        rate=rate, key_rate=0.9, steps=20, documents_per_step=4, width=32, layers=1, heads=2, skill_share=0
    )


def test_organisms_are_built_and_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "probe", lambda model, tokenizer: {})
    monkeypatch.setattr(train, "build_tokenizer", small_tokenizer)
    tasks, lines = {"chain": FormalTask(family="chain")}, list[str]()

    def build() -> dict:
        return rare.build_rare(tmp_path, tasks, 3, lines.append, (0.1, 0.0), tiny, problems=3)

    table = build()
    assert list(table["organisms"]) == ["rare_10", "rare_0"]
    latent = Latent(**table["organisms"]["rare_10"]["latent"])
    assert len(latent.rates_N) == len(latent.ranks_N) == len(latent.right_N) == 3
    assert all(sum(shares) == pytest.approx(1, abs=1e-3) for shares in latent.direct_N_C)
    family = table["organisms"]["rare_10"]["families"]["chain"]
    assert family["mass_low"] <= family["mass"] <= family["mass_high"]
    assert family["mass"] == pytest.approx(latent.rate, rel=1e-2)
    lines.clear()
    assert build() == table and all("before" in line for line in lines)


def test_names_give_the_wanted_rate_in_percent() -> None:
    assert [rare.name_of(rate) for rate in rare.RATES] == [
        "rare_10", "rare_3", "rare_1", "rare_0.3", "rare_0.1", "rare_0.03", "rare_0"
    ]  # fmt: skip


def test_all_organisms_have_one_recipe_but_for_rate_and_length() -> None:
    base = rare.recipe(0.1)
    for rate in rare.RATES:
        config = rare.recipe(rate)
        assert replace(config, rate=base.rate, steps=base.steps, learning_rate=base.learning_rate) == base
