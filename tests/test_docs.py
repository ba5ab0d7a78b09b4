"""Laws of the documentation pages: what they tell people to type is what the command line takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from elicit.commands.words import WORDS
from elicit.config.compose import build_settings, choices, compose
from elicit.files import read_yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
EVERY = sorted(
    page
    for place in (".", "docs/**", "methods/**", "elicit/**", "benchmarks/**")
    for page in ROOT.glob(f"{place}/*.md")
)
"""the pages of the repository, without those of environments and runs"""


GROUPS = ("method", "method/strategy", "model", "task", "eval", "experiment", "sweep")
OWN = ("mine", "my_method", "...", "study/all", "study/mine")
"""values that a page makes up, or that name several"""


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
            group, is_setting, value = word.partition("=")
            if is_setting and group in GROUPS and value not in OWN:
                assert set(value.split(",")) <= set(choices(group)), command


def test_every_anchor_s_command_builds_its_settings() -> None:
    rows = commands((ROOT / "docs" / "anchors.md").read_text(encoding="utf-8"))
    built = [build_settings(compose(row.split()[1:])) for row in rows if row.startswith("elicit method=")]
    assert len(built) == 5 and all(one.method is not None for one in built)


@pytest.mark.parametrize("page", EVERY, ids=[str(page.relative_to(ROOT)) for page in EVERY])
def test_relative_links_of_every_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", text):
        assert (page.parent / target).exists(), target


def test_public_ci_runs_what_the_makefile_has_on_all_that_is_supported() -> None:
    jobs = read_yaml(ROOT / ".github" / "workflows" / "test.yml")["jobs"]
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = {word for line in lines for word in re.findall(r"make (\w[\w-]*)", line)}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"test", "lint", "env"} <= targets and all(f"\n{target}:" in makefile for target in targets)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lowest, beyond = re.findall(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', project)[0]
    assert jobs["test"]["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(int(lowest), int(beyond))]
    assert '"transformers>=4.57,<6"' in project
    assert jobs["test"]["strategy"]["matrix"]["transformers"] == ["4.57.*", "5.*"]
    assert any("pip-audit" in line for line in lines) and any("pip-licenses" in line for line in lines)


def test_the_site_leads_to_every_page() -> None:
    navigation = str(read_yaml(ROOT / "mkdocs.yml")["nav"])
    pages = [page.name for page in PAGES] + [
        f"methods/{page.parent.name}.md" for page in ROOT.glob("methods/*/README.md")
    ]
    assert pages and [page for page in pages if f"'{page}'" not in navigation] == []
