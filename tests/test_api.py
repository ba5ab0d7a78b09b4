"""Laws of the Python API: the examples of docs/api.md run as written, and a table holds the numbers of the file."""

from __future__ import annotations

import re
from pathlib import Path

import pandas
import pytest

import elicit
from elicit.errors import ConfigError

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "example"


def test_the_examples_of_the_page_run_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.S)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/api.md", "exec"), names)
    table, logits = names["table"], names["logits"]
    assert list(table["role"])[:1] == ["base"] and "method" in set(table["role"])  # type: ignore[index]
    assert logits.shape[0] == 1  # type: ignore[attr-defined]


def test_a_table_holds_every_number_of_the_file_with_its_interval() -> None:
    loaded = elicit.load(EXAMPLE / "comparison.json")
    table = loaded.table()
    assert list(table.index) == [line.name for line in loaded.result.lines]
    for at, line in enumerate(loaded.result.lines):
        for key, value in line.values.items():
            if key in table.columns and value.point is not None:
                assert table.iloc[at][key] == value.point
            elif key in table.columns:
                assert pandas.isna(table.iloc[at][key])
                assert value.refused is None or key in loaded.why(line.name)
    interval = next(line for line in loaded.result.lines if line.role == "method").get("acc/strict")
    row = table[table["role"] == "method"].iloc[0]
    assert interval is not None and (row["acc/strict/lo"], row["acc/strict/hi"]) == (interval.lo, interval.hi)


def test_an_unknown_name_is_refused_with_a_near_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean contrastive"):
        elicit.load(EXAMPLE).why("contrastve")
    with pytest.raises(ConfigError, match="no comparison or run"):
        elicit.load("nothing", root=tmp_path)
