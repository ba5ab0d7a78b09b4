"""Look-ahead scaling against enumeration: the law, one decision, the jackknife, its controls and its cost."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from elicit.errors import ConfigError
from elicit.policy.decoding import Path, PathJob, PickRule
from elicit.tasks.task import StopRules
from methods.decoding.look_ahead import LookAhead, ShuffledLookAhead, scaled
from methods.decoding.plain import Temperature
from tests.methods.decoding.power_toy import TableLoop, Texts, requests
from tests.reference import power as reference

H = 3
TABLE = reference.table(3, H)


class Counting(TableLoop):
    """Counts the tokens that its jobs add to their forced ones."""

    written = 0

    def run(self, jobs: Sequence[PathJob], rule: PickRule, stop: StopRules) -> list[Path]:
        paths = super().run(jobs, rule, stop)
        self.written += sum(len(path.token_ids) - len(job.forced) for job, path in zip(jobs, paths, strict=True))
        return paths


def law_of(strategy: LookAhead, count: int) -> dict[reference.Text, float]:
    outcomes = strategy.run(TableLoop(TABLE), requests(count), Texts(H))
    return {text: n / count for text, n in Counter(tuple(o.path.token_ids) for o in outcomes).items()}


@pytest.mark.parametrize("proposal", [1.0, None])
def test_with_all_candidates_and_many_futures_the_law_is_p_to_the_alpha(proposal: float | None) -> None:
    count = 800
    shares = law_of(LookAhead(alpha=2.0, proposal=proposal, k=3, m=24), count)
    target, _ = reference.law(TABLE, H, 2.0)
    for text, share in target.items():
        assert abs(shares.get(text, 0.0) - share) < 4 * (share * (1 - share) / count) ** 0.5 + share / 24, text
    myopic = {text: reference.proposed(TABLE, text, 0, 2.0) for text in target}
    assert reference.total_variation(shares, target) < 0.06 < reference.total_variation(myopic, target)


def test_without_futures_it_is_plain_temperature() -> None:
    count = 2000
    strategy = LookAhead(alpha=2.0, k=3, m=2, look_ahead=0)
    shares = law_of(strategy, count)
    for text in reference.completions(TABLE, H):
        share = reference.proposed(TABLE, text, 0, 2.0)
        assert abs(shares.get(text, 0.0) - share) < 4 * (share * (1 - share) / count) ** 0.5, text
    assert strategy.peers() == {"without_look_ahead": Temperature(0.5)}


def test_blocks_as_long_as_the_horizon_reweight_whole_completions() -> None:
    """Every completion is drawn: then the block is the completion, and its share is p^alpha among the distinct ones."""
    count = 600
    shares = law_of(LookAhead(alpha=2.0, k=64, m=2, block=H, pool=96), count)
    target, _ = reference.law(TABLE, H, 2.0)
    for text, share in target.items():
        assert abs(shares.get(text, 0.0) - share) < 4 * (share * (1 - share) / count) ** 0.5 + 0.01, text


def left_out(base: Sequence[float], futures: np.ndarray) -> list[float]:
    """The jackknife, restated in plain lines."""
    k, m = futures.shape

    def shares(numbers: list[int]) -> list[float]:
        masses = [math.exp(base[i]) * sum(math.exp(futures[i, s]) for s in numbers) / len(numbers) for i in range(k)]
        return [mass / sum(masses) for mass in masses]

    plain = shares(list(range(m)))
    without = [shares([s for s in range(m) if s != left]) for left in range(m)]
    values = [m * plain[i] - (m - 1) / m * sum(one[i] for one in without) for i in range(k)]
    kept = [max(value, 0.0) for value in values]
    return [value / sum(kept) for value in kept]


def test_the_jackknife_is_its_restatement() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        base, futures = rng.normal(size=4) * 2, rng.normal(size=(4, 5)) * 2 - 5
        assert scaled(base, futures, True) == pytest.approx(left_out(base, futures), abs=1e-12)
    assert scaled(np.array([-np.inf, 0.0]), np.zeros((2, 3)), True) == pytest.approx([0.0, 1.0])
    assert scaled(np.full(2, -np.inf), np.zeros((2, 3)), True) == pytest.approx([0.5, 0.5])


def test_the_jackknife_takes_most_of_the_bias_away() -> None:
    """All draws of three futures of two values each, for two candidates: expectations without a sample."""
    base, values = np.log([0.5, 0.5]), np.log([[0.9, 0.5], [0.7, 0.3]])
    true = np.exp(values).mean(1)
    wanted = true[0] / true.sum()
    draws = [np.array([values[0, list(one)], values[1, list(other)]]) for one, other in itertools.product(
        itertools.product(range(2), repeat=3), repeat=2)]  # fmt: skip
    plain, corrected = (np.mean([scaled(base, draw, on)[0] for draw in draws]) for on in (False, True))
    assert abs(corrected - wanted) < 0.4 * abs(plain - wanted)


def test_the_placebo_exchanges_the_futures_of_the_same_jobs() -> None:
    strategy = LookAhead(alpha=2.0, k=3, m=4)
    twin = strategy.twins()["shuffled_futures"]
    assert isinstance(twin, ShuffledLookAhead) and not twin.twins()
    loops = [TableLoop(TABLE), TableLoop(TABLE)]
    for loop, one in zip(loops, (strategy, twin), strict=True):
        one.run(loop, requests(5), Texts(H))
    first = 5 * 3 + 5 * 2 * 4  # three candidates for the first token; the one that ends has no futures
    assert loops[0].jobs[:first] == loops[1].jobs[:first] and len(loops[0].jobs) > first
    futures = np.arange(12.0).reshape(3, 4)
    orders = {tuple(twin.paired(futures, requests(1)[0], step)[:, 0]) for step in range(40)}
    assert len(orders) == 6 and all(sorted(order) == [0.0, 4.0, 8.0] for order in orders)


@pytest.mark.parametrize("strategy", [LookAhead(alpha=2.0, k=2, m=3), LookAhead(alpha=2.0, k=2, m=3, block=2, pool=5)])
def test_every_candidate_and_every_future_is_counted(strategy: LookAhead) -> None:
    loop = Counting(TABLE)
    outcomes = strategy.run(loop, requests(30), Texts(H))
    assert sum(outcome.total_tokens for outcome in outcomes) == loop.written
    assert all(outcome.path.kept is None for outcome in outcomes)


def test_completions_below_the_minimum_length_have_no_mass() -> None:
    shares = law_of(LookAhead(alpha=2.0, k=3, m=8, min_length=2), 300)
    assert (0,) not in shares
    target, _ = reference.law(TABLE, H, 2.0, min_length=2)
    assert reference.total_variation(shares, target) < 0.15


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="leaves one future out"):
        LookAhead(m=1)
    assert replace(LookAhead(), m=1, jackknife=False).m == 1
    with pytest.raises(ConfigError, match="block=0"):
        LookAhead(block=0)
