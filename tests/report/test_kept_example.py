"""The example in docs/example says what its own comparison.json says, with today's templates and rules."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from elicit.report import report
from elicit.results import write_comparison
from tests.report.example import comparison

EXAMPLE = Path(__file__).parents[2] / "docs" / "example"
LIMIT = 5_000_000
"""bytes of the whole folder"""


class Tables(HTMLParser):
    """The cells of each table of a page, row by row."""

    def __init__(self, page: str):
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables:
            self.tables[-1][-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.tables[-1][-1][-1] += " ".join(data.split()) + " "


def numbers(folder: Path) -> dict[str, str]:
    """Every number of numbers.tex by its key: policy/column, and the verdict's sentences."""
    text = (folder / "numbers.tex").read_text(encoding="utf-8")
    return dict(re.findall(r"csname elicit@(.+?)\\endcsname\{(.*)\}$", text, re.MULTILINE))


def faults(kept: Path, fresh: Path) -> list[str]:
    """What the kept folder holds and the fresh rendering does not."""
    old, new = numbers(kept), numbers(fresh)
    found = [f"numbers.tex, {key}: {value}" for key, value in old.items() if new.get(key) != value]
    was, now = ((folder / "report.html").read_text(encoding="utf-8") for folder in (kept, fresh))
    cells = Tables(now).tables[0]
    found += [f"report.html, scorecard: {row}" for row in Tables(was).tables[0] if row not in cells]
    said = re.findall(r"<p>(.*?)</p>", was[was.index('id="verdict"') : was.index('id="scorecard"')])
    assert said, "report.html without a verdict"
    found += [f"report.html, verdict: {sentence}" for sentence in said if f"<p>{sentence}</p>" not in now]
    lines = (fresh / "report.md").read_text(encoding="utf-8")
    told = re.search(r"## Scorecard\n\n(.*?)\n\n", (kept / "report.md").read_text(encoding="utf-8"), re.DOTALL)
    assert told, "report.md without a scorecard"
    return found + [f"report.md: {line}" for line in told[1].splitlines() if line not in lines]


def rendered(source: Path, out: Path) -> Path:
    report(source, out)
    return out


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """An example as `make example` keeps one, of the tests' own comparison."""
    folder = tmp_path_factory.mktemp("example")
    write_comparison(comparison(), folder / "comparison.json")
    return rendered(folder / "comparison.json", folder)


@pytest.fixture(scope="module")
def fresh(kept: Path, tmp_path_factory) -> Path:
    return rendered(kept / "comparison.json", tmp_path_factory.mktemp("fresh"))


def test_an_untouched_example_is_without_fault(kept: Path, fresh: Path) -> None:
    assert numbers(kept) and faults(kept, fresh) == []


@pytest.mark.parametrize(("file", "place"), [("report.html", 'class="verdicts"'), ("report.html", 'class="wide"'),
                                             ("report.md", "## Scorecard"), ("numbers.tex", "/acc")])  # fmt: skip
def test_a_typed_figure_is_found(kept: Path, fresh: Path, tmp_path: Path, file: str, place: str) -> None:
    for name in ("report.html", "report.md", "numbers.tex"):
        text = (kept / name).read_text(encoding="utf-8")
        if name == file:
            figure = re.compile(r"\d\.\d").search(text, text.index(place))
            assert figure
            text = text[: figure.start()] + "X" + text[figure.end() :]
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert any(fault.startswith(file) for fault in faults(tmp_path, fresh))


needs_example = pytest.mark.skipif(not (EXAMPLE / "comparison.json").exists(), reason="made by `make example`")


@needs_example
def test_the_kept_example_says_what_its_comparison_says(tmp_path: Path) -> None:
    fresh = rendered(EXAMPLE / "comparison.json", tmp_path)
    assert faults(EXAMPLE, fresh) == [], "refresh it: make example"


@needs_example
def test_the_kept_example_is_small_names_no_machine_and_leads_nowhere_else() -> None:
    files = [path for path in EXAMPLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LIMIT
    assert (EXAMPLE / "scorecard.png").exists()
    for path in files:
        if path.suffix not in (".pdf", ".png"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(?<![\w.])/(home|root|tmp|Users|work|mnt)/", text), path.name
    page = (EXAMPLE / "report.html").read_text(encoding="utf-8")
    markdown = (EXAMPLE / "report.md").read_text(encoding="utf-8")
    for target in re.findall(r'<a href="([^"#]+)"', page) + re.findall(r"\]\(([^)#\s]+)\)", markdown):
        assert (EXAMPLE / target).exists(), target
