"""One number with its interval, or the reason why there is none; and a curve of them.

    Estimate(0.87, 0.82, 0.91)                       a measured number with its 95 % interval
    Estimate(38.2)                                   a cost or a count, which has no interval
    Estimate(refused="gap too small", point=0.01)    refused: raw numbers may stay for the record, never as a claim

A refusal is never 0 and an unknown interval is never empty. Plain data: knows no statistics and no file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Estimate:
    """A number of a comparison. Shares and fractions are in [0, 1], not percent."""

    point: float | None = None
    lo: float | None = None
    """95 % interval; None for costs and counts"""
    hi: float | None = None
    refused: str | None = None
    """why the number is not given; `point`, `lo` and `hi` may then hold raw values"""

    @property
    def bounds(self) -> tuple[float, float, float] | None:
        """(point, lo, hi) if the number may be claimed: not refused, with a finite interval."""
        if self.refused is not None or self.point is None or self.lo is None or self.hi is None:
            return None
        numbers = (self.point, self.lo, self.hi)
        return numbers if all(math.isfinite(x) for x in numbers) else None

    @property
    def number(self) -> float | None:
        """The point estimate; None if it was refused or is not finite."""
        if self.refused is not None or self.point is None or not math.isfinite(self.point):
            return None
        return self.point


@dataclass(frozen=True)
class Curve:
    """Estimates over k = 1, 2, 4, ... samples."""

    k: tuple[int, ...] = ()
    point: tuple[float, ...] = ()
    lo: tuple[float, ...] = ()
    hi: tuple[float, ...] = ()
    refused: str | None = None
    """why there is no curve; `k` and `point` may then hold raw values"""
    beside: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """further values by k without an interval, e.g. the share of tied votes"""

    @property
    def last(self) -> Estimate | None:
        """The estimate at the largest k; None for an empty curve."""
        if self.refused is not None:
            return Estimate(refused=self.refused)
        return Estimate(self.point[-1], self.lo[-1], self.hi[-1]) if self.k else None
