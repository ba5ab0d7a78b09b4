"""Extraction: the last declaration of one's own finished output; a next question ends the output."""

import pytest

from elicit.tasks.grading import declaration, extract
from elicit.tasks.natural.gsm8k import Gsm8k
from elicit.tasks.natural.jsonl import Jsonl

MARKERS = ["Question:", "Q:", "Problem 3:", "**Question:**", "### Problem:", "Exercise 2.", "Human:", "### Question 2",
           "## Problem 12", "**Problem 3**", "# Question", "#### Question 2: What now?"]  # fmt: skip
PLAIN = ["The question: is it 4?", "\nQuestions remain.", "\nProblematic.", "\nQ.E.D.", "\nExample 1.5 is",
         "\n### Problem solving", "\n### Examples of it", "\nUser interfaces"]  # fmt: skip


@pytest.mark.parametrize("marker", MARKERS)
def test_a_next_question_at_line_start_ends_the_answer(marker):
    part, ran_on = extract.own_part(f"It is 4.\n\n{marker}\nwhat now? 5")
    assert (part, ran_on) == ("It is 4.", True)


@pytest.mark.parametrize("text", PLAIN)
def test_common_words_do_not_end_the_answer(text):
    assert extract.own_part(text) == (text, False)


@pytest.mark.parametrize("marker", ["<|im_end|>", "</s>", "<|endoftext|>"])
def test_an_end_marker_ends_the_answer(marker):
    assert extract.own_part(f"The answer is 4.{marker} 5") == ("The answer is 4.", True)


def test_every_stop_string_is_a_new_question_pattern():
    for stop in extract.STOP_STRINGS:
        assert extract.own_part(f"x{stop} y") == ("x", True)


def test_the_span_is_that_of_the_strict_answer():
    for text in ("So \\boxed{\\frac{1}{2}}.", "The answer is 7.", "a\n#### 12 \n", "The answer is \\boxed{x^{2}} ok."):
        found = declaration.last("math", text, True)
        assert found.answer == text[found.start : found.end]


def test_without_a_declaration_the_span_is_the_last_number():
    assert Gsm8k().answer_span("She has 48 + 24 = 72 clips") == (18, 20)
    assert Gsm8k().answer_span("none") is None
    assert Jsonl(answers="option").answer_span("so (B) it is") == (3, 6)


def test_the_tail_is_300_characters_without_the_restated_question():
    assert len(extract.tail("x" * 1000)) == 300
    assert "48" not in extract.tail("She has 48 eggs. How many? It is so.", "She has 48 eggs. How many?")


def test_strict_and_lenient_answers_of_a_completion():
    answer = Gsm8k().extract("So it is 72, I think", finished=True)
    assert answer.strict is None and answer.lenient == "72"
    answer = Gsm8k().extract("The answer is 72.", finished=False)
    assert answer.strict is None and answer.lenient == "72"
