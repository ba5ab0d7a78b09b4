"""Tables of counts: which items are solved by whom, new and lost items at K samples, valid traces among right answers.

Counts describe the samples that were drawn and have no interval of their own. Recomputes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elicit.report.numbers import Shown, figure, plain, show
from elicit.report.rows import FITTED, TableRow
from elicit.results import Solves

CURVED = ("base", "prompt", "method")
"""roles whose coverage curve the report draws"""


@dataclass(frozen=True)
class SolvedRow:
    """Items solved at least once by a policy, by the base, by both or by neither."""

    row: TableRow
    both: int
    policy_only: int
    base_only: int
    neither: int
    n_items: int


def solved_table(solves: Solves, table: Sequence[TableRow]) -> list[SolvedRow]:
    """One row per policy whose items were recorded, against the base."""
    base = next((row for row in table if row.badge == "B0"), None)
    by_base = solves.by_policy.get(base.line.id) if base is not None else None
    if base is None or not by_base:
        return []
    out = []
    for row in table:
        shares = solves.by_policy.get(row.line.id, ())
        if row.line.id == base.line.id or len(shares) != len(by_base):
            continue
        # an item without a graded sample counts for neither
        known = [(b > 0, m > 0) for b, m in zip(by_base, shares, strict=True) if b is not None and m is not None]
        both, only, lost, neither = map(known.count, ((True, True), (False, True), (True, False), (False, False)))
        out.append(SolvedRow(row, both, only, lost, neither, len(known)))
    return out


@dataclass(frozen=True)
class SupportRow:
    """New and lost items of a policy against the base at K samples each."""

    row: TableRow
    refused: str
    counts: list[float | None]
    """K, both, new, new between two halves of the base's samples, lost, lost between the halves"""


def support_table(table: Sequence[TableRow]) -> list[SupportRow]:
    """One row per fitted policy, next to the null: two disjoint halves of the base's own samples."""
    out = []
    for row in table:
        values = row.line.under("support")
        if not values or row.role not in FITTED:
            continue
        reason = next((value.refused for value in values.values() if value.refused), "") if "K" not in values else ""
        counts = [row.line.number(f"support/{key}") for key in ("K", "P", "E", "null/E", "S", "null/S")]
        out.append(SupportRow(row, reason or "", counts))
    return out


def escalated(table: Sequence[TableRow]) -> list[str]:
    """One sentence per method whose new items the base was asked more often (`elicit escalate`)."""
    out = []
    for row in table:
        total = {key: value.number for key, value in row.line.under("support/escalation").items()}
        if not total.get("E"):
            continue
        bound = total.get("upper_bound")
        below = "" if bound is None else f", each with a rate below {figure(bound, 'percent')} % (95 % bound)"
        out.append(
            f"{row.name}: {plain(total['E'])} items were solved by it and by no sample of the base. Asked more often "
            f"at temperature 1, the base solves {plain(total.get('solved_by_base'))} of them; "
            f"{plain(total.get('unsolved'))} stay unsolved{below}."
        )
    return out


def validity_table(table: Sequence[TableRow]) -> list[tuple[TableRow, tuple[Shown, Shown]]]:
    """Row, P(valid | right) and P(right | valid): as counts of samples if these are known, else with its interval."""
    out = []
    for row in table:
        values = row.line.under("valid")
        if "n/valid_right" in values:
            both, wrong, unearned = (
                int(row.line.number(f"valid/n/{key}") or 0) for key in ("valid_right", "valid_wrong", "invalid_right")
            )
            out.append((row, (_counted(both, both + unearned), _counted(both, both + wrong))))
        elif values:
            first, second = (show(values.get(key), "percent") for key in ("valid_given_correct", "correct_given_valid"))
            out.append((row, (first, second)))
    return out


def _counted(hits: int, total: int) -> Shown:
    if not total:
        return Shown(refused="none to count")
    return Shown(figure(hits / total, "percent"), f"{hits:,} of {total:,}")


def refused_coverage(table: Sequence[TableRow]) -> list[str]:
    """'name: reason' for every base rung and method whose coverage curve was refused."""
    curves = [(row, row.line.curves.get("cov")) for row in table if row.role in CURVED]
    return [f"{row.name}: {curve.refused}" for row, curve in curves if curve is not None and curve.refused]
