"""Choices by self-certainty, restated from the logits: the best of n, and votes by powers of the rank."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest

from elicit.errors import ConfigError
from elicit.policy.decoding import Candidate, Path, Request
from methods.decoding.chains import vote_of
from methods.decoding.method import Decoding
from methods.decoding.sampled import BestOfN, BordaVotes, SelfConsistency
from tests.methods.decoding.conftest import NumberTask, ToyLoop

PIECES = ["", "is ", "7", "8", "hm "]


def logits(written: tuple[int, ...]) -> list[float]:
    """Another flat distribution for each text, so that chains differ in certainty; an answer is followed by an end."""
    if written and written[-1] in (2, 3):
        return [3.0, 0.0, 0.1, 0.0, 0.2]
    rng = np.random.default_rng([7, *written])
    return (rng.normal(size=len(PIECES)) - np.array([4.0, 0.0, 0.0, 0.0, 0.0])).tolist()


def certainty(tokens: Sequence[int]) -> float:
    """Mean over the tokens of KL(uniform || p), from the logits themselves."""
    values = []
    for place in range(len(tokens)):
        p = np.exp(logits(tuple(tokens[:place])))
        p /= p.sum()
        values.append(sum(np.log((1 / len(p)) / chance) / len(p) for chance in p))
    return float(np.mean(values))


@pytest.fixture
def requests() -> list[Request]:
    return [Request("a", j, 50 + j, (1,), "base") for j in range(12)]


def test_the_best_of_n_by_certainty_is_the_one_nearest_to_certainty_over_the_whole_vocabulary(
    requests: list[Request],
) -> None:
    for outcome in BestOfN(n=7, by="self_certainty").run(ToyLoop(PIECES, logits), requests, NumberTask()):
        answered = [one for one in outcome.chains if vote_of(one.path, NumberTask()).answer_class]
        best = max(certainty(one.path.token_ids) for one in answered or outcome.chains)
        assert certainty(outcome.path.token_ids) == pytest.approx(best)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.5])
def test_a_vote_weighs_as_much_as_its_rank_to_the_power(requests: list[Request], power: float) -> None:
    for outcome in BordaVotes(n=7, power=power).run(ToyLoop(PIECES, logits), requests, NumberTask()):
        values = [certainty(one.path.token_ids) for one in outcome.chains]
        sums: dict[str, float] = defaultdict(float)
        for index, one in enumerate(outcome.chains):
            ahead = sum(v > values[index] + 1e-12 for v in values)
            ahead += sum(abs(v - values[index]) <= 1e-12 for v in values[:index])
            assert one.weight == pytest.approx((7 - ahead) ** power)
            if (vote := vote_of(one.path, NumberTask()).answer_class) is not None:
                sums[vote] += one.weight
        if sums:
            assert sums[vote_of(outcome.path, NumberTask()).answer_class or ""] == pytest.approx(max(sums.values()))


def test_power_zero_is_the_majority_and_a_large_power_the_best_of_n() -> None:
    paths = [Path([k], [0.0], [0.0], [0.0], [0.0], "eos", "", [k]) for k in (3, 2, 1, 0)]
    classes = ["7", "8", "8", "8"]

    def chosen(power: float) -> int:
        chains = [Candidate(path, {"self_certainty": float(path.certainties[0])}) for path in paths]
        return BordaVotes(n=4, power=power).choose(chains, classes, Request("a", 0, 1, (1,)))

    assert classes[chosen(0.0)] == "8" and classes[chosen(20.0)] == "7"
    assert next(iter(Decoding(BordaVotes(n=4)).rivals().values())).strategy == SelfConsistency(4)
    with pytest.raises(ConfigError, match=r"borda_votes.power=-1"):
        BordaVotes(power=-1)


def test_a_row_is_called_after_its_score() -> None:
    assert [BestOfN(by=by).name for by in ("mean_logprob", "self_certainty")] == ["best_of_n", "best_of_n_certainty"]
