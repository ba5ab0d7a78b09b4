"""Side-by-side traces: where the base is wrong and a method right, and the reverse.

Chosen by a rule and not by hand: per method, the items with the largest difference in solve rate, ties by
item id; of these the first sample of each side that shows it. The texts are model output: hostile until escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elicit.evaluate.measures.measure import Measures
from elicit.files import shards
from elicit.records import Item

Side = tuple[str, Measures, Path, Path]
"""(policy id, measures, samples folder, grades folder)"""
KINDS = (("base wrong, method right", 0, 1), ("reverse", 1, 0))


def side_by_side(base: Side, methods: Sequence[Side], items: Sequence[Item], each: int = 2) -> list[dict[str, Any]]:
    """`each` traces of both kinds for every method."""
    wanted: list[tuple[int, str, Side, int, int]] = []
    for method in methods:
        gain_N = _rate(method[1]) - _rate(base[1])
        for kind, base_grade, method_grade in KINDS:
            sign = 1 if method_grade else -1
            order = sorted(range(len(items)), key=lambda i, s=sign, g=gain_N: (-s * g[i], items[i].id))  # type: ignore[misc]
            found = [
                i
                for i in order
                if _first(base[1], i, base_grade) is not None and _first(method[1], i, method_grade) is not None
            ]
            for i in found[:each]:
                wanted.append((i, kind, method, _first(base[1], i, base_grade), _first(method[1], i, method_grade)))  # type: ignore[arg-type]
    base_texts = _texts(base, {(items[i].id, j) for i, _, _, j, _ in wanted})
    method_texts = {m[0]: _texts(m, {(items[i].id, j) for i, _, o, _, j in wanted if o[0] == m[0]}) for m in methods}
    return [
        {
            "item": items[i].id,
            "question": items[i].question,
            "gold": items[i].gold,
            "kind": kind,
            "base": base_texts[items[i].id, base_j],
            "method": {"policy": method[0], **method_texts[method[0]][items[i].id, method_j]},
        }
        for i, kind, method, base_j, method_j in wanted
    ]


def _rate(m: Measures) -> Any:
    return m.right_N / np.maximum(m.total_N, 1)


def _first(m: Measures, i: int, grade: int) -> int | None:
    """Index of the first sample of item i with this grade."""
    hits = np.flatnonzero(m.strict_N_J[i] == grade)
    return int(hits[0]) if len(hits) else None


def _texts(side: Side, keys: set[tuple[str, int]]) -> dict[tuple[str, int], dict[str, Any]]:
    """Text and extracted answer of a few samples."""
    import pyarrow.parquet as pq

    if not keys:
        return {}
    items = sorted({item for item, _ in keys})
    out: dict[tuple[str, int], dict[str, Any]] = {key: {} for key in keys}
    for folder, name in ((side[2], "text"), (side[3], "answer")):
        for path in shards(folder):
            for row in pq.read_table(path, columns=["item", "j", name], filters=[("item", "in", items)]).to_pylist():
                if (row["item"], row["j"]) in out:
                    out[row["item"], row["j"]][name] = row[name]
    return out
