"""Hostile text of 100,000 characters is judged in time: no pattern is quadratic. A quadratic one takes minutes."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elicit.evaluate.lenses.sentences import spans
from elicit.tasks.formal.deduction import _clauses
from elicit.tasks.formal.family import CONCLUSION, LOOSE_CONCLUSION, OPENERS, split_trace
from elicit.tasks.grading import verify

SIZE = 100_000
SECONDS = 10.0
"""generous: each takes well below a second on one slow core"""
REPEATED = (
    "\n", " ", ".", ". ", "*", "#", "#\n", "{", "$", "<", "\\", "-", "_", "\t", "\n\t", "-\n", "\u00a0", "#### ",
    "\\boxed{", "\\boxed{1}", "\\boxed ", "answer\n", "\n\n\nanswer", "**answer", "\n**answer", "final answer ", "the ",
    "if ", "ans. ",
    "the answer is ", "the answer is correct. ", "the answer is 5. ", "the answer to ", "\nQuestion", "\n### Q", "A:\n",
    "1 = ", "1=1\n", "\\left", "(A) ", "<|",
)  # fmt: skip
DECLARED = (
    "\n", "(", "(1,", "[", "1,", "1,234,", "9", "1=1=", "1/", "2^", "\\frac{", "$ $", "x", "word ", "5 or ", "not (A) ",
    "(A) ", "\\ ", "√", "²", "yes ", "=", "{1\\over ", "\\text{", "<|", "1\\,", "\u00a0", "\\pm ", "[1,2]\\cup",
    "a\n", "1; ",
    "5 - ", "so ", '"', "that 5 ", "1. a 2. ", "\\begin{pmatrix}1&", "x_1^", "≤", "a and ", "0.\\overline{3}", "1 1/",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["number", "math", "option", "word", "text"])
def test_no_repetition_takes_longer_than_its_length(kind: str) -> None:
    texts = [piece * (SIZE // len(piece)) for piece in REPEATED]
    texts += ["The answer is " + piece * (SIZE // len(piece)) for piece in DECLARED]
    texts += ["\\boxed{" + piece * (SIZE // len(piece)) + "1}" for piece in DECLARED if "{" not in piece]
    for text in texts if kind in ("number", "math") else texts[::2]:
        began = time.monotonic()
        verify.quick(kind, "x+1" if kind == "math" else "5", "", text, True)
        assert time.monotonic() - began < SECONDS, text[:40]


@pytest.mark.parametrize("kind", ["number", "math", "text"])
def test_classes_and_spans_of_long_texts_are_named_in_time(kind: str) -> None:
    for piece in DECLARED[::3]:
        began = time.monotonic()
        text = piece * (SIZE // len(piece))
        assert isinstance(verify.answer_class(kind, text), str)
        verify.answer_span(kind, text)
        assert time.monotonic() - began < SECONDS, piece


LONG = 1_000_000
"""characters: a quadratic pattern takes 10^12 steps, so that it ends in no test"""


@pytest.mark.parametrize("piece", ["\n", " ", "a", "Thus ", "So the answer is ", "!", ". "])
def test_a_trace_of_a_million_characters_is_cut_into_its_steps(piece: str) -> None:
    text = piece * (LONG // len(piece))
    steps, conclusion = split_trace(text)
    assert conclusion is None and len(steps) == text.count(".")
    if piece.strip() != "!":
        assert len(spans(f"{text}x")) <= LONG
    assert _clauses(f"Sam is red{text}and Max is shy")[1] is not None
    assert split_trace(f"{text}x. So the answer is 7.")[0] or "is " in piece or "Thus" in piece


_PIECES = st.sampled_from(
    [
        "a",
        " ",
        ".",
        "\n",
        "7",
        f"{CONCLUSION} ",
        f"{LOOSE_CONCLUSION} ",
        "So the proposed answer is right. ",
        "Working.",
    ]
)


@given(st.lists(_PIECES, max_size=12).map("".join))
def test_steps_and_conclusion_are_those_of_the_grammar(text: str) -> None:
    """The grammar as one pattern, which is quadratic: a conclusion is a beginning, words and a point."""
    beginning = r"(?:So the (?:answer is|proposed answer is (?:right|wrong)\. (?:The answer is|Thus))|Thus) "
    ending = re.search(beginning + r"([^.]*)\.", text)
    body = text[: ending.start()] if ending else text
    steps = [piece.strip() for piece in re.findall(r"[^.]*\.", body)]
    dropped = steps[1:] if steps and steps[0] in OPENERS else steps
    assert split_trace(text) == (dropped, ending[1].strip() if ending else None)
