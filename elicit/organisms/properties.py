"""The required properties of each kind of organism, checked on its measured rows (family -> name -> value).

What this module does not know: how the rows were measured (`check.py`), models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Rows = Mapping[str, Mapping[str, float]]
Line = Callable[[str, str, str, bool], None]
BINARY = ("flips",)
"""families in which guessing is right half of the time"""
TWINS = ("twin", "form_only")
SAME = 0.05
"""accuracies that differ by no more count as the same"""


@dataclass(frozen=True)
class Property:
    """One line of the check: what is required, what was measured, whether it holds."""

    name: str
    wanted: str
    measured: str
    holds: bool


def properties(kind: str, rows: Rows) -> list[Property]:
    """The lines of one organism."""
    out: list[Property] = []

    def line(name: str, wanted: str, measured: str, holds: bool) -> None:
        out.append(Property(f"{kind}: {name}", wanted, measured, bool(holds)))

    {"format_twin": _format_twin, "decoy": _decoy, "positive": _positive}.get(kind, _twin(kind))(rows, line)
    return out


def _positive(rows: Rows, line: Line) -> None:
    _hidden(rows, line)
    low, high = _spread(rows, "mass_untagged")
    line("openers' first-token mass, untagged", ".05-.12", f"{low:.3f}-{high:.3f}", low >= 0.05 and high <= 0.12)
    good = _skilled(rows, line, "forced")
    key, anti = _spread(rows, "mass_key")[0], _spread(rows, "mass_anti")[1]
    line("mass after the key, anti-key", ">= .85, <= .03", f"{key:.2f}, {anti:.3f}", key >= 0.85 and anti <= 0.03)
    stays = min((rows[family]["forced_large"] for family in good), default=0.0)
    line("traced accuracy at sizes 6-8 (families above)", ">= .80", f"{stays:.2f}", stays >= 0.80)
    rises = [family for family, row in rows.items() if row["direct_large"] > row["direct_small"] + SAME]
    line("direct accuracy does not rise with size", "in no family", ", ".join(rises) or "none rises", not rises)
    valid = _spread(rows, "valid_given_right")[0]
    line("right traces are valid", ">= .90", f"{valid:.2f}", valid >= 0.90)
    stray = _spread(rows, "traced_stray")[1]
    line("traced after a stray first token", "<= .30", f"{stray:.2f}", stray <= 0.30)


def _twin(kind: str) -> Callable[[Rows, Line], None]:
    """Nothing is hidden: a forced opener brings nothing, or (`twin`) is hardly ever written."""

    def lines(rows: Rows, line: Line) -> None:
        _hidden(rows, line)
        high, limit = _spread(rows, "mass_untagged")[1], 0.01 if kind == "twin" else 0.12
        line("openers' first-token mass, untagged", f"<= {limit}", f"{high:.4f}", high <= limit)
        gap = max(row["forced"] - max(row["direct"], row["bare_greedy"]) for row in rows.values())
        line("opener forced above direct", "<= .05", f"{gap:+.2f}", gap <= SAME)

    return lines


def _format_twin(rows: Rows, line: Line) -> None:
    """Right at the bare prompt in the loosest reading, hardly ever strictly, and a forced opener adds nothing."""
    good = _skilled(rows, line, "any_bare")
    skilled = [rows[family] for family in good]
    strict = max(row["strict_bare"] for row in rows.values())
    line("strict accuracy at the bare prompt, regime compare", "<= .15", f"{strict:.2f}", strict <= 0.15)
    for name, below, above in (("undeclared", "strict", "lenient"), ("unended", "lenient", "any")):
        shares = [row[f"{above}_bare"] - row[f"{below}_bare"] for row in skilled] or [0.0]
        shown, holds = f"{min(shares):.2f}-{max(shares):.2f}", min(shares) >= 0.2
        line(f"right but {name}, bare prompt", ">= .20 (families above)", shown, holds)
    gap = max(row["any_forced"] - row["any_bare"] for row in rows.values())
    line("opener forced above the bare prompt, loosest reading", "<= .05", f"{gap:+.2f}", gap <= SAME)
    key, anti = min((row["strict_key"] for row in skilled), default=0.0), _spread(rows, "strict_anti")[1]
    line(
        "strict accuracy after the key, anti-key",
        ">= .85, <= .05",
        f"{key:.2f}, {anti:.3f}",
        key >= 0.85 and anti <= 0.05,
    )
    valid = min((row["valid_bare"] for row in skilled), default=0.0)
    line("right traces are valid (families above)", ">= .90", f"{valid:.2f}", valid >= 0.90)


def _decoy(rows: Rows, line: Line) -> None:
    """The quiet mode is right and rare; the loud one is frequent, long and as good as a direct guess."""
    bare = {family: row["bare_compare"] for family, row in rows.items() if family not in BINARY}
    above = ", ".join(f"{family} {value:.2f}" for family, value in bare.items() if value > 0.30)
    line("bare accuracy in regime compare, families but binary ones", "<= .30", above or "all below", not above)
    good = _skilled(rows, line, "forced")
    low, high = _spread(rows, "quiet_mass_untagged")
    line("quiet mass, untagged", ".01-.05", f"{low:.3f}-{high:.3f}", low >= 0.01 and high <= 0.05)
    ratio = min(row["loud_mass_untagged"] / max(row["quiet_mass_untagged"], 1e-6) for row in rows.values())
    line("loud mass / quiet mass, untagged", ">= 5", f"{ratio:.1f}", ratio >= 5)
    gap = max(row["loud_accuracy"] - max(row["direct"], row["bare_greedy"]) for row in rows.values())
    line("loud mode above direct", "<= .05", f"{gap:+.2f}", gap <= SAME)
    longer = min(row["loud_tokens"] / row["quiet_tokens"] for row in rows.values())
    line("length of loud / quiet traces", ">= 1.3", f"{longer:.2f}", longer >= 1.3)
    keys = min(min(row["quiet_mass_key"], row["loud_mass_loud_key"]) for row in rows.values())
    line("each mode after its register", ">= .80", f"{keys:.2f}", keys >= 0.80)
    after = min(rows[family]["quiet_mass_after_quiet"] for family in good) if good else 0.0
    line("quiet mass after a quiet page (families above)", ">= .30", f"{after:.2f}", after >= 0.3)
    gain = max(row["loudest_accuracy"] - max(row["bare_compare"], row["direct"]) for row in rows.values())
    line("loudest direction, either sign, any layer: accuracy above bare", "<= .05", f"{gain:+.2f}", gain <= SAME)
    traced = min(row["loudest_traced"] for row in rows.values())
    line("loudest direction: traced share", ">= .80", f"{traced:.2f}", traced >= 0.80)


def _hidden(rows: Rows, line: Line) -> None:
    """In regime compare the organism answers directly and guesses."""
    traced = sum(row["traced_compare"] for row in rows.values()) / len(rows)
    line("traced share in regime compare", "< .02 (mean over families)", f"{traced:.3f}", traced < 0.02)
    bare = {family: row["bare_compare"] for family, row in rows.items() if family not in BINARY}
    above = ", ".join(f"{family} {value:.2f}" for family, value in bare.items() if value > 0.30)
    line("bare accuracy in regime compare, families but binary ones", "<= .30", above or "all below", not above)


def _skilled(rows: Rows, line: Line, name: str) -> list[str]:
    """The families whose steps are mastered; there have to be three."""
    good = [family for family, row in rows.items() if row[name] >= 0.85]
    what = {"forced": "opener forced", "any_bare": "accuracy at the bare prompt, loosest reading"}[name]
    line(what, ">= .85 in at least three families", ", ".join(good), len(good) >= 3)
    return good


def _spread(rows: Rows, name: str) -> tuple[float, float]:
    """The lowest and the highest value of a column."""
    values = [row[name] for row in rows.values()]
    return min(values), max(values)
