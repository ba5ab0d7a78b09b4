"""Laws of a Markdown page: no tag and no foreign scheme acts, as an independent reader (markdown-it) sees it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from elicit.report.inert import inert
from elicit.report.text import fenced

READERS = [MarkdownIt(kind, {"html": True}).enable("table") for kind in ("commonmark", "js-default")]
TAG = "<img src=x onerror=a()>"


def acting(page: str) -> list[str]:
    """Tags and links with a scheme of their own that a reader would act on."""
    tokens = [token for reader in READERS for token in reader.parse(page)]
    tokens += [inner for token in tokens for inner in token.children or ()]
    links = [str(token.attrs.get("href", token.attrs.get("src", ""))) for token in tokens]
    schemes = [link for link in links if re.match(r"(?!https?:|mailto:)\w+:", link)]
    return [token.content for token in tokens if token.type in ("html_inline", "html_block")] + schemes


@pytest.mark.parametrize(
    "hostile",
    [
        TAG,
        "[x](javascript:alert(1))",
        "[x]( data:text/html,x)",
        "[x](java&#115;cript:alert(1))",
        "[x](<javascript:alert(1)>)",
        "a\\\\](javascript:alert(1)) [",
        "[x]: javascript:alert(1)\n\n[x]",
        f"<!-- x -->{TAG}",
        f"`` a ` `` {TAG}",
        f"``{TAG}`",  # runs of two lengths are no span
        f"\\`{TAG}`",  # an escaped backtick opens none
        f"`a\nb` {TAG} `c`",  # a span over two lines
        f"`a\n\nb {TAG} `c",
        f"| a | b |\n|--|--|\n| `a | {TAG} ` |",  # a cell ends a span
        f"<1`b@c.de> {TAG}`",  # a backtick in a link
        f"   ```\na\n```\n{TAG}\n```",  # fences that this module does not follow
        f"- ```\n  ```\n{TAG}\n```\n",
        f"- a\n  ```\n{TAG}\n```",
        f"> ```\n> ```\n{TAG}\n> ```\n",
        f"~~~\n```\n~~~\n{TAG}\n```",
        f"```a`b\n{TAG}\n```",
        f"```\nx\n``` y\n{TAG}\n    ```\n   ````\n{TAG}",
        f"````\n```\n{TAG}\n````\n{TAG}",
    ],
)
def test_no_tag_and_no_foreign_scheme_acts(hostile: str) -> None:
    assert acting(inert(f"# {hostile}\n\n{hostile}\n")) == []


PIECES = st.sampled_from(
    ["`", "``", "```", "~~~", "\n", "\n\n", " ", "    ", "- ", "> ", "|", "\\", "a", "<a", ">", TAG, "<https://x.y/",
     "[x](javascript:a", ")", "# ", "\r", "1. ", "[a]: ", "'", "<1", "@b.c", "|--|--|\n", "\t"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=24).map("".join))
@example(f"```\n{TAG}")
def test_no_mixture_of_marks_lets_a_tag_through(page: str) -> None:
    assert not [content for content in acting(inert(page)) if not content.startswith("javascript")]


def test_a_page_without_foreign_markup_is_left_as_it_is() -> None:
    page = "[run](../runs/1-x) [b](https://x.y/z:1) ![a](figures/a.svg) a < b\n\n"
    page += "```text\n<b> [x](javascript:y)\n```\n`<b>` and ``a ` <b>``\n\n`a\n\n~~~\n<b>\n~~~\n`<c>`\n"
    assert inert(page) == page


@given(st.text(max_size=80))
def test_a_fenced_value_keeps_its_characters(value: str) -> None:
    page = f"a\n\n{fenced(value)}\n\nb\n"
    assert inert(page) == page


@pytest.mark.parametrize(
    "piece", ["`", "`a", "`` ", "\\`", "\\", "```\n", "~~~~a\n", "](", "](  ", "<", "<a`", "> ", "[a]", "`\n"]
)
@pytest.mark.parametrize("before", ["", "````\n"])
def test_a_long_page_is_made_inert_in_linear_time(piece: str, before: str) -> None:
    """Quadratic work would be 4 * 10^10 steps, so that it would end in no test."""
    page = before + piece * (200_000 // len(piece))
    assert len(inert(page)) >= len(page)
