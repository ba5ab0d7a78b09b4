"""Laws of the documentation pages: what they tell people to type is what the command line takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from elicit.commands.words import WORDS
from elicit.config.compose import build_settings, choices, compose

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def commands(text: str) -> list[str]:
    """Lines and code spans that begin with `elicit`."""
    lines = [line.split("#")[0].strip() for line in text.splitlines() if line.startswith("elicit ")]
    return [*lines, *re.findall(r"`(elicit [^`]+)`", text)]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_commands_use_words_groups_and_choices_that_exist(page: Path) -> None:
    for command in commands(page.read_text(encoding="utf-8")):
        first, *rest = command.split()[1:]
        if "=" not in first and first != "-m":
            assert first in WORDS, command
        for word in (first, *rest):
            group, _, value = word.partition("=")
            if group in ("method", "method/strategy", "model", "task", "eval", "experiment", "sweep") and value not in (
                "mine",
                "...",
                "study/all",
                "study/mine",
            ):
                assert set(value.split(",")) <= set(choices(group)), command


def test_every_anchor_s_command_builds_its_settings() -> None:
    rows = commands((ROOT / "docs" / "anchors.md").read_text(encoding="utf-8"))
    built = [build_settings(compose(row.split()[1:])) for row in rows if row.startswith("elicit method=")]
    assert len(built) == 5 and all(one.method is not None for one in built)


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([\w./-]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
