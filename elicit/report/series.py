"""The rows behind each figure: what is drawn is what stands in the CSV beside it.

Plain lists of flat dicts, made from a comparison that went through `rows.load`. A figure with no rows is
not drawn. Knows nothing of drawing.
"""

from __future__ import annotations

import csv
import io
from typing import Any

from elicit.report.numbers import bounds, refusal
from elicit.report.rows import Row

Series = list[dict[str, Any]]


def accuracy(table: list[Row]) -> Series:
    """Strict accuracy of every policy, shares."""
    out = []
    for row in table:
        if numbers := bounds(row.policy["acc"]):
            out.append(_head(row) | dict(zip(("point", "lo", "hi"), numbers, strict=True)))
    return out


def coverage(table: list[Row]) -> Series:
    """cov@k of base rungs and methods, one row a (policy, k)."""
    return [point for row in table if row.role in ("base", "prompt", "method") for point in _curve(row, "cov")]


def budget(table: list[Row]) -> Series:
    """Accuracy against tokens an answer, and the base's majority vote bought with more samples of its own."""
    out = []
    for row in table:
        tokens = (row.policy.get("cost") or {}).get("tokens_per_answer")
        numbers = bounds(row.policy["acc"])
        if not tokens or numbers is None or row.role == "ceiling":
            continue
        out.append(_head(row) | {"kind": "accuracy", "k": 1, "tokens": tokens} | _triple(numbers))
        if row.badge == "B0":
            out += [_head(row) | {"kind": "majority vote", "k": p["k"], "tokens": tokens * p["k"]}
                    | {name: p[name] for name in ("point", "lo", "hi")} for p in _curve(row, "maj")]  # fmt: skip
    return out


def validity(table: list[Row]) -> Series:
    """Right answers split by the trace that led there: P(valid | correct) x accuracy, and the unearned rest."""
    out = []
    for row in table:
        valid, acc = row.policy.get("valid") or {}, bounds(row.policy["acc"])
        given_correct, given_valid = bounds(valid.get("valid_given_correct")), bounds(valid.get("correct_given_valid"))
        if acc is None or given_correct is None:
            continue
        line = _head(row) | {"earned": acc[0] * given_correct[0], "unearned": acc[0] * (1 - given_correct[0])}
        line |= {f"valid_given_correct_{k}": v for k, v in _triple(given_correct).items()}
        line |= {f"correct_given_valid_{k}": v for k, v in _triple(given_valid or (None, None, None)).items()}
        out.append(line)
    return out


def solves(comparison: dict[str, Any], table: list[Row]) -> Series:
    """Share of samples that solve each item: one row an item, one column a policy; hardest for the base last."""
    given = comparison.get("solves") or {}
    items, by_policy = given.get("items") or [], given.get("by_policy") or {}
    shown = [row for row in table if len(by_policy.get(row.policy["id"]) or []) == len(items)]
    if not items or not shown:
        return []
    base = next((row for row in shown if row.badge == "B0"), shown[0])
    columns = {row.policy["id"]: by_policy[row.policy["id"]] for row in shown}
    total = [sum(column[i] or 0 for column in columns.values()) for i in range(len(items))]
    own = columns[base.policy["id"]]
    order = sorted(range(len(items)), key=lambda i: (-(own[i] or 0), -total[i], i))
    return [{"item": items[i]} | {row.name: columns[row.policy["id"]][i] for row in shown} for i in order]


def solved_table(comparison: dict[str, Any], table: list[Row]) -> Series:
    """Per policy, against the bare base at its own sample count: solved by both, by it only, by the base only, by neither."""
    by_policy = (comparison.get("solves") or {}).get("by_policy") or {}
    base = next((row for row in table if row.badge == "B0"), None)
    own = by_policy.get(base.policy["id"]) if base else None
    if base is None or not own:
        return []
    out = []
    for row in table:
        hers = by_policy.get(row.policy["id"])
        if row is base or not hers or len(hers) != len(own):
            continue
        pairs = [(bool(b), bool(m)) for b, m in zip(own, hers, strict=True) if b is not None and m is not None]
        both, only, lost = pairs.count((True, True)), pairs.count((False, True)), pairs.count((True, False))
        out.append(_head(row) | {"both": both, "policy_only": only, "base_only": lost,
                                 "neither": pairs.count((False, False)), "items": len(pairs)})  # fmt: skip
    return out


def refused_curves(table: list[Row], which: str) -> list[str]:
    """'name: reason' for every base rung and method whose curve was refused."""
    return [f"{row.name}: {reason}" for row in table
            if row.role in ("base", "prompt", "method") and (reason := refusal(row.policy.get(which)))]  # fmt: skip


def to_csv(series: Series) -> str:
    """A series as CSV text, columns in the order of the first row."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(series[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(series)
    return out.getvalue()


def _head(row: Row) -> dict[str, Any]:
    return {"policy": row.name, "id": row.policy["id"], "role": row.role, "badge": row.badge, "depth": row.depth,
            "class": row.data_class, "n_items": row.policy.get("n_items"), "n": row.policy.get("n"),
            "seeds": row.seeds}  # fmt: skip


def _triple(numbers: tuple[Any, Any, Any]) -> dict[str, Any]:
    return dict(zip(("point", "lo", "hi"), numbers, strict=True))


def _curve(row: Row, which: str) -> Series:
    curve = row.policy.get(which) or {}
    if refusal(curve) or any(not curve.get(name) for name in ("k", "point", "lo", "hi")):
        return []
    zipped = zip(curve["k"], curve["point"], curve["lo"], curve["hi"], strict=True)
    return [_head(row) | {"k": k} | _triple(numbers) for k, *numbers in zipped if None not in numbers]  # type: ignore[arg-type]
