"""Patterns that were quadratic read long texts: 10^12 steps for a million characters would end in no test.

The readers of completions are in `tests/tasks/test_hostile.py`, the last step of a Markdown page in
`tests/report/test_inert.py`.
"""

from __future__ import annotations

import random
import re

import pytest

from elicit.evaluate.lenses.repaired import standing
from elicit.evaluate.metrics.net import answer_type
from elicit.policy.fetched import LICENCE_TEXT
from elicit.report.figures.writer import inline

LONG = 1_000_000


@pytest.mark.parametrize("piece", ["a", "a ", " ", ". ", "Wait", "a. Wait "])
def test_a_long_trace_keeps_what_it_does_not_take_back(piece: str) -> None:
    text = piece * (LONG // len(piece))
    assert standing(text) == text and standing(f"8.{text}. Instead. 7.")[-3:] == " 7."


def test_steps_that_are_taken_back_are_those_of_the_quadratic_pattern() -> None:
    rng, whole = random.Random(0), re.compile(r"[^.]*\.\s*(?:Instead|Wait)\.(?=[^.]*\.)")
    for _ in range(5_000):
        text = "".join(rng.choices(["a", " ", ".", "Instead.", "Wait.", "Wait", "\n", ".."], k=9))
        assert standing(text) == whole.sub("", text)


@pytest.mark.parametrize("gold", ["7" * LONG + "x", "7." + "7" * LONG + "%x", "7" + " " * LONG + "/", "." * LONG])
def test_a_long_gold_answer_has_a_kind(gold: str) -> None:
    assert answer_type(gold) == "text"


def test_a_long_name_of_a_file_is_a_licence_or_none() -> None:
    assert LICENCE_TEXT.match("terms" * (LONG // 5)) and not LICENCE_TEXT.match("terms." * (LONG // 6) + "/")


@pytest.mark.parametrize("piece", ["<metadata>", "<!--", "<svg ", "url(#", "font:", 'id="', "<!-- x -->"])
def test_a_long_picture_is_put_into_a_page(piece: str) -> None:
    kept = inline("<svg>" + piece * (LONG // len(piece)) + "</svg>", "a", "b")
    assert kept.startswith("<svg") and kept.endswith("</svg>") and "<!-- x" not in kept
