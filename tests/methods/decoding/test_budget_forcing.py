"""Laws of budget forcing: endings become continuations, limits become answers, in tokens and never in text."""

from __future__ import annotations

import math

import pytest

from elicit.errors import ConfigError
from elicit.files import seed_of
from elicit.policy.decoding import Path, PathJob, Request
from elicit.records import Finish
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.task import StopRules
from methods.decoding.budget_forcing import BudgetForcing, RandomContinuation
from methods.decoding.chains import own_tokens
from methods.decoding.method import Decoding
from tests.sampling.models import prompts, tiny_model, tokenizer

PIECES = ["", "is ", "7", "8", " Wait,", " So it is ", "hm "]
GREEDY = {"temperature": 0.0, "top_p": 1.0}


def logits(written: tuple[int, ...]) -> list[float]:
    """Says "is 8" and ends; when made to go on it says "hm is 7"; behind the marker it says 7."""
    row = [-20.0] * len(PIECES)
    last = written[-1] if written else None
    row[{None: 1, 1: 2 if 4 in written else 3, 2: 0, 3: 0, 4: 6, 5: 2, 6: 1}[last]] = 0.0
    return row


def endless(written: tuple[int, ...]) -> list[float]:
    row = [-20.0] * len(PIECES)
    row[2 if written and written[-1] == 5 else 0 if written and written[-1] == 2 else 6] = 0.0
    return row


@pytest.fixture
def limited(number_task):
    number_task.stop = StopRules(strings=(), max_new_tokens=12)
    return number_task


def forcing(**settings) -> BudgetForcing:
    return BudgetForcing(**({"marker": " So it is ", "answer_tokens": 2} | GREEDY | settings))


def test_an_ending_is_replaced_by_the_continuation_as_often_as_asked(toy_loop, limited, request_of) -> None:
    texts = ["is 8", "is 8 Wait,hm is 7", "is 8 Wait,hm is 7 Wait,hm is 7"]
    for times, text in enumerate(texts):
        (outcome,) = forcing(times=times).run(toy_loop(PIECES, logits), [request_of()], limited)
        assert outcome.path.text == text or times == 2
        assert outcome.chains[0].scalars["continued"] <= times
    (outcome,) = forcing(times=1).run(toy_loop(PIECES, logits), [request_of()], limited)
    assert outcome.path.token_ids == [1, 3, 4, 6, 1, 2, 0] and outcome.path.finish == Finish.EOS
    assert outcome.total_tokens == len(outcome.path.token_ids) + 1, "the EOS that was replaced was generated too"
    assert outcome.aux_forward_tokens == 1 + 2, "prompt and path were read again"


def test_at_the_limit_the_marker_is_forced_and_an_answer_follows(toy_loop, limited, request_of) -> None:
    (outcome,) = forcing(times=3).run(toy_loop(PIECES, endless), [request_of()], limited)
    assert outcome.path.token_ids == [6] * 9 + [5, 2, 0] and outcome.chains[0].scalars["forced_end"] == 1
    assert limited.extract(outcome.path.text, True).strict == "7"
    assert outcome.total_tokens == 12 and outcome.aux_forward_tokens == 1 + 9
    (free,) = forcing(times=0).run(toy_loop(PIECES, logits), [request_of()], limited)
    assert free.chains[0].scalars == {"continued": 0.0, "forced_end": 0.0}


def test_a_continuation_that_does_not_fit_below_the_limit_is_left_out(toy_loop, limited, request_of) -> None:
    limited.stop = StopRules(strings=(), max_new_tokens=6)
    (outcome,) = forcing(times=1).run(toy_loop(PIECES, logits), [request_of()], limited)
    assert outcome.path.text == "is 8" and outcome.chains[0].scalars["continued"] == 0


def test_no_room_for_any_token_is_an_error_that_names_the_numbers(toy_loop, limited, request_of) -> None:
    with pytest.raises(ConfigError, match=r"max_new_tokens=12 leaves no token.*answer_tokens"):
        forcing(answer_tokens=11).run(toy_loop(PIECES, logits), [request_of()], limited)


@pytest.mark.parametrize(
    "wrong", [{"times": -1}, {"answer_tokens": 0}, {"marker": " "}, {"continuation": ""}, {"temperature": -1.0}]
)
def test_settings_out_of_range_are_named(wrong) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        BudgetForcing(**wrong)


class Plain:
    """A task of the real loop: 'e' stops."""

    stop = StopRules(strings=("e",), max_new_tokens=30)


@pytest.fixture(scope="module")
def loop() -> StepLoop:
    return StepLoop(tiny_model(spread=0.05), tokenizer(), [1])


REQUESTS = [Request(f"i{k}", j, seed_of("bf", k, j), prompt) for k, prompt in enumerate(prompts(3)) for j in range(4)]


def test_on_the_real_loop_own_tokens_are_kept_and_the_stop_string_is_dropped(loop) -> None:
    strategy = BudgetForcing(times=1, continuation=" Add", marker=" 12 and", answer_tokens=4, temperature=1.0)
    limit = strategy.limit(loop, Plain())
    first = loop.run(
        [PathJob(r.prompt_ids, r.seed) for r in REQUESTS],
        strategy.sampling_rule(),
        StopRules(("e",), max_new_tokens=limit),
    )
    outcomes = strategy.run(loop, REQUESTS, Plain())
    forced = 0
    for path, outcome in zip(first, outcomes, strict=True):
        if outcome.chains[0].scalars["continued"]:
            forced += 1
            own = own_tokens(loop, path, Plain.stop)
            assert path.text.startswith(loop.decode(own)) and "e" not in path.text
            assert len(path.text) - len(loop.decode(own)) < 8, "no more than the token that holds the stop string"
            expected = [*own, *loop.encode(" Add")]
            assert outcome.path.token_ids[: len(expected)] == expected
            assert outcome.total_tokens >= len(outcome.path.token_ids) + len(path.token_ids) - len(own)
        if outcome.chains[0].scalars["forced_end"]:
            marker = list(loop.encode(" 12 and"))
            assert outcome.path.token_ids[limit : limit + len(marker)] == marker
        assert len(outcome.path.token_ids) <= Plain.stop.max_new_tokens
    assert forced > 3


def test_a_request_does_not_depend_on_its_batch(loop) -> None:
    strategy = BudgetForcing(times=2, continuation=" Add", answer_tokens=4, temperature=1.0)
    together = strategy.run(loop, REQUESTS, Plain())
    for request, outcome in zip(REQUESTS[::3], together[::3], strict=True):
        (alone,) = strategy.run(loop, [request], Plain())
        assert alone.path.token_ids == outcome.path.token_ids and alone.total_tokens == outcome.total_tokens


def test_the_placebo_forces_as_many_random_tokens(toy_loop, request_of) -> None:
    loop = toy_loop(PIECES, logits)
    placebos = Decoding(BudgetForcing(times=2)).placebos()
    assert set(placebos) == {"random_continuation", "entropy_matched"}
    twin = placebos["random_continuation"].strategy
    assert isinstance(twin, RandomContinuation) and twin.times == 2
    drawn = [twin.continued(loop, request_of("a", j), 1) for j in range(300)]
    assert {len(ids) for ids in drawn} == {len(loop.encode(" Wait,"))}
    counts = [sum(ids[0] == token for ids in drawn) for token in range(len(PIECES))]
    assert min(counts) > 15 and math.isclose(sum(counts), 300)


def test_a_token_that_holds_only_the_beginning_of_a_stop_string_is_kept(toy_loop) -> None:
    loop = toy_loop(["", "7", ".\n", "\nQ:", ".\n\nQ:"], logits)
    stop = StopRules(("\n\nQ:",))
    zeros = [0.0] * 3

    def path(ids: list[int], text: str) -> Path:
        return Path(ids, zeros, zeros, zeros, zeros, Finish.STOP, text)

    assert own_tokens(loop, path([1, 2, 3], "7."), stop) == (1, 2)
    assert own_tokens(loop, path([1, 4], "7."), stop) == (1,)
    assert own_tokens(loop, Path([1, 0], zeros, zeros, zeros, zeros, Finish.EOS, "7"), stop) == (1,)
    assert own_tokens(loop, Path([1, 2], zeros, zeros, zeros, zeros, Finish.LENGTH, "7.\n"), stop) == (1, 2)
