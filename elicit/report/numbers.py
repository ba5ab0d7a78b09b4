"""How a number is printed: point and interval, or the reason why there is none.

A number without an interval is not printed as a number, a refusal is never printed as 0, and an
unmeasured one says so. Knows the two shapes of comparison.json ({"point", "lo", "hi"} and
{"refused"}), not what they measure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["percent", "points", "ratio", "tokens", "nats"]

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
"""phrases that stand for a longer reason in a narrow cell"""


@dataclass(frozen=True)
class Shown:
    """One cell. Exactly one of `point` (then with `interval`) and `refused` is filled; neither: not measured."""

    point: str = ""
    interval: str = ""
    refused: str = ""

    @property
    def short(self) -> str:
        """The reason of a refusal in a few words."""
        for phrase in SHORT:
            if phrase in self.refused:
                return phrase
        named, _, rest = self.refused.partition(": ")
        reason = rest if rest and len(named) <= 2 else self.refused  # "C1: no samples ..." tells more than "C1"
        clause = reason.split(";")[0].split(":")[0].split("(")[0].split(",")[0].strip()
        return clause if len(clause) <= 26 else clause[:25] + "\u2026"

    @property
    def line(self) -> str:
        """The cell on one line."""
        if self.refused:
            return f"refused: {self.short}"
        return f"{self.point} {self.interval}".strip() if self.point else "\u2013"


def bounds(value: Any) -> tuple[float, float, float] | None:
    """(point, lo, hi) of an estimate, None where it was refused, not measured or came without an interval."""
    if not isinstance(value, dict) or "refused" in value:
        return None
    parts = tuple(value.get(name) for name in ("point", "lo", "hi"))
    if any(not isinstance(x, int | float) or not math.isfinite(x) for x in parts):
        return None
    return float(parts[0]), float(parts[1]), float(parts[2])  # type: ignore[arg-type]


def refusal(value: Any) -> str:
    """The reason of a refusal, or the empty string."""
    return str(value["refused"]) if isinstance(value, dict) and value.get("refused") else ""


def show(value: Any, unit: Unit) -> Shown:
    """A cell for an estimate or a refusal; a number that came without an interval is withheld, and the cell says so."""
    if value is None:
        return Shown()
    if reason := refusal(value):
        return Shown(refused=reason)
    numbers = bounds(value)
    if numbers is None:
        return Shown(refused="no interval")
    point, lo, hi = (figure(x, unit) for x in numbers)
    return Shown(point, f"[{lo}, {hi}]")


def figure(x: float, unit: Unit) -> str:
    """One number. Shares are percent, differences signed points, fractions of a gap two decimals.

    >>> figure(-0.0512, "points"), figure(0.87, "percent"), figure(1.0421, "ratio"), figure(0.07309, "nats")
    ('\u22125.1', '87.0', '1.04', '0.073')
    """
    text = {"percent": f"{100 * x:.1f}", "points": f"{100 * x:+.1f}", "ratio": f"{x:.2f}", "tokens": f"{x:,.0f}",
            "nats": f"{x:.3f}" if abs(x) < 1 else f"{x:.2f}"}[unit]  # fmt: skip
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "\u2212")


def plain(x: Any, digits: int = 3) -> str:
    """A cost or a count, which has no interval, to a few significant digits; a dash where it was not recorded."""
    if not isinstance(x, int | float) or isinstance(x, bool) or not math.isfinite(x):
        return "\u2013"
    if abs(x) >= 1000 or float(x).is_integer():
        return f"{x:,.0f}"
    return f"{x:.{digits}g}"


def share(x: Any) -> str:
    """A share of outcomes in percent, or a dash where it was not recorded."""
    return f"{100 * x:.1f}" if isinstance(x, int | float) and math.isfinite(x) else "\u2013"
