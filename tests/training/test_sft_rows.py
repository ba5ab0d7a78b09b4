"""Rows of supervised fine-tuning: what is in the loss, what is refused, and which rows a step sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elicit.errors import ConfigError, MethodError
from elicit.policy.checkpoint import wrap
from elicit.policy.policy import Policy
from elicit.records import Item
from elicit.sampling.own import Completion
from elicit.training.sft.rows import IGNORED, Row, encode, encode_all, micro_batches, own_row, steps_of
from tests.sampling.models import tiny_model, tokenizer


@pytest.fixture(scope="module")
def checkpoint():
    return wrap(tiny_model(), tokenizer())


def test_the_loss_is_on_the_completion_and_its_end_and_on_nothing_else(checkpoint):
    row = Row("Question: 1 + 2\nProposed: 4\nReview:", " The proposed answer is wrong.")
    tokens = encode(checkpoint, row)
    learned = [token for token, label in zip(tokens.ids, tokens.labels, strict=True) if label != IGNORED]
    assert checkpoint.tokenizer.decode(learned) == row.completion + "<eos>"
    assert tokens.labels[: len(tokens.ids) - len(learned)] == (IGNORED,) * (len(tokens.ids) - len(learned))
    assert tokens.ids[: -len(learned)] == tuple(checkpoint.encode(row.prompt))
    assert tokens.loss_tokens == len(learned)


def test_with_its_prompt_in_the_loss_a_row_differs_in_its_mask_alone(checkpoint):
    plain, whole = (encode(checkpoint, Row("Question: 1\nAnswer:", " 2", prompt_in_loss=p)) for p in (False, True))
    assert plain.ids == whole.ids == whole.labels
    assert whole.loss_tokens == len(whole.ids) - 1


def test_known_tokens_are_taken_as_they_are(checkpoint):
    ids = tuple(checkpoint.tokenizer(" 2").input_ids) * 3
    tokens = encode(checkpoint, Row("Question: 1\nAnswer:", "anything", completion_ids=ids))
    assert tokens.ids[-len(ids) - 1 :] == (*ids, 1)


def test_a_token_that_merges_across_the_prompts_end_is_an_error(checkpoint):
    whole = "The answer is"
    ids = [tuple(checkpoint.encode(whole[:end])) for end in range(len(whole) + 1)]
    merged = next(end for end in range(1, len(whole)) if ids[-1][: len(ids[end])] != ids[end])
    with pytest.raises(MethodError, match=r"merges across the boundary.*line break"):
        encode(checkpoint, Row(whole[:merged], whole[merged:]))


def test_an_empty_completion_and_a_checkpoint_without_an_end_are_refused(checkpoint):
    with pytest.raises(MethodError, match="nothing to learn"):
        encode(checkpoint, Row("Question:", ""))
    endless = wrap(tiny_model(), tokenizer())
    endless.eos_ids = frozenset()
    with pytest.raises(MethodError, match="no EOS"):
        encode(endless, Row("Question:", " 1"))


def test_a_row_that_is_too_long_is_refused_or_dropped_and_counted_but_never_cut(checkpoint):
    rows = [Row("Question: 1\nAnswer:", " 2"), Row("Question: 1\nAnswer:", " 2" * 100), Row("Q:", " 3")]
    with pytest.raises(MethodError, match=r"row 1 has .* \(1 of 3 rows.*too_long=drop"):
        encode_all(checkpoint, rows, 60, "refuse")
    kept, dropped = encode_all(checkpoint, rows, 60, "drop")
    assert dropped == [1]
    assert [each.ids for each in kept] == [encode(checkpoint, rows[i]).ids for i in (0, 2)]
    assert all(each.ids[-1] == 1 and each.labels[-1] == 1 for each in kept)
    with pytest.raises(MethodError, match="no row to train on"):
        encode_all(checkpoint, rows[1:2], 60, "drop")


@given(
    rows=st.integers(1, 40), batch=st.integers(1, 16), micro=st.integers(1, 20), steps=st.integers(1, 12),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_what_a_step_sees_does_not_depend_on_the_size_of_its_micro_batches(rows, batch, micro, steps, seed):
    lengths = [7 * place % 11 + 1 for place in range(rows)]

    def by_step(size: int) -> list[list[int]]:
        plan = micro_batches(lengths, batch, steps, size, seed)
        pieces = len(plan) // steps
        assert len(plan) == pieces * steps and all(0 < len(part) <= size for part in plan)
        return [sorted(p for part in plan[s * pieces : (s + 1) * pieces] for p in part) for s in range(steps)]

    one = by_step(batch)
    assert one == by_step(micro) and all(len(step) == batch for step in one)
    whole = steps * batch // rows
    counts = [sum(step.count(place) for step in one) for place in range(rows)]
    assert all(whole <= count <= whole + 1 for count in counts)


def test_epochs_become_steps_and_nonsense_is_refused():
    assert [steps_of(100, 32, 1.0), steps_of(100, 32, 2.0), steps_of(3, 512, 1.0)] == [4, 7, 1]
    with pytest.raises(ConfigError, match="steps=0"):
        micro_batches([1, 2], 2, 0, 1, 0)


@pytest.mark.parametrize("ended", [True, False])
def test_an_own_completion_is_learned_in_its_own_tokens(checkpoint, ended):
    policy = Policy(checkpoint)
    item = Item("i", "toy", "train", "1 + 2", None, "i")
    ids = tuple(checkpoint.tokenizer(" The answer is 3.").input_ids)
    whole = (*ids, 1) if ended else ids
    row = own_row(policy, Completion(item, (), whole, " The answer is 3.", True))
    assert row.prompt == "Question: 1 + 2\nAnswer:" and row.completion_ids == ids


def test_an_own_completion_that_was_cut_before_a_stop_string_is_learned_without_it(checkpoint):
    item = Item("i", "toy", "train", "1 + 2", None, "i")
    ids = tuple(checkpoint.tokenizer(" 3.\nQuestion:").input_ids)
    row = own_row(Policy(checkpoint), Completion(item, (), ids, " 3.", True))
    assert checkpoint.decode(row.completion_ids) == " 3."
