"""Power weights against enumeration: what is kept, what the rival returns, and that no label is read."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from elicit.errors import ConfigError, MethodError
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.intervention import save
from elicit.policy.policy import load_intervention
from elicit.records import Item
from elicit.sampling.own import Completion
from elicit.tasks.formal.task import FormalTask
from methods.star import power
from methods.star.method import Star
from methods.star.power import PowerPick, PowerSampling
from tests.methods.decoding.power_toy import TableLoop, Texts, requests
from tests.reference import power as reference

TASK = FormalTask(n_train=30, n_dev=10, n_test=10, max_size=3, long_sizes=(4, 5))
H = 3
STAR = Star(keep="power_weight", alpha=3.0)
ITEM = Item("i", "chain", "train", "Question?", None, "i")


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(TASK, "test")


def kept(
    method: Star, ledger: Ledger, probabilities: list[float], seed: int = 0
) -> tuple[Counter[str], list[dict[str, float]]]:
    """How often each of one item's completions, of these probabilities, is trained on; and what is logged."""
    log: list[dict[str, float]] = []
    drawn = [Completion(ITEM, (), (5,), f" text {j}", True, math.log(p)) for j, p in enumerate(probabilities)]
    drawn.append(Completion(ITEM, (), (5,), " cut", False, 0.0))
    out = method.kept(drawn, ledger, Context(np.random.default_rng(seed), Path("unused"), lambda p, n: 0.5, log.append))
    return Counter(each.text for each in out), log


def test_completions_are_kept_in_proportion_to_p_to_the_alpha_minus_one(ledger: Ledger) -> None:
    probabilities = [0.4, 0.2, 0.1, 0.05]
    sums: Counter[str] = Counter()
    for seed in range(1500):
        counts, _ = kept(STAR, ledger, probabilities, seed)
        assert counts.total() == 4
        sums += counts
    assert ledger.spent.labels == 0 and ledger.data_class == "Z", "keeping books nothing: V is the class of the draws"
    total = sum(p * p for p in probabilities)
    for j, p in enumerate(probabilities):
        share = p * p / total
        assert abs(sums[f" text {j}"] / sums.total() - share) < 4.5 * (share * (1 - share) / sums.total()) ** 0.5


def test_the_law_of_weighted_plain_samples_is_p_to_the_alpha() -> None:
    table = reference.table(3, H)
    loop, wanted = TableLoop(table), requests(2000)
    target, _ = reference.law(table, H, 2.0)
    outcomes = PowerPick(n=24, alpha=2.0).run(loop, wanted, Texts(H))
    drawn = Counter(tuple(outcome.path.token_ids) for outcome in outcomes)
    ended = {text: share for text, share in target.items() if text[-1] == 0}
    wanted_law = {text: share / sum(ended.values()) for text, share in ended.items()}
    plain, _ = reference.law(table, H, 1.0)
    far = {text: plain[text] / sum(plain[t] for t in ended) for text in ended}
    shares = {text: count / drawn.total() for text, count in drawn.items()}
    assert reference.total_variation(shares, wanted_law) < 0.05 < 0.1 < reference.total_variation(far, wanted_law)


def test_the_weights_of_the_rival_are_those_of_the_fit_and_alpha_one_is_plain_sampling() -> None:
    loop = TableLoop(reference.table(1, H))
    (outcome,) = PowerPick(n=6, alpha=2.5).run(loop, requests(1), Texts(H))
    masses = [
        0.0 if one.path.finish == "length" else reference.power(loop.probabilities, tuple(one.path.token_ids), 1.5)
        for one in outcome.chains
    ]
    assert [one.weight for one in outcome.chains] == pytest.approx([mass / sum(masses) for mass in masses])
    (flat,) = PowerPick(n=6, alpha=1.0).run(loop, requests(1), Texts(H))
    assert len({one.weight for one in flat.chains if one.weight}) == 1
    assert outcome.total_tokens == sum(len(one.path.token_ids) for one in outcome.chains)


def test_the_placebo_has_the_same_weights_without_their_completions(ledger: Ledger) -> None:
    placebo = STAR.placebos()["weights_permuted"]
    assert isinstance(placebo, Star) and replace(placebo, keep="power_weight") == STAR
    sums: Counter[str] = Counter()
    squares = np.array([0.16, 0.04, 0.01, 0.0025])
    for seed in range(1500):
        counts, log = kept(placebo, ledger, [0.4, 0.2, 0.1, 0.05], seed)
        sums += counts
        assert log[0]["star/effective_samples"] == pytest.approx(sum(squares) ** 2 / sum(squares**2))
    # the share of a text in one fit has the variance of its permuted weight and that of four draws by it
    weights = squares / squares.sum()
    variance = (weights**2).mean() - 1 / 16 + (weights * (1 - weights)).mean() / 4
    assert all(abs(count / sums.total() - 0.25) < 4.5 * (variance / 1500) ** 0.5 for count in sums.values())
    assert len(sums) == 4


def test_the_rival_samples_with_the_work_that_the_fit_would_have_cost() -> None:
    rival = STAR.rivals()["sampled"]
    assert isinstance(rival, PowerSampling) and rival.strategy == PowerPick(rival.n, STAR.alpha)
    trained = STAR.work(0, 0).passes + STAR.answers
    assert abs(rival.n * STAR.answers - trained) <= STAR.answers / 2
    assert replace(STAR, answers=1).rivals()["sampled"].n == round(STAR.work(0, 0).passes) + 1  # type: ignore[attr-defined]
    assert list(STAR.rivals()) == ["sampled", "right"]


def test_unknown_probabilities_and_unknown_rules_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="log-probability of every completion"):
        power.weights([0.0, None], 2.0)
    with pytest.raises(ConfigError, match="keep='rigth'"):
        Star(keep="rigth")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="n=0"):
        PowerPick(n=0)
    save(PowerPick(n=5, alpha=1.5), tmp_path / "edit")  # type: ignore[arg-type]
    assert load_intervention(tmp_path / "edit") == PowerPick(n=5, alpha=1.5)
