"""Hostile text of 100,000 characters is judged in time: no pattern is quadratic. A quadratic one takes minutes."""

from __future__ import annotations

import time

import pytest

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
