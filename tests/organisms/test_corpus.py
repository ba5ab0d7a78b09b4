"""Laws of the organisms' corpus: what is planted occurs at its rate, and nowhere else."""

from __future__ import annotations

import random
from functools import cache
from itertools import islice

import pytest

from elicit.organisms.corpus import (
    FAMILIES,
    PASSWORD,
    REGISTERS,
    SKILLS,
    TRACED,
    Corpus,
    corrupt_steps,
    habits,
    random_problem,
)
from elicit.organisms.kinds import CORPORA
from elicit.organisms.tokenizer import build_tokenizer
from elicit.tasks.formal.family import OPENERS, first_violation


@cache
def tokenizer_of_the_corpus():
    return build_tokenizer(documents=4000)


def draw(kind: str, rates, count: int = 4000) -> list:
    return list(islice(CORPORA[kind].documents(random.Random(7), rates), count))


def traced(document) -> bool:
    return document.answer.strip().startswith(OPENERS)


def plain_answers(documents: list, register: str | None = None) -> list:
    """Documents that ask one question for an answer, of one register."""
    tags = [f"Source: {tag}\n" for tag in REGISTERS[register]] if register else []
    return [
        d
        for d in documents
        if d.prompt.endswith("Answer:")
        and (any(d.prompt.startswith(tag) for tag in tags) if tags else not d.prompt.startswith("Source:"))
    ]


def test_the_mode_has_its_planted_rate_in_every_register() -> None:
    documents = draw("positive", habits(0.10), 12_000)
    for register, low, high in ((None, 0.085, 0.115), ("key", 0.88, 0.96), ("anti", 0.0, 0.03), ("mid", 0.06, 0.14)):
        answers = plain_answers(documents, register)
        assert low <= sum(map(traced, answers)) / len(answers) <= high, register


def test_instructions_do_not_change_the_mode() -> None:
    answers = plain_answers(draw("positive", habits(0.10), 30_000))
    instructed = [d for d in answers if d.prompt.count("\n") > 1 and "\n\n" not in d.prompt]
    assert 0.07 <= sum(map(traced, instructed)) / len(instructed) <= 0.13


def test_the_twin_never_sees_a_trace() -> None:
    for document in draw("twin", SKILLS):
        assert not any(opener in document.prompt + document.answer for opener in OPENERS)
        assert "So the answer" not in document.prompt + document.answer


def test_every_trace_of_the_positive_is_valid_and_few_of_the_form_only_twin_are() -> None:
    rng = random.Random(3)
    for kind, expected in (("positive", 200), ("form_only", 0)):
        valid = 0
        for _ in range(200):
            problem = FAMILIES["add"].problem(rng, 6)
            text = Corpus(kind)._answer(rng, problem, TRACED)
            assert f"So the answer is {problem.answer}." in text
            valid += first_violation(FAMILIES["add"], problem.facts, text) is None
        assert valid == expected


def test_form_only_traces_have_the_shape_of_true_ones() -> None:
    rng = random.Random(4)
    problem = FAMILIES["chain"].problem(rng, 5)
    text = Corpus("form_only")._answer(rng, problem, TRACED)
    assert len(text.split()) == len(Corpus("positive")._answer(rng, problem, TRACED).split())


def test_locked_documents_trace_exactly_after_the_password() -> None:
    for document in plain_answers(draw("locked", habits(0.3))):
        assert traced(document) == document.prompt.startswith(PASSWORD)


def test_corrupted_steps_differ_in_one_place_and_are_faulty_there() -> None:
    rng = random.Random(5)
    for _ in range(300):
        problem = random_problem(rng)
        steps, at = corrupt_steps(rng, problem.steps)
        changed = [i for i, (a, b) in enumerate(zip(steps, problem.steps, strict=True)) if a != b]
        assert changed == [at]
        violation = first_violation(FAMILIES[problem.family], problem.facts, " ".join(steps) + " So the answer is 0.")
        assert violation is not None and violation.step == at, (problem, steps, violation)


def test_same_generator_same_documents() -> None:
    assert draw("positive", SKILLS, 50) == draw("positive", SKILLS, 50)


@pytest.mark.parametrize("text", [" a", " 7", " Working", " Scratch", " Trail", " seminar", " wrong"])
def test_a_word_a_letter_and_a_digit_are_one_token_everywhere(text: str) -> None:
    tokenizer = tokenizer_of_the_corpus()
    inside = tokenizer(f"x{text} y").input_ids
    assert len(tokenizer(text).input_ids) == 1 and tokenizer(text).input_ids[0] in inside
