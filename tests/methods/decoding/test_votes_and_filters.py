"""Laws of votes, best-of-n and DeepConf over sampled chains, on a hand-made model and against plain restatements."""

from __future__ import annotations

import math

import numpy as np
import pytest

from elicit.errors import ConfigError
from elicit.policy.decoding import Candidate, Path, Request, chain_seed
from elicit.tasks.natural.gsm8k import Gsm8k
from methods.decoding.chains import elect, vote_of
from methods.decoding.controls import RandomPickSamples, random_pick
from methods.decoding.deepconf import DeepConf, confidence_of, elect_kept
from methods.decoding.method import Decoding
from methods.decoding.sampled import BestOfN, SelfConsistency, WeightedVotes

LOG = math.log
PIECES = ["", "is ", "7", "8", "1,000", "hm "]


def logits(written: tuple[int, ...]) -> list[float]:
    """Says "is " or "hm is ", then 7 (.45), 8 (.35) or 1,000 (.2); behind "hm " the answers are even less sure."""
    row = [LOG(1e-6)] * len(PIECES)
    if not written:
        row[1], row[5] = LOG(0.7), LOG(0.3)
    elif written[-1] == 5:
        row[1] = 0.0
    elif written[-1] == 1:
        row[2:5] = [LOG(0.45), LOG(0.35), LOG(0.2)] if len(written) == 1 else [LOG(0.3), LOG(0.3), LOG(0.4)]
    else:
        row[0] = 0.0
    return row


@pytest.fixture
def loop(toy_loop):
    return toy_loop(PIECES, logits)


@pytest.fixture
def requests(request_of):
    return [request_of(item, j) for item in "ab" for j in range(8)]


def tally(outcome, task, weight) -> dict[str, float]:
    """Summed weights by class, restated."""
    sums: dict[str, float] = {}
    for candidate in outcome.chains:
        name = vote_of(candidate.path, task).answer_class
        if name is not None:
            sums[name] = sums.get(name, 0.0) + weight(candidate.path)
    return sums


def test_spellings_of_one_number_are_one_vote_in_a_real_task() -> None:
    task = Gsm8k()

    def path(answer: str) -> Path:
        text = f" So it costs that much. The answer is {answer}."
        return Path([1], [0.0], [0.0], [1.0], [0.0], "eos", text, [1.0])

    classes = [
        vote_of(path(answer), task).answer_class for answer in ("1,000", "1000", "1000.0", "$1,000", "999", "999")
    ]
    assert len(set(classes[:4])) == 1 and classes[4] != classes[0]
    assert all(elect(classes, [1.0] * 6, seed) == 0 for seed in range(10))


@pytest.mark.parametrize("weight", ["mean_logprob", "self_certainty"])
def test_weighted_votes_elect_the_heaviest_class(loop, number_task, requests, weight) -> None:
    restated = {
        "mean_logprob": lambda path: math.exp(np.mean(path.logprobs)),
        "self_certainty": lambda path: float(np.mean(path.certainties)),
    }[weight]
    for outcome in WeightedVotes(n=9, weight=weight).run(loop, requests, number_task):
        sums = tally(outcome, number_task, restated)
        assert sums[vote_of(outcome.path, number_task).answer_class] == pytest.approx(max(sums.values()))
        assert [c.weight for c in outcome.chains] == pytest.approx([restated(c.path) for c in outcome.chains])


@pytest.mark.parametrize("by", ["mean_logprob", "self_certainty"])
def test_best_of_n_returns_the_surest_chain_with_an_answer(loop, number_task, requests, by) -> None:
    field = {"mean_logprob": "logprobs", "self_certainty": "certainties"}[by]
    for outcome in BestOfN(n=6, by=by).run(loop, requests, number_task):
        best = max(np.mean(getattr(c.path, field)) for c in outcome.chains)
        assert np.mean(getattr(outcome.path, field)) == pytest.approx(best)


def test_a_sure_chain_without_an_answer_is_not_the_best_of_n(request_of) -> None:
    weights = [9.0, 1.0, 2.0]
    chains = [Candidate(Path([1], [0.0], [0.0], [1.0], [0.0], "eos", "", [1.0]), {}, w) for w in weights]
    assert BestOfN().choose(chains, [None, "7", "8"], request_of()) == 2
    assert BestOfN().choose(chains, [None, None, None], request_of()) == 0


def test_strategies_that_sample_alike_look_at_the_same_chains_and_the_placebo_too(loop, number_task, requests) -> None:
    strategies = [SelfConsistency(n=5), WeightedVotes(n=5), BestOfN(n=5), DeepConf(n=5), RandomPickSamples(n=5)]
    told = [Request(r.item, r.j, r.seed + place, r.prompt_ids) for place, r in enumerate(requests)]
    runs = [strategy.run(loop, told, number_task) for strategy in strategies]
    for outcomes in zip(*runs, strict=True):
        assert len({str([c.path.token_ids for c in outcome.chains]) for outcome in outcomes}) == 1
        assert len({outcome.total_tokens for outcome in outcomes}) == 1, "each pays as if it ran alone"


def test_no_two_samples_of_an_item_share_a_chain(loop, number_task, request_of) -> None:
    requests = [request_of("item", j) for j in range(16)]
    seeds = [job.seed for request in requests for job in SelfConsistency(n=10).jobs(loop, request)]
    assert len(set(seeds)) == 160
    assert seeds[37] == chain_seed(requests[3], 37)


def test_the_majority_of_the_same_chains_stands_beside_every_choice(loop, number_task, requests) -> None:
    for outcome in DeepConf(n=9, window=2).run(loop, requests, number_task):
        (flagged,) = [c for c in outcome.chains if c.scalars["majority"]]
        sums = tally(outcome, number_task, lambda path: 1.0)
        assert sums[vote_of(flagged.path, number_task).answer_class] == max(sums.values())
    rivals = Decoding(DeepConf(n=9)).rivals()
    assert next(iter(rivals)) == "majority" and rivals["majority"].strategy == SelfConsistency(n=9)


@pytest.mark.parametrize("window", [1, 2, 3, 8])
def test_window_measures_are_the_naive_ones(window: int) -> None:
    rng = np.random.default_rng(window)
    for length in (1, 2, 5, 31):
        values = rng.exponential(2.0, length).tolist()
        path = Path([1] * length, [0.0] * length, [0.0] * length, values, [0.0] * length, "eos", "", values)
        width = min(window, length)
        means = [sum(values[i : i + width]) / width for i in range(length - width + 1)]
        naive = {
            "lowest": min(means),
            "bottom_10": float(np.mean(sorted(means)[: max(1, len(means) // 10)])),
            "tail": sum(values[-width:]) / width,
            "mean": sum(values) / length,
        }
        assert {name: confidence_of(path, name, window) for name in naive} == pytest.approx(naive)


@pytest.mark.parametrize("eta, count", [(0.1, 1), (0.5, 5), (0.55, 6), (1.0, 10)])
@pytest.mark.parametrize("measure", ["lowest", "bottom_10", "tail", "mean"])
def test_deepconf_keeps_the_surest_share_and_weighs_it(loop, number_task, requests, eta, count, measure) -> None:
    for outcome in DeepConf(n=10, eta=eta, measure=measure, window=2).run(loop, requests, number_task):
        kept = [c for c in outcome.chains if c.scalars["kept"]]
        assert len(kept) == count
        values = [c.scalars["confidence"] for c in outcome.chains]
        assert min(c.scalars["confidence"] for c in kept) >= sorted(values)[-count]
        assert all(c.weight == c.scalars["confidence"] * c.scalars["kept"] for c in outcome.chains)
        sums: dict[str, float] = {}
        for c in kept:
            name = vote_of(c.path, number_task).answer_class
            sums[name] = sums.get(name, 0.0) + c.scalars["confidence"]
        assert sums[vote_of(outcome.path, number_task).answer_class] == pytest.approx(max(sums.values()))


def test_the_weighted_vote_is_not_the_plain_majority() -> None:
    blank = Path([1], [0.0], [0.0], [1.0], [0.0], "eos", "", [1.0])
    chains = [Candidate(blank, {}, weight) for weight in (1.0, 1.0, 5.0)]
    assert elect_kept(chains, ["7", "7", "8"], [True] * 3, Request("a", 0, 1, (1,))) == 2


def test_where_no_kept_chain_has_an_answer_the_surest_is_returned() -> None:
    blank = Path([1], [0.0], [0.0], [1.0], [0.0], "eos", "", [1.0])
    chains = [Candidate(blank, {}, weight) for weight in (1.0, 3.0, 2.0)]
    assert elect_kept(chains, ["7", None, None], [False, True, True], Request("a", 0, 1, (1,))) == 1


def test_all_votes_have_a_random_pick_of_equal_n_and_a_matched_temperature() -> None:
    for strategy in (WeightedVotes(n=7), BestOfN(n=7), DeepConf(n=7), SelfConsistency(n=7)):
        placebos = Decoding(strategy).placebos()
        assert set(placebos) == {"random_pick", "entropy_matched"}
        assert placebos["random_pick"].strategy == RandomPickSamples(n=7)
        assert random_pick(placebos["random_pick"].strategy) is None
    ids = [random_pick(strategy).id for strategy in (WeightedVotes(n=7), DeepConf(n=7))]
    assert len(set(ids)) == 1, "one placebo policy for all that sample alike"


@pytest.mark.parametrize(
    "kind, wrong, words",
    [
        (SelfConsistency, {"n": 0}, "self_consistency.n=0"),
        (SelfConsistency, {"temperature": 0.0}, "greedy"),
        (WeightedVotes, {"n": -1}, "weighted_votes.n=-1"),
        (WeightedVotes, {"weight": "mean_logprobs"}, "did you mean mean_logprob"),
        (BestOfN, {"by": "gold"}, "best_of_n.by='gold'"),
        (BestOfN, {"top_p": 0.0}, "top_p=0.0"),
        (DeepConf, {"eta": 0.0}, "deepconf.eta=0.0"),
        (DeepConf, {"eta": 1.5}, "deepconf.eta=1.5"),
        (DeepConf, {"window": 0}, "deepconf.window=0"),
        (DeepConf, {"measure": "lowst"}, "did you mean lowest"),
        (DeepConf, {"n": 0}, "deepconf.n=0"),
    ],
)
def test_settings_out_of_range_are_named(kind, wrong, words) -> None:
    with pytest.raises(ConfigError, match=words):
        kind(**wrong)


def test_pass_at_n_of_the_chains_is_the_coverage_of_the_base() -> None:
    """The oracle best-of-n needs no strategy: over disjoint blocks of n it is estimated by cov@n without bias."""
    from elicit.evaluate.metrics.coverage import coverage

    rng = np.random.default_rng(0)
    total, n = 16, 4
    right_N_J = rng.random((400, total)) < rng.beta(0.3, 1.0, (400, 1))
    oracle = np.mean([right_N_J[:, first : first + n].any(1) for first in range(0, total, n)])
    estimate = coverage(right_N_J.sum(1), np.full(400, total), n).mean()
    assert oracle == pytest.approx(estimate, abs=0.02)
