"""Laws of the trace browser: what it packs is what was sampled, inert; the page needs no network and no script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from elicit.report import report
from elicit.report.pages import browser
from elicit.report.sources import template_folder
from elicit.results import read_comparison
from tests.report.example import HOSTILE, brief, on_disk
from tests.report.test_report import Page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return on_disk(tmp_path_factory.mktemp("browser"), n_items=12, text=HOSTILE + "a" * 1_000_000, small=True)


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("out")
    report(folder / "comparison.json", out)
    assert 'href="traces.html"' in (out / "report.html").read_text(encoding="utf-8")
    return (out / "traces.html").read_text(encoding="utf-8")


def unpacked(page: str) -> dict[str, Any]:
    (data,) = re.findall(r'<script type="text/plain" id="data">([A-Za-z0-9+/=]+)</script>', page)
    return json.loads(zlib.decompress(base64.b64decode(data)))


def test_the_page_holds_the_first_right_and_the_first_wrong_sample_of_every_item(page: str, folder: Path) -> None:
    import pandas as pd

    data, given = unpacked(page), read_comparison(folder / "comparison.json")
    assert [p["name"] for p in data["policies"]] == [line.name for line in given.lines]
    root = folder.parent.parent / "store"
    for rows, line in zip(data["rows"], given.lines, strict=True):
        graded = pd.read_parquet(root / "grades" / line.id / "compare" / "shard-a.parquet")
        expected = {(item, grade): min(own["j"]) for (item, grade), own in graded.groupby(["item", "strict"])}
        packed = {(given.solves.items[i], bool(grade)): j for i, j, grade, _, _ in rows}
        assert packed == expected
    assert data["items"][3]["question"] == "Start with 3. Add 7, then subtract 9." and data["items"][3]["gold"] == "8"


def test_hostile_text_is_packed_inert_and_cut(page: str) -> None:
    texts = [row[4] for rows in unpacked(page)["rows"] for row in rows]
    hostile = [text for text in texts if "alert(1)" in text]
    assert hostile and all("\x1b" not in t and "\u202e" not in t and "characters left out" in t for t in hostile)
    assert max(len(text) for text in texts) < 2 * browser.LONGEST
    whole = Page(re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL))
    assert whole.open == [] and whole.tags.count("script") == 1 and "img" not in whole.tags


def test_one_script_may_run_and_it_reaches_nothing(page: str) -> None:
    (source,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function\(|fetch|XMLHttp|import", source
    )
    assert not re.search(r"https?:", page)


def test_without_script_the_chosen_pairs_are_on_the_page(page: str) -> None:
    assert page.index('id="browser" hidden') < page.index('id="chosen"')
    assert "Base wrong, method right" in page and "answer 8" in page


def test_without_samples_there_is_no_browser(tmp_path: Path) -> None:
    report(brief(), tmp_path)
    assert not (tmp_path / "traces.html").exists()
    assert "traces.html" not in (tmp_path / "report.html").read_text()


def test_a_page_takes_items_evenly_if_all_are_too_many() -> None:
    items = [f"i{k}" for k in range(10_000)]
    taken = browser.evenly(items, 20)
    assert 20 <= len(taken) < 10_000 and taken[0] == "i0" and int(taken[-1][1:]) > 9_000
    assert browser.evenly(items[:100], 20) == items[:100]


def test_the_script_is_plain_ascii_so_that_its_hash_is_the_file_s() -> None:
    assert (template_folder() / browser.SCRIPT).read_text().isascii()
