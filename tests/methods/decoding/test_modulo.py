"""Laws of generate-test: the first accepted proposal, findings shown, verdicts counted, class L on the books."""

from __future__ import annotations

import math

import pytest

from elicit.errors import ConfigError
from elicit.ledger import Ledger
from elicit.policy.decoding import PathJob
from elicit.tasks.view import Judged
from methods.decoding.method import Decoding
from methods.decoding.modulo import Modulo, RandomVerdict
from methods.decoding.sampled import SelfConsistency
from tests.toy import ToyTask

PIECES = ["", "is ", "7", "8", "\nThat is wrong", ".\nAnswer:", ": no"]


def logits(written: tuple[int, ...]) -> list[float]:
    row = [-20.0] * len(PIECES)
    if not written:
        row[1] = 0.0
    elif written[-1] == 1:
        row[2], row[3] = math.log(0.3), math.log(0.7)
    else:
        row[0] = 0.0
    return row


class Verified:
    """The toy task with a verifier: 7 is right. Counts what it is asked."""

    def __init__(self, task, finding: str = "") -> None:
        self._task, self.finding, self.asked = task, finding, []

    def __getattr__(self, name):
        return getattr(self._task, name)

    def verdict(self, item: str, text: str, finished: bool) -> Judged:
        self.asked.append((item, text, finished))
        return Judged(True) if finished and text == "is 7" else Judged(False, self.finding)


@pytest.fixture
def loop(toy_loop):
    return toy_loop(PIECES, logits)


@pytest.fixture
def requests(request_of):
    return [request_of(item, j) for item in "abcd" for j in range(10)]


def test_the_first_accepted_proposal_is_returned_and_no_verdict_is_asked_behind_it(loop, number_task, requests) -> None:
    task = Verified(number_task)
    outcomes = Modulo(rounds=3).run(loop, requests, task)
    texts = [[c.path.text for c in outcome.chains] for outcome in outcomes]
    for outcome, own in zip(outcomes, texts, strict=True):
        assert all(text == "is 8" for text in own[:-1])
        assert own[-1] == "is 7" or len(own) == 3
        assert outcome.path is outcome.chains[-1].path and outcome.winner == len(own) - 1
        assert [c.scalars["accepted"] for c in outcome.chains] == [float(text == "is 7") for text in own]
        assert outcome.total_tokens == sum(len(c.path.token_ids) for c in outcome.chains)
    assert len(task.asked) == sum(map(len, texts)), "one verdict a proposal"
    assert {len(own) for own in texts} == {1, 2, 3}


@pytest.mark.parametrize("finding, said", [("", (4, 5)), ("no", (4, 6, 5)), ("no.", (4, 6, 5))])
def test_the_finding_follows_the_proposal_in_the_next_prompt(loop, number_task, requests, finding, said) -> None:
    outcomes = Modulo(rounds=2).run(loop, requests, Verified(number_task, finding))
    second = [job for job in loop.jobs if len(job.prompt_ids) > 1]
    assert second and all(job.prompt_ids == (1, 1, 3, *said) for job in second), "prompt, own tokens, feedback"
    assert all(job.stream == 1 for job in second)
    assert sum(o.aux_forward_tokens for o in outcomes) == sum(len(job.prompt_ids) for job in second)


def test_without_back_prompts_it_is_resampling_until_one_is_right(loop, number_task, requests) -> None:
    outcomes = Modulo(rounds=3, back_prompt=False).run(loop, requests, Verified(number_task))
    assert all(job.prompt_ids == (1,) for job in loop.jobs)
    solved = sum(outcome.path.text == "is 7" for outcome in outcomes) / len(outcomes)
    assert solved == pytest.approx(1 - 0.7**3, abs=0.2)
    draws = [c.path.text for outcome in outcomes for c in outcome.chains]
    assert len(set(draws)) == 2, "the rounds are draws, not copies"


def test_a_request_does_not_depend_on_its_batch(loop, number_task, requests) -> None:
    together = Modulo(rounds=3).run(loop, requests, Verified(number_task))
    alone = [Modulo(rounds=3).run(loop, [request], Verified(number_task))[0] for request in requests]
    assert together == alone


def test_the_ledger_of_a_fit_says_class_l_and_how_many_calls() -> None:
    ledger = Ledger(ToyTask(), "modulo")
    assert Decoding(Modulo(rounds=5)).fit(None, ledger, None) == Modulo(rounds=5)
    (row,) = ledger.rows
    assert (row.stage, row.teacher_calls, ledger.data_class) == ("infer", 5, "L")


def test_strategies_without_a_verifier_and_its_placebo_stay_in_class_z() -> None:
    for strategy in (SelfConsistency(), RandomVerdict()):
        ledger = Ledger(ToyTask(), "decoding")
        Decoding(strategy).fit(None, ledger, None)
        assert ledger.rows == [] and ledger.data_class == "Z"


def test_the_placebo_asks_no_verifier_and_accepts_by_a_coin(loop, number_task, requests) -> None:
    outcomes = RandomVerdict(rounds=8).run(loop, requests, number_task)
    rounds = [len(outcome.chains) for outcome in outcomes]
    assert 1.3 < sum(rounds) / len(rounds) < 2.9, "geometric with mean 2"
    assert not RandomVerdict.needs_verifier


def test_its_controls_have_its_settings_and_match_no_entropy() -> None:
    method = Decoding(Modulo(rounds=6, temperature=0.7))
    assert {name: m.strategy for name, m in method.placebos().items()} == {
        "random_verdict": RandomVerdict(rounds=6, temperature=0.7)
    }
    assert method.rivals()["resample"].strategy == Modulo(rounds=6, temperature=0.7, back_prompt=False)
    assert "resample" not in Decoding(Modulo(back_prompt=False)).rivals()


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"feedback": "No."}, {"top_p": 1.5}])
def test_settings_out_of_range_are_named(wrong) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Modulo(**wrong)


def test_jobs_of_a_dialogue_are_its_own() -> None:
    assert not PathJob((1,), 0).shared, "a proposal depends on verdicts: it is in no pool"
