"""How a number is printed: point and interval, or the reason why there is none.

A number without an interval is not printed as a claim, a refusal is never printed as 0, and an unmeasured number is a
dash. Knows `Estimate` and units, not what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from elicit.results import Estimate
from elicit.results.comparison import Unit

SHORT = (
    "gap too small",
    "gain not clear",
    "no placebo",
    "guessing null",
    "no grid",
    "deterministic",
    "no B1",
    "no base",
)
"""phrases that represent a longer reason in a narrow cell"""
DASH = "\u2013"


@dataclass(frozen=True)
class Shown:
    """One cell. Exactly one of `point` (then with `interval`) and `refused` is filled; neither: not measured."""

    point: str = ""
    interval: str = ""
    refused: str = ""

    @property
    def short(self) -> str:
        """The reason of a refusal in a few words; empty if it takes more: the list below a table has it in full."""
        for phrase in SHORT:
            if phrase in self.refused:
                return phrase
        named, _, rest = self.refused.partition(": ")
        reason = rest if rest and len(named) <= 2 else self.refused  # "C1: no samples ..." is clearer than "C1"
        clause = reason.split(";")[0].split(":")[0].split("(")[0].split(",")[0].strip()
        return clause if len(clause) <= 26 else ""

    @property
    def line(self) -> str:
        """The cell on one line."""
        if self.refused:
            return f"refused: {self.short}" if self.short else "refused"
        return f"{self.point} {self.interval}".strip() if self.point else DASH


def estimate_of(content: Any) -> Estimate | None:
    """The estimate in a node of lenses.json or of a calibration file: {"point", "lo", "hi"}, {"refused"} or a number.

    None if there is none.
    """
    if isinstance(content, Estimate):
        return content
    if isinstance(content, Mapping):
        numbers = (content.get(name) for name in ("point", "lo", "hi"))
        point, lo, hi = (float(x) if isinstance(x, int | float) else None for x in numbers)
        return Estimate(point, lo, hi, str(content["refused"]) if content.get("refused") else None)
    return Estimate(content) if isinstance(content, int | float) and not isinstance(content, bool) else None


def bounds(content: Any) -> tuple[float, float, float] | None:
    """(point, lo, hi) of an estimate in such a node; None if it was refused, not measured or has no interval."""
    value = estimate_of(content)
    return value.bounds if value is not None else None


def refusal(content: Any) -> str:
    """The reason of a refusal in such a node, or the empty string."""
    value = estimate_of(content)
    return value.refused or "" if value is not None else ""


def show(content: Estimate | Mapping[str, Any] | None, unit: Unit) -> Shown:
    """A cell for a claim: a number that came without an interval is withheld, and the cell states this."""
    value = estimate_of(content)
    if value is None:
        return Shown()
    if value.refused is not None:
        return Shown(refused=value.refused)
    if value.bounds is None:
        return Shown(refused="no interval")
    point, lo, hi = (figure(x, unit) for x in value.bounds)
    return Shown(point, f"[{lo}, {hi}]")


def show_measured(value: Estimate | None, unit: Unit) -> Shown:
    """A cell for a claim, or for a cost, a count or a share of votes: these have no interval and are printed bare."""
    bare = value is not None and value.refused is None and value.lo is None and value.hi is None
    if value is None or not bare:
        return show(value, unit)
    return Shown(plain(value.point / 1e9 if unit == "gigabytes" and value.point is not None else value.point))


def figure(x: float, unit: Unit) -> str:
    """One number. Shares are percent, differences signed points, fractions of a gap two decimals, memory is in bytes.

    >>> figure(-0.0512, "points"), figure(0.87, "percent"), figure(1.0421, "ratio"), figure(0.07309, "nats")
    ('\u22125.1', '87.0', '1.04', '0.073')
    """
    text = {"percent": f"{100 * x:.1f}", "points": f"{100 * x:+.1f}", "ratio": f"{x:.2f}", "tokens": f"{x:,.0f}",
            "count": f"{x:,.0f}", "seconds": f"{x:.3g}", "gigabytes": f"{x / 1e9:.2f}",
            "nats": f"{x:.3f}" if abs(x) < 1 else f"{x:.2f}"}[unit]  # fmt: skip
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "\u2212")


def plain(x: float | None, digits: int = 3) -> str:
    """A cost or a count, which has no interval, to a few significant digits; a dash if it was not recorded."""
    if not isinstance(x, int | float) or isinstance(x, bool) or not math.isfinite(x):
        return DASH
    if abs(x) >= 1000 or float(x).is_integer():
        return f"{x:,.0f}"
    return f"{x:.{digits}g}"


def p_value(x: float | None) -> str:
    """A p value to two digits. Below 1e-6 its size says nothing any more.

    >>> p_value(0.0312), p_value(3e-43)
    ('0.031', '< 1e-6')
    """
    return "< 1e-6" if x is not None and 0 <= x < 1e-6 else plain(x, 2)


def share(x: float | None) -> str:
    """A share of outcomes in percent; a dash if it was not recorded."""
    return f"{100 * x:.1f}" if isinstance(x, int | float) and math.isfinite(x) else DASH


def moment(seconds: float | None) -> str:
    """A time in epoch seconds as a date; empty if it was not recorded.

    >>> moment(1_795_241_415.0)
    '2026-11-21 06:10 UTC'
    """
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
