"""The trace browser: traces.html, one file that opens from a disk without network and reads without script.

Holds, for every base rung, method and control whose samples lie beside the comparison, up to one right and one wrong
sample of each item, compressed (zlib, base64); a small inline script unpacks and filters them and writes text nodes
only. Without script the chosen pairs of the report stand there. Model output is made inert before it is packed. A page
has a budget of characters: where the samples exceed it, items are taken evenly and the page says how many.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elicit.errors import DataError
from elicit.files import read_json, shards
from elicit.report.text import one_line, visible

CHARACTERS = 12_000_000
"""of text in one page before compression; about a sixth of it after"""
LONGEST = 2_000
"""characters of one trace"""
ROLES = ("base", "prompt", "method", "placebo", "rival")
SCRIPT = "_browser.js"


def gathered(comparison: Mapping[str, Any], folder: Path | None) -> dict[str, Any] | None:
    """What the page holds: policies, items, rows; None where no samples lie beside the comparison."""
    solves = comparison.get("solves") or {}
    if folder is None or not (folder / "inputs.json").exists() or not solves.get("items"):
        return None
    entries = {entry["policy"]: entry for entry in read_json(folder / "inputs.json")["entries"]
               if entry["role"] in ROLES}  # fmt: skip
    policies = [p for p in comparison["policies"] if p["role"] in ROLES and p["id"] in entries]
    found = [(p, places) for p in policies if (places := _folders(entries[p["id"]], folder))]
    if not found:
        return None
    items = _taken(solves["items"], len(found))
    place = {item: i for i, item in enumerate(items)}
    asked = {item["id"]: item for item in read_json(folder / "items.json")} if (folder / "items.json").exists() else {}
    rows = [_rows(samples, grades, place) for _, (samples, grades) in found]
    return {
        "policies": [_policy(p, solves, items) for p, _ in found],
        "items": [_item(item, asked.get(item) or {}) for item in items],
        "rows": rows, "of": len(solves["items"]),
    }  # fmt: skip


def _item(name: str, told: Mapping[str, Any]) -> dict[str, str]:
    question, gold = told.get("question") or "", told.get("gold") or ""
    return {"id": one_line(name, 60), "question": visible(str(question), LONGEST), "gold": one_line(gold, 120)}


def _folders(entry: Mapping[str, Any], folder: Path) -> tuple[Path, Path] | None:
    """Samples and grades of an entry: as written, else in the store of the root that the comparison lies in."""
    root = folder.resolve().parent.parent
    out = []
    for stage in ("samples", "grades"):
        named = Path(entry[stage])
        places = (named, root / "store" / stage / named.parent.name / named.name)
        out.append(next((path for path in places if shards(path)), None))
    return (out[0], out[1]) if out[0] and out[1] else None


def _taken(items: list[str], policies: int) -> list[str]:
    """All items, or as many, evenly, as fit the page if every policy had two of the longest usual traces."""
    most = max(20, CHARACTERS // (2 * policies * LONGEST // 3))
    step = max(1.0, len(items) / most)
    return [items[int(i * step)] for i in range(min(len(items), most))]


def _rows(samples: Path, grades: Path, place: Mapping[str, int]) -> list[list[Any]]:
    """[item, j, grade, answer, text] of the first right and the first wrong sample of each item; the text inert."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def table(folder: Path, columns: list[str]) -> Any:
        try:
            return pa.concat_tables([pq.read_table(path, columns=columns) for path in shards(folder)]).to_pandas()
        except (OSError, ValueError) as fault:
            raise DataError(f"{folder}: not readable Parquet ({fault}); delete the broken shard and resume") from None

    graded = table(grades, ["item", "j", "strict", "answer"])
    graded = graded[graded["item"].isin(list(place))].sort_values(["item", "j"])
    graded["grade"] = graded["strict"].map({True: 1, False: 0}).astype(float).fillna(-1).astype(int)
    first = graded.drop_duplicates(["item", "grade"])
    texts = table(samples, ["item", "j", "text"])
    whole = first.merge(texts, on=["item", "j"], how="inner")
    return [
        [place[row.item], int(row.j), int(row.grade), one_line(row.answer, 60) if isinstance(row.answer, str) else "",
         visible(str(row.text), LONGEST)]
        for row in whole.itertuples()
    ]  # fmt: skip


def _policy(policy: Mapping[str, Any], solves: Mapping[str, Any], items: list[str]) -> dict[str, Any]:
    shares = (solves.get("by_policy") or {}).get(policy["id"]) or []
    by_item = dict(zip(solves["items"], shares, strict=False))
    prompt = str(policy.get("prompt") or "bare")
    return {"name": one_line(policy["name"], 60) + ("" if prompt == "bare" else f", prompt {one_line(prompt, 30)}"),
            "role": policy["role"], "n": policy.get("n"), "solved": [by_item.get(item) for item in items]}  # fmt: skip


def packed(data: Any) -> str:
    """JSON, compressed, as text that stands safely inside any HTML element."""
    raw = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def script(folder: Path) -> tuple[str, str]:
    """(the script, the hash by which the page's own policy lets it and nothing else run)."""
    source = (folder / SCRIPT).read_text(encoding="utf-8")
    return source, base64.b64encode(hashlib.sha256(source.encode()).digest()).decode("ascii")
