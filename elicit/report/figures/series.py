"""The rows behind each figure: what is drawn is what stands in the CSV beside it.

Plain lists of flat dicts, made from a comparison that went through `rows.load`. A figure with no rows is
not drawn. Knows nothing of drawing.
"""

from __future__ import annotations

import csv
import io
from typing import Any

from elicit.report.numbers import Shown, bounds, figure, refusal, show
from elicit.report.rows import Row

Series = list[dict[str, Any]]


def accuracy(table: list[Row]) -> Series:
    """Strict accuracy of every policy, shares."""
    out = []
    for row in table:
        if (numbers := bounds(row.policy["acc"])) and not row.policy.get("ceiling"):
            out.append(head(row) | dict(zip(("point", "lo", "hi"), numbers, strict=True)))
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
        out.append(head(row) | {"kind": "accuracy", "k": 1, "tokens": tokens} | _triple(numbers))
        if row.badge == "B0":
            out += [head(row) | {"kind": "majority vote", "k": p["k"], "tokens": tokens * p["k"]}
                    | {name: p[name] for name in ("point", "lo", "hi")} for p in _curve(row, "maj")]  # fmt: skip
    return out


def validity(table: list[Row]) -> Series:
    """Right answers split by the trace that led there: P(valid | correct) x accuracy, and the unearned rest.

    From the counts where the comparison holds them ([[valid right, valid wrong], [invalid right, invalid wrong]]).
    """
    out = []
    for row in table:
        valid, acc = row.policy.get("valid") or {}, bounds(row.policy["acc"])
        if acc is None or (given_correct := _point(valid.get("valid_given_correct"))) is None:
            continue
        line = head(row) | {"earned": acc[0] * given_correct, "unearned": acc[0] * (1 - given_correct)}
        (vr, vw), (ir, iw) = valid.get("table") or ((None, None), (None, None))
        line |= {"valid_given_correct": given_correct, "correct_given_valid": _point(valid.get("correct_given_valid"))}
        out.append(line | {"valid_right": vr, "valid_wrong": vw, "invalid_right": ir, "invalid_wrong": iw})
    return out


def validity_cells(row: Row) -> tuple[Shown, Shown]:
    """P(valid | right) and P(right | valid): with interval where there is one, else with the counts behind them."""
    valid = row.policy.get("valid") or {}
    if not valid.get("table"):
        return show(valid.get("valid_given_correct"), "percent"), show(valid.get("correct_given_valid"), "percent")
    (both, wrong), (unearned, _) = valid["table"]
    return _counted(both, both + unearned), _counted(both, both + wrong)


def _counted(hits: int, total: int) -> Shown:
    if not total:
        return Shown(refused="none to count")
    return Shown(figure(hits / total, "percent"), f"{hits:,} of {total:,}")


def _point(value: Any) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    numbers = bounds(value)
    return numbers[0] if numbers else None


def solved_by(comparison: dict[str, Any], table: list[Row]) -> dict[str, Row]:
    """Column of `solves` -> policy, for every policy whose items were recorded; of one name: told apart by id."""
    given = comparison.get("solves") or {}
    items, by_policy = given.get("items") or [], given.get("by_policy") or {}
    base = {row.policy["id"] for row in table if row.role == "base"}  # C1 is the base again, with samples of its own
    shown = [row for row in table if items and len(by_policy.get(row.policy["id"]) or []) == len(items)
             and not (row.role == "ceiling" and row.policy["id"] in base)]  # fmt: skip
    names = [row.name for row in shown]
    return {row.name if names.count(row.name) == 1 else f"{row.name} {row.policy['id']}": row for row in shown}


def solves(comparison: dict[str, Any], table: list[Row]) -> Series:
    """Share of samples that solve each item: one row an item, one column a policy; hardest for the base last."""
    policies = solved_by(comparison, table)
    if not policies:
        return []
    given = comparison["solves"]
    columns = {name: given["by_policy"][row.policy["id"]] for name, row in policies.items()}
    base = next((name for name, row in policies.items() if row.badge == "B0"), next(iter(columns)))
    total = [sum(column[i] or 0 for column in columns.values()) for i in range(len(given["items"]))]
    order = sorted(range(len(total)), key=lambda i: (-(columns[base][i] or 0), -total[i], i))
    return [{"item": given["items"][i]} | {name: column[i] for name, column in columns.items()} for i in order]


def solved_table(comparison: dict[str, Any], table: list[Row]) -> Series:
    """Per policy, against the bare base: items solved by both, by it only, by the base only, by neither."""
    by_policy = (comparison.get("solves") or {}).get("by_policy") or {}
    base = next((row for row in table if row.badge == "B0"), None)
    own = by_policy.get(base.policy["id"]) if base else None
    if base is None or not own:
        return []
    out = []
    for row in table:
        hers = by_policy.get(row.policy["id"])
        if row.policy["id"] == base.policy["id"] or not hers or len(hers) != len(own):
            continue
        pairs = [(bool(b), bool(m)) for b, m in zip(own, hers, strict=True) if b is not None and m is not None]
        both, only, lost = pairs.count((True, True)), pairs.count((False, True)), pairs.count((True, False))
        out.append(head(row) | {"both": both, "policy_only": only, "base_only": lost,
                                 "neither": pairs.count((False, False)), "items": len(pairs)})  # fmt: skip
    return out


def support_table(table: list[Row]) -> Series:
    """New and lost items against the base at K samples each, beside the null: two disjoint halves of the base's own."""
    out = []
    for row in table:
        support = row.policy.get("support") or {}
        if not support or row.role not in ("method", "placebo", "rival"):
            continue
        null = support.get("null") or {}
        line = {"row": row, "refused": refusal(support), "K": support.get("K")}
        line |= {name: support.get(name) for name in ("P", "E", "S")}
        out.append(line | {"E0": null.get("E"), "S0": null.get("S")})
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


def head(row: Row) -> dict[str, Any]:
    """The columns that every series begins with: who, in which role, how many items, samples and seeds, which class."""
    return {"policy": row.name, "label": row.label, "id": row.policy["id"], "role": row.role, "badge": row.badge,
            "depth": row.depth, "method": row.policy.get("method"), "class": row.data_class,
            "n_items": row.policy.get("n_items"), "n": row.policy.get("n"),
            "seeds": row.seeds}  # fmt: skip


def _triple(numbers: tuple[Any, Any, Any]) -> dict[str, Any]:
    return dict(zip(("point", "lo", "hi"), numbers, strict=True))


def _curve(row: Row, which: str) -> Series:
    curve = row.policy.get(which) or {}
    if refusal(curve) or any(not curve.get(name) for name in ("k", "point", "lo", "hi")):
        return []
    zipped = zip(curve["k"], curve["point"], curve["lo"], curve["hi"], strict=True)
    return [head(row) | {"k": k} | _triple((p, lo, hi)) for k, p, lo, hi in zipped if None not in (p, lo, hi)]
