"""The trace browser: traces.html, one file that opens from a disk without network and is readable without script.

Holds, for every base rung, method and control whose samples are next to the comparison, up to one right and one wrong
sample of each item, compressed (zlib, base64); a small inline script unpacks and filters them and writes text nodes
only. Without script the page shows the chosen pairs of the report. Model output is made inert before it is packed. A
page has a budget of characters: if the samples exceed it, items are taken evenly and the page gives their number.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elicit.errors import DataError
from elicit.files import read_json, read_table, shards
from elicit.report.text import one_line, visible
from elicit.results import Comparison, Line

CHARACTERS = 12_000_000
"""of text in one page before compression; about a sixth of it after"""
LONGEST = 2_000
"""characters of one trace"""
ROLES = ("base", "prompt", "method", "placebo", "rival")
SCRIPT = "_browser.js"
Sample = list[Any]
"""[place of the item, j, grade (1, 0, -1 ungraded), answer, text]"""


@dataclass(frozen=True)
class Samples:
    """What the page holds, in the shape that its script reads."""

    policies: list[dict[str, Any]]
    """name, role, n, share of right samples per item"""
    items: list[dict[str, str]]
    """id, question, gold"""
    rows: list[list[Sample]]
    """the samples of each policy"""
    of: int
    """number of items of the comparison; more than `items` if the page is over its budget"""


def gathered(comparison: Comparison, folder: Path | None) -> Samples | None:
    """The samples next to the comparison; None if there are none."""
    solves = comparison.solves
    if folder is None or not (folder / "inputs.json").exists() or not solves.items:
        return None
    entries = {entry["policy"]: entry for entry in read_json(folder / "inputs.json")["entries"]
               if entry["role"] in ROLES}  # fmt: skip
    lines = [line for line in comparison.lines if line.role in ROLES and line.id in entries]
    stored = [(line, folders) for line in lines if (folders := _folders(entries[line.id], folder))]
    if not stored:
        return None
    items = evenly(solves.items, len(stored))
    place = {item: i for i, item in enumerate(items)}
    texts = (
        {item["id"]: item for item in read_json(folder / "items.json", list)}
        if (folder / "items.json").exists()
        else {}
    )
    return Samples(
        policies=[_policy(line, comparison, items) for line, _ in stored],
        items=[_item(item, texts.get(item) or {}) for item in items],
        rows=[_rows(samples, grades, place) for _, (samples, grades) in stored],
        of=len(solves.items),
    )


def _item(name: str, content: Mapping[str, Any]) -> dict[str, str]:
    question, gold = content.get("question") or "", content.get("gold") or ""
    return {"id": one_line(name, 60), "question": visible(str(question), LONGEST), "gold": one_line(gold, 120)}


def _folders(entry: Mapping[str, Any], folder: Path) -> tuple[Path, Path] | None:
    """Samples and grades of an entry: as written, else in the store of the root that holds the comparison."""
    root = folder.resolve().parent.parent
    out = []
    for stage in ("samples", "grades"):
        named = Path(entry[stage])
        places = (named, root / "store" / stage / named.parent.name / named.name)
        out.append(next((path for path in places if shards(path)), None))
    return (out[0], out[1]) if out[0] and out[1] else None


def evenly(items: Sequence[str], policies: int) -> list[str]:
    """All items; if the page could not hold two of the longest usual traces of each per policy, evenly spaced ones."""
    most = max(20, CHARACTERS // (2 * policies * LONGEST // 3))
    step = max(1.0, len(items) / most)
    return [items[int(i * step)] for i in range(min(len(items), most))]


def _rows(samples: Path, grades: Path, place: Mapping[str, int]) -> list[Sample]:
    """The first right and the first wrong sample of each item; the text inert."""
    import pyarrow as pa

    def table(folder: Path, columns: list[str]) -> Any:
        try:
            tables = [read_table(path, columns=columns) for path in shards(folder)]
            return pa.concat_tables(tables, promote_options="default").to_pandas()  # a shard may hold nulls only
        except (OSError, ValueError) as fault:
            raise DataError(f"{folder}: not readable Parquet ({fault}); delete the broken shard and resume") from None

    graded = table(grades, ["item", "j", "strict", "answer"])
    graded = graded[graded["item"].isin(list(place))].sort_values(["item", "j"])
    graded["grade"] = graded["strict"].map({True: 1, False: 0}).astype(float).fillna(-1).astype(int)
    first = graded.drop_duplicates(["item", "grade"])
    texts = table(samples, ["item", "j", "text"])
    return [
        [place[row.item], int(row.j), int(row.grade), one_line(row.answer, 60) if isinstance(row.answer, str) else "",
         visible(str(row.text), LONGEST)]
        for row in first.merge(texts, on=["item", "j"], how="inner").itertuples()
    ]  # fmt: skip


def _policy(line: Line, comparison: Comparison, items: Sequence[str]) -> dict[str, Any]:
    by_item = dict(zip(comparison.solves.items, comparison.solves.by_policy.get(line.id, ()), strict=False))
    prompt = "" if line.prompt == "bare" else f", prompt {one_line(line.prompt, 30)}"
    name = one_line(line.name, 60) + prompt
    return {"name": name, "role": line.role, "n": line.n, "solved": [by_item.get(item) for item in items]}


def packed(samples: Samples) -> str:
    """JSON, compressed, as text that is safe inside any HTML element."""
    raw = json.dumps(vars(samples), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def script(folder: Path) -> tuple[str, str]:
    """(the script, the hash by which the page's content security policy allows it and no other script)."""
    source = (folder / SCRIPT).read_text(encoding="utf-8")
    return source, base64.b64encode(hashlib.sha256(source.encode()).digest()).decode("ascii")
