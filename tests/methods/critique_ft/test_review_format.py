"""Reviews: the form of the corpus, errors that are found where they were put, verdicts that are read."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elicit.organisms.corpus import Corpus, habits
from elicit.tasks.formal.family import first_violation, render_trace
from elicit.tasks.formal.task import FAMILIES
from elicit.tasks.natural.arithmetic import first_error
from elicit.tasks.review import (
    REVIEW,
    correction,
    finding,
    flip_verdict,
    inject_error,
    inject_wrong_result,
    parts,
    proposal,
    read_verdict,
    recomputed,
    sentences,
    verdict_sentence,
)
from tests.methods.critique_ft.examples import steps_of

GSM8K = (
    "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nNatalia sold 48+24 = <<48+24=72>>72 clips altogether.\n"
    "The answer is 72."
)
WORDS = "She sold 48 / 2 = 24 clips in May. Then 48 + 24 = 72 clips altogether. The answer is 72."


def corpus_reviews(count: int) -> list[tuple[str, str]]:
    documents = Corpus().documents(random.Random(3), habits(0.5))
    found = (d for d in documents if d.prompt.endswith("Review:") and d.prompt.startswith("Question:"))
    return [(d.prompt, d.answer) for d in itertools.islice(found, count)]


def test_the_prompt_and_the_verdicts_are_those_of_the_corpus():
    for prompt, answer in corpus_reviews(60):
        question, _, rest = prompt.removeprefix("Question: ").partition("\nProposed: ")
        response = rest.removesuffix("\nReview:")
        assert REVIEW.render(proposal(question, response)) == prompt
        verdict = read_verdict(answer)
        assert verdict is ("is right." in answer.split("The answer is")[0])
        assert verdict_sentence(verdict).removeprefix("The ") in answer


def test_a_correction_is_a_traced_review_of_the_corpus():
    traced = [(prompt, answer) for prompt, answer in corpus_reviews(80) if "So the proposed answer" in answer]
    assert traced
    for _, answer in traced:
        opener, _, rest = answer.strip().partition(" ")
        steps, _, said = rest.partition(" So the proposed answer is ")
        solution = " " + render_trace([steps], said.rpartition("The answer is ")[2].rstrip("."), opener)
        assert correction(solution, said.startswith("right")) == answer


@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 10**9))
@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_an_injected_error_is_found_and_named_at_its_step(name, seed):
    family, steps, problem = steps_of(name, seed)
    broken, at = inject_error(random.Random(seed), steps)
    assert [i for i, (old, new) in enumerate(zip(steps, broken, strict=True)) if old != new] == [at]
    violation = first_violation(family, problem.facts, f" {' '.join(broken)} So the answer is 0.")
    assert violation is not None and violation.step == at
    assert finding(violation, False).startswith(f" Step {at + 1}: ")


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**9), text=st.sampled_from([GSM8K, WORDS]))
def test_an_injected_wrong_result_is_found_at_its_equation_and_computed_again(seed, text):
    broken, at = inject_wrong_result(random.Random(seed), text)
    violation = first_error(broken)
    assert violation is not None and violation.step == at and broken != text
    right = ["48/2 = 24.", "48+24 = 72."] if text is GSM8K else ["48 / 2 = 24.", "48 + 24 = 72."]
    assert recomputed(broken) == [*right[: at + 1], f"Step {at + 1} is wrong."]
    assert recomputed(text) == right
    critique = correction(" The answer is 72.", False, broken)
    assert critique.endswith(f"Step {at + 1} is wrong. So the proposed answer is wrong. The answer is 72.")


def test_a_text_without_an_equation_has_nothing_to_inject_into():
    assert inject_wrong_result(random.Random(0), "It is 7.") is None
    assert recomputed("It is 7.") == []


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (" The proposed answer is right.", True),
        (" So the proposed answer is wrong. The answer is 4.", False),
        ("1. The first step is wrong.\n\nConclusion: right [END]", True),
        ("Critique Conclusion: **Incorrect**", False),
        (" The answer is 4.", None),
        (" The proposed answer is right. The proposed answer is wrong.", None),
        (" Step 2 is wrong.", None),
    ],
)
def test_a_verdict_is_read_where_it_is_said_once_and_one_way(text, verdict):
    assert read_verdict(text) is verdict


def test_turning_a_verdict_round_changes_that_word_alone():
    for text in (" Working. 3 + 4 = 7. So the proposed answer is wrong. The answer is 7.", "Conclusion: Right"):
        flipped = flip_verdict(text)
        assert read_verdict(flipped) is not read_verdict(text) and flip_verdict(flipped) == text
        differing = [(a, b) for a, b in zip(text.split(), flipped.split(), strict=True) if a != b]
        assert len(differing) == 1


@given(st.text(alphabet="ab1. \n!?", max_size=40))
def test_sentences_lose_no_word(text):
    assert " ".join(sentences(text)).split() == text.split()
    before, verdict, after = parts(text)
    assert [*before, *verdict, *after] == sentences(text)
