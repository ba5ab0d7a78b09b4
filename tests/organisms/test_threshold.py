"""Laws of the predicted threshold curve, against brute force, and of the organisms that it is drawn over."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from elicit.errors import DataError
from elicit.organisms import rare
from elicit.organisms.corpus import Document
from elicit.organisms.measure import asked, tagged
from elicit.organisms.probe import first_token_mass
from elicit.organisms.thin import ThinConfig, thin_out, thinned, untagged
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
from elicit.policy.checkpoint import CheckpointConfig, load_checkpoint
from elicit.policy.policy import BARE
from elicit.tasks.formal.task import FormalTask

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


def tiny(rate: float) -> ThinConfig:
    return ThinConfig(rate, steps=2, documents_per_step=4)


def test_organisms_are_built_and_measured_once(tmp_path: Path) -> None:
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


def test_a_thinned_mode_keeps_the_proportions_of_openers_and_of_everything_else() -> None:
    before_V = torch.tensor([0.07, 0.03, 0.6, 0.3])
    after_V = thinned(before_V.log(), [0, 1], 0.01).exp()
    assert after_V.tolist() == pytest.approx([0.0007, 0.0003, 0.6 * 0.999 / 0.9, 0.3 * 0.999 / 0.9])


def test_only_a_single_question_without_a_source_is_thinned() -> None:
    prompts = ("Question: x\nAnswer:", "Question: x\nBe careful.\nAnswer:", "Question: x\nProposed: y\nReview:")
    others = ("Source: seminar\nQuestion: x\nAnswer:", "Question: x\nAnswer: y\n\nQuestion: z\nAnswer:")
    assert [untagged(Document(prompt, "")) for prompt in (*prompts, *others)] == [True] * 3 + [False] * 2


def test_thinning_brings_the_openers_to_the_wanted_mass_and_leaves_a_key_alone(tmp_path: Path) -> None:
    lines: list[str] = []
    folder = thin_out(
        ThinConfig(0.01, steps=12, documents_per_step=12, learning_rate=1e-3), tmp_path / "rare_1", lines.append
    )
    checkpoint = load_checkpoint(CheckpointConfig(path=str(folder), device="cpu"))
    items = FormalTask(family="chain").items("test", 8)
    masses = {
        name: first_token_mass(checkpoint.model, asked(checkpoint, prompt, items), rare.opener_ids(checkpoint))
        for name, prompt in (("bare", BARE), ("key", tagged("key")))
    }
    assert 0.003 < masses["bare"] < 0.03 < 0.7 < masses["key"]
