"""Laws of foreign text."""

from __future__ import annotations

import html
import unicodedata
from dataclasses import is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from elicit.report.text import clean, fenced, latex, markdown, one_line, slug, visible
from tests.report.example import HOSTILE, hostile

ANY = st.text(st.characters(exclude_categories=()), max_size=200)


@given(ANY)
def test_what_is_made_visible_holds_no_invisible_character(text):
    shown = visible(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\n\t"]
    shown.encode("utf-8")


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), max_size=200))
def test_plain_text_stays_as_it_is(text):
    assert visible(text) == text


def test_an_ansi_code_and_a_bidirectional_mark_are_written_out():
    assert visible("\x1b[31m\u202eabc\u200b") == "\u27e8U+001B\u27e9[31m\u27e8U+202E\u27e9abc\u27e8U+200B\u27e9"


def test_a_million_characters_are_cut_and_the_cut_is_marked():
    shown = visible("a" * 1_000_000)
    assert len(shown) < 5000
    assert "of 1,000,000 characters left out" in shown


def strings(value: object) -> list[str]:
    """Every string in a value, keys included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for inner in pair for text in strings(inner)]
    if isinstance(value, list | tuple):
        return [text for inner in value for text in strings(inner)]
    return strings(vars(value)) if is_dataclass(value) else []


def test_cleaning_reaches_every_string_of_a_comparison_and_changes_no_number():
    given = hostile(10)
    given.lines[0].notes["kl/\x07regime"] = HOSTILE
    given.provenance["argv"] = [HOSTILE]
    cleaned = clean(given)
    assert any("\x1b" in text for text in strings(given))
    assert not any(set("\x1b\u202e\x07") & set(text) for text in strings(cleaned))
    assert [line.values for line in cleaned.lines] == [line.values for line in given.lines]
    assert cleaned.columns[0].title.startswith("Accuracy") and cleaned.columns[0].unit == "percent"


def test_cleaning_reaches_keys_and_nested_values_and_leaves_numbers():
    assert clean({"\x07": [{"a": "\x00"}, 1, None, 0.5]}) == {
        "\u27e8U+0007\u27e9": [{"a": "\u27e8U+0000\u27e9"}, 1, None, 0.5]
    }


@given(ANY)
def test_a_fence_is_longer_than_any_run_of_backticks_in_its_text(text):
    block = fenced(text)
    fence = block[: len(block) - len(block.lstrip("`"))]
    assert fence not in text


@given(ANY)
def test_a_markdown_line_holds_no_tag_and_no_cell_border(text):
    line = markdown(visible(text))
    assert "<" not in line and "\n" not in line
    assert all(line[i - 1] == "\\" for i, c in enumerate(line) if c == "|")


def test_latex_specials_are_escaped():
    assert latex("50% of a_b & {x}\\") == r"50\% of a\_b \& \{x\}\textbackslash{}"


def test_a_slug_is_never_empty_and_one_line_has_one_line():
    assert slug("\u2603") == "unnamed"
    assert one_line("a\n b" * 100, 10) == "a ba ba b\u2026"


@pytest.mark.parametrize(
    "text",
    ["[a](http://x)", "![a](x)", "**b**", "_e_", "<b>x</b>", "`c`", "[a][b]", "[a]: x", "# h", "a_b [0.1]"],
)
def test_a_markdown_line_renders_as_the_text_it_was(text):
    page = MarkdownIt("commonmark").render(markdown(text))
    assert page == f"<p>{html.escape(text, quote=False)}</p>\n"
