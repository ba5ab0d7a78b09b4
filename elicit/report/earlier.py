"""A line and a comparison in the words of schema 1, for figures that do not read `Line` yet; then delete this file."""

from __future__ import annotations

from typing import Any

from elicit.results import Comparison, Curve, Estimate, Line

COUNTS = ("valid_right", "valid_wrong", "invalid_right", "invalid_wrong")


def policy_of(line: Line, ceiling: Estimate | None) -> dict[str, Any]:
    """What figures read of a policy of schema 1; estimates stay `Estimate`s."""
    return {
        "id": line.id, "name": line.name, "role": line.role, "method": line.method, "parent": line.parent,
        "prompt": line.prompt, "n_items": line.n_items, "n": line.n, "run": line.run, "ledger": line.ledger,
        "members": [{"run": member.run} for member in line.members], "ceiling": ceiling,
        "acc": line.get("acc/strict"), "gain": line.under("gain"), "ef": line.under("ef"),
        "cov": _curve(line.curves.get("cov")), "maj": _curve(line.curves.get("maj")),
        "cost": {"tokens_per_answer": line.number("cost/tokens")}, "valid": _validity(line), "support": _support(line),
    }  # fmt: skip


def comparison_of(comparison: Comparison) -> dict[str, Any]:
    """What figures read of a comparison of schema 1."""
    solves = comparison.solves
    return {
        "ceilings": comparison.ceilings,
        "solves": {"items": list(solves.items), "by_policy": dict(solves.by_policy)} if solves.items else {},
    }


def _curve(curve: Curve | None) -> Any:
    if curve is None or curve.refused is not None:
        return None if curve is None else Estimate(refused=curve.refused)
    return {"k": curve.k, "point": curve.point, "lo": curve.lo, "hi": curve.hi}


def _validity(line: Line) -> dict[str, Any]:
    known = line.under("valid")
    out: dict[str, Any] = {key: value.number if value.lo is None else value for key, value in known.items()}
    if "n/valid_right" in known:
        counts = [int(known[f"n/{name}"].point or 0) for name in COUNTS]
        out["table"] = [counts[:2], counts[2:]]
    return out


def _support(line: Line) -> Any:
    known = line.under("support")
    whole = known.get("SRR")
    if whole is not None and whole.refused is not None and "K" not in known:
        return {"refused": whole.refused}
    return (
        {key: known[key].number for key in ("K", "P", "E", "S") if key in known}
        | {"null": {key: known[f"null/{key}"].number for key in ("E", "S") if f"null/{key}" in known}}
        if known
        else {}
    )
