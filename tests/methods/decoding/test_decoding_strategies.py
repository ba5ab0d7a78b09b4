"""Laws of the strategies, on a hand-made model whose every probability is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from elicit.errors import ConfigError
from elicit.policy.decoding import DecodingStrategy, Path, Request
from elicit.tasks.task import Answer, StopRules
from methods.decoding.chains import elect
from methods.decoding.controls import RandomPickCotDecoding, random_pick
from methods.decoding.cot_decoding import CotDecoding, RandomFirstTokens, answer_gap
from methods.decoding.method import Decoding
from methods.decoding.plain import Greedy, Temperature
from methods.decoding.sampled import SelfConsistency

# end, direct "7", "is ", "1,000", "1000", "1000.0", "hm "
PIECES = ["", "7", "is ", "1,000", "1000", "1000.0", "hm "]
LOG = math.log


def logits(written: tuple[int, ...]) -> list[float]:
    """First "7" (.5), "is " (.3), "hm " (.2); "is " leads surely to 1,000, "hm is " to 1000 or 1000.0."""
    rare = LOG(1e-6)
    row = [rare] * len(PIECES)
    if not written:
        row[1], row[2], row[6] = LOG(0.5), LOG(0.3), LOG(0.2)
    elif written[-1] in (1, 3, 4, 5):
        row[0] = 0.0
    elif written == (2,):
        row[3], row[4] = LOG(0.9), LOG(0.1)
    elif written == (6,):
        row[2] = 0.0
    else:
        row[5], row[4] = LOG(0.6), LOG(0.4)
    return row


@pytest.fixture
def loop(toy_loop):
    return toy_loop(PIECES, logits)


def test_every_strategy_satisfies_the_protocol():
    for strategy in (Greedy(), Temperature(), SelfConsistency(), CotDecoding(), RandomFirstTokens()):
        checked: DecodingStrategy = strategy
        assert checked.kind == "decoding"
        assert strategy.spec()["strategy"].startswith("methods.decoding.")
        assert strategy.id == replace(strategy).id


def test_greedy_writes_the_most_probable_token_and_is_deterministic(loop, number_task, request_of):
    (outcome,) = Greedy().run(loop, [request_of()], number_task)
    assert outcome.path.text == "7" and Greedy.deterministic


def test_the_chains_of_cot_decoding_follow_the_first_tokens_by_rank(loop, number_task, request_of):
    (outcome,) = CotDecoding(k=3).run(loop, [request_of()], number_task)
    assert [c.path.text for c in outcome.chains] == ["7", "is 1,000", "hm is 1000.0"]
    assert loop.batches == [3]


def test_delta_is_the_gap_on_the_answer_tokens_only(loop, number_task, request_of):
    (outcome,) = CotDecoding(k=3).run(loop, [request_of()], number_task)
    deltas = [candidate.scalars["delta"] for candidate in outcome.chains]
    assert deltas == pytest.approx([0.5 - 0.3, 0.9 - 0.1, 0.6 - 0.4], abs=1e-4)


def test_a_one_token_direct_answer_has_its_own_gap(loop, number_task):
    path = Path([1, 0], [LOG(0.5), 0.0], [0.2, 1.0], [0, 0], [0, 0], "eos", "7")
    assert answer_gap(loop, path, number_task) == pytest.approx(0.2)


def test_delta_averages_over_all_tokens_of_a_long_answer(toy_loop, number_task):
    loop = toy_loop(["", "is ", "1", "0", "."], logits)
    path = Path([1, 2, 3, 3, 0], [0] * 5, [0.9, 0.1, 0.4, 0.7, 0.99], [0] * 5, [0] * 5, "eos", "is 100")
    assert answer_gap(loop, path, number_task) == pytest.approx((0.1 + 0.4 + 0.7) / 3)


def test_aggregation_sums_delta_by_class_and_returns_the_surest_path_of_the_winner(loop, number_task, request_of):
    (outcome,) = CotDecoding(k=3).run(loop, [request_of()], number_task)
    assert outcome.path.text == "is 1,000" and outcome.winner == 1


def test_two_unsure_paths_of_one_class_beat_one_surer_path():
    assert elect(["7", "1000", "1000"], [0.5, 0.3, 0.4], seed=1) == 2


def test_best_path_takes_the_single_surest_path(loop, number_task, request_of):
    class Unequal(type(loop)):
        pass

    def steep(written):
        row = list(logits(written))
        if written == ():
            row = [LOG(1e-6)] * len(PIECES)
            row[1], row[2], row[6] = LOG(0.97), LOG(0.02), LOG(0.01)
        return row

    unequal = Unequal(PIECES, steep)
    (best,) = CotDecoding(k=3, pick="best_path").run(unequal, [request_of()], number_task)
    (sums,) = CotDecoding(k=3).run(unequal, [request_of()], number_task)
    assert best.path.text == "7" and sums.path.text == "is 1,000"


def test_spellings_of_one_number_are_one_vote(number_task):
    spelled = ["1,000", "1000", "1000.0", "7", "7"]
    classes = [number_task.answer_class(answer) for answer in spelled]
    assert all(elect(classes, [1.0] * 5, seed) in (0, 1, 2) for seed in range(20))


def test_ties_are_broken_uniformly_by_the_requests_own_stream():
    picks = [elect(["a", "b"], [1.0, 1.0], seed) for seed in range(400)]
    assert 0.4 < np.mean(picks) < 0.6
    assert picks == [elect(["a", "b"], [1.0, 1.0], seed) for seed in range(400)]


def test_no_answer_is_never_a_class():
    assert elect([None, None, None, "7"], [1.0] * 4, seed=0) == 3
    assert elect([None, None], [1.0, 1.0], seed=0) == 0


def test_a_truncated_chain_does_not_vote(toy_loop, number_task, request_of):
    endless = toy_loop(["", "7", "x"], lambda written: [-9.0, 9.0, 0.0] if not written else [-9.0, 0.0, 9.0])
    (outcome,) = CotDecoding(k=2).run(endless, [request_of()], number_task)
    assert outcome.path.finish == "length" and outcome.winner == 0


def test_self_consistency_returns_a_chain_of_the_majority_class(loop, number_task, request_of):
    requests = [request_of("item", j) for j in range(30)]
    for outcome in SelfConsistency(n=15).run(loop, requests, number_task):
        classes = [number_task.answer_class(number_task.extract(c.path.text, True).strict) for c in outcome.chains]
        counts = {name: classes.count(name) for name in classes}
        assert counts[classes[outcome.winner]] == max(counts.values())
        assert len({tuple(c.path.token_ids) for c in outcome.chains}) > 1, "the chains are draws, not copies"


def test_all_tokens_of_all_chains_are_counted(loop, number_task, request_of):
    for strategy in (CotDecoding(k=3), SelfConsistency(n=4), RandomFirstTokens(k=3)):
        (outcome,) = strategy.run(loop, [request_of()], number_task)
        assert outcome.total_tokens == sum(len(c.path.token_ids) for c in outcome.chains)
        assert outcome.path is outcome.chains[outcome.winner].path


def test_the_same_request_gets_the_same_tokens_in_any_batch(loop, number_task, request_of):
    requests = [request_of(item, j) for item in "abc" for j in range(3)]
    strategies = (Temperature(1.0), SelfConsistency(n=3), CotDecoding(k=3), RandomFirstTokens(k=3))
    for strategy in (*strategies, random_pick(SelfConsistency(n=3))):
        together = strategy.run(loop, requests, number_task)
        backwards = strategy.run(loop, requests[::-1], number_task)[::-1]
        alone = [strategy.run(loop, [request], number_task)[0] for request in requests]
        assert together == backwards == alone


def test_random_first_tokens_are_different_from_each_other_and_cover_the_vocabulary(loop, request_of):
    drawn = [[job.forced[0] for job in RandomFirstTokens(k=3).jobs(loop, request_of("a", j))] for j in range(60)]
    assert all(len(set(first)) == 3 for first in drawn)
    assert {token for first in drawn for token in first} == set(range(len(PIECES)))


def test_random_pick_returns_each_chain_of_the_same_chains_alike(loop, number_task, request_of):
    requests = [request_of("a", j) for j in range(300)]
    outcomes = random_pick(CotDecoding(k=3)).run(loop, requests, number_task)
    (original,) = CotDecoding(k=3).run(loop, [request_of()], number_task)
    assert all([c.path for c in o.chains] == [c.path for c in original.chains] for o in outcomes)
    assert np.bincount([o.winner for o in outcomes], minlength=3).min() > 70
    assert not random_pick(CotDecoding(k=3)).deterministic


def test_more_branches_than_tokens_is_an_error(loop, number_task, request_of):
    with pytest.raises(ConfigError, match="k=99: the vocabulary has 7 tokens"):
        CotDecoding(k=99).run(loop, [request_of()], number_task)


def test_a_task_without_an_answer_span_is_an_error_that_names_the_way_out(loop, number_task, request_of):
    def missing(text):
        raise LookupError

    number_task.answer_span, task = missing, number_task
    task.extract = lambda text, finished: None
    with pytest.raises(ConfigError, match="self_consistency"):
        CotDecoding(k=2).run(loop, [request_of()], task)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"pick": "aggregat"}])
def test_settings_out_of_range_are_named(wrong):
    with pytest.raises(ConfigError, match="cot_decoding"):
        CotDecoding(**wrong)


def test_controls_have_the_settings_of_what_they_control():
    method = Decoding(CotDecoding(k=7))
    pick = method.placebos()["random_pick"].strategy
    assert (pick.k, pick.rule(), type(pick).__mro__[2]) == (7, CotDecoding().rule(), CotDecoding)
    assert method.rivals()["random_first_tokens"].strategy == RandomFirstTokens(k=7)
    assert set(method.placebos()) == {"random_pick", "entropy_matched"}
    assert set(Decoding(Greedy()).rivals()) == {"random_first_tokens", "low_temperature"}
    assert Decoding(Greedy()).placebos() == {}


def test_fitting_reads_nothing():
    assert Decoding(Greedy()).fit(None, None, None) == Greedy()


def test_greedy_chains_of_one_prompt_are_generated_once_and_paid_by_each_request():
    class Counting:
        """A loop that counts the jobs it is given."""

        vocabulary = 8

        def __init__(self):
            self.jobs = []

        def run(self, jobs, rule, stop):
            self.jobs += jobs
            return [Path([job.first_rank], [0.0], [0.5], [0.0], [0.0], "eos", "", [0.0]) for job in jobs]

        def offsets(self, token_ids):
            return [(0, 0) for _ in token_ids]

    class Silent:
        stop = StopRules()

        def extract(self, text, finished):
            return Answer(None, None)

        def answer_span(self, text):
            return None

    loop = Counting()
    requests = [Request("a", j, seed=j, prompt_ids=(1, 2)) for j in range(5)] + [Request("b", 0, 9, (3,))]
    outcomes = RandomPickCotDecoding(k=4).run(loop, requests, Silent())
    assert len(loop.jobs) == 2 * 4
    assert [outcome.total_tokens for outcome in outcomes] == [4] * 6
    assert len({outcome.winner for outcome in outcomes}) > 1, "each request draws by its own seed"
