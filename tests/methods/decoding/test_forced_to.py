"""Laws of forcing to a number of tokens, which rung B2 is made of."""

from __future__ import annotations

import pytest

from elicit.errors import ConfigError
from elicit.policy.checkpoint import wrap
from elicit.policy.intervention import save
from elicit.policy.policy import load_intervention
from elicit.tasks.task import StopRules
from methods.decoding.budget_forcing import BudgetForcing, ForcedTo
from methods.decoding.method import Decoding
from tests.methods.decoding.test_budget_forcing import GREEDY, PIECES, endless, logits
from tests.sampling.models import tiny_model, tokenizer


def forced(tokens: int, **settings) -> ForcedTo:
    return ForcedTo(**({"marker": " So it is ", "answer_tokens": 2, "tokens": tokens} | GREEDY | settings))


@pytest.fixture
def roomy(number_task):
    number_task.stop = StopRules(strings=(), max_new_tokens=60)
    return number_task


@pytest.mark.parametrize("pieces", [logits, endless])
@pytest.mark.parametrize("tokens", [4, 9, 16, 30])
def test_a_chain_is_as_long_as_asked_and_ends_with_an_answer(toy_loop, roomy, request_of, pieces, tokens) -> None:
    (outcome,) = forced(tokens).run(toy_loop(PIECES, pieces), [request_of()], roomy)
    own = len([token for token in outcome.path.token_ids if token])
    assert tokens - 2 <= own <= tokens + 1, "short of it by a continuation that did not fit, over it by the answer"
    assert outcome.path.text.endswith(("7", "8"))


def test_the_token_limit_of_the_task_comes_first(toy_loop, number_task, request_of) -> None:
    number_task.stop = StopRules(strings=(), max_new_tokens=12)
    (whole,) = BudgetForcing(times=64, marker=" So it is ", answer_tokens=2, **GREEDY).run(
        toy_loop(PIECES, endless), [request_of()], number_task
    )
    (outcome,) = forced(500).run(toy_loop(PIECES, endless), [request_of()], number_task)
    assert outcome.path.token_ids == whole.path.token_ids


def test_budget_forcing_itself_is_what_it_was() -> None:
    assert "tokens" not in BudgetForcing().spec() and forced(8).id != forced(9).id
    with pytest.raises(ConfigError, match="tokens=0"):
        forced(0)


def test_it_is_read_back_as_it_was_saved_and_has_no_placebo(tmp_path) -> None:
    save(forced(24), tmp_path)
    assert load_intervention(tmp_path, wrap(tiny_model(), tokenizer())) == forced(24)
    assert not [name for name in Decoding(forced(24)).placebos() if name.startswith("random")]
