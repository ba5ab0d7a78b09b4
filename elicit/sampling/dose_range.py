"""The strength of an edit as a range: which doses are as good as the best one, and from which one the model breaks.

    within noise   best - a <= 1.96 sqrt(var(best) + var(a)),  var(x) = p (1 - p) / (n + 2),  p = (n x + 1) / (n + 2)
    range          the doses next to each other, around the best one, that are within noise of it
    damage wall    the smallest dose whose KL from the unedited model reaches 1 nat per token

Accuracies are of n dev items each, the same items for all doses, so the rule is wider than a paired one; the added
success and failure (Agresti and Caffo, 2000) keep an accuracy of 1 from having no variance. A dose is chosen as the
argmax of a search on dev, and the argmax alone hides that half of the doses would have done. If no edit at all (dose 0)
is within noise of the best, nothing was found. Pure Python; knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

WALL = 1.0
"""nats per token: text of the unedited model has become e times less probable, token by token"""
Z = 1.96


@dataclass(frozen=True)
class DoseRange:
    """What a dose-response at one write position says."""

    write: str
    best: float
    """the strength with the best accuracy, the weakest of equals"""
    accuracy: float
    dev_items: int
    lo: float
    hi: float
    """the strengths between which every dose is within noise of the best"""
    zero_within: bool
    """no edit at all is within noise of the best"""
    wall: float | None
    """the smallest strength with a KL of `WALL` or more; None: none of those tried"""
    strongest: float

    @property
    def line(self) -> str:
        """One sentence for the terminal."""
        doses = f"strength {self.lo:g}" if self.lo == self.hi else f"strengths {self.lo:g} to {self.hi:g}"
        best = f"the best ({self.best:g}: {self.accuracy:.2f} on {self.dev_items} dev items)"
        wall = f"from {self.wall:g}" if self.wall is not None else f"none up to {self.strongest:g}"
        zero = "; so is no edit at all" if self.zero_within else ""
        return (
            f"{doses} at {self.write} within noise of {best}{zero}; damage wall (KL of {WALL:g} nat per token): {wall}"
        )

    def row(self, prefix: str) -> dict[str, Any]:
        """Its fields as a flat row for a log; a wall that was not reached is left out."""
        return {f"{prefix}/range/{name}": value for name, value in asdict(self).items() if value is not None}


def dose_range(rows: Sequence[Mapping[str, Any]], write: str) -> DoseRange | None:
    """From dose-response rows (write, strength, accuracy, kl, dev_items); None without a dose at this position."""
    chosen = sorted((row for row in rows if row["write"] == write), key=lambda row: abs(row["strength"]))
    doses = [row for row in chosen if row["strength"] != 0]
    if not doses:
        return None
    place = max(range(len(doses)), key=lambda i: (doses[i]["accuracy"], -i))
    best, items = doses[place], int(doses[place]["dev_items"])
    lo = hi = place
    while lo > 0 and within_noise(best["accuracy"], doses[lo - 1]["accuracy"], items):
        lo -= 1
    while hi + 1 < len(doses) and within_noise(best["accuracy"], doses[hi + 1]["accuracy"], items):
        hi += 1
    zero = [row for row in chosen if row["strength"] == 0]
    return DoseRange(
        write=write,
        best=best["strength"],
        accuracy=best["accuracy"],
        dev_items=items,
        lo=doses[lo]["strength"],
        hi=doses[hi]["strength"],
        zero_within=any(within_noise(best["accuracy"], row["accuracy"], items) for row in zero),
        wall=next((row["strength"] for row in doses if row["kl"] >= WALL), None),
        strongest=doses[-1]["strength"],
    )


def within_noise(best: float, accuracy: float, items: int) -> bool:
    """Whether an accuracy on `items` items is not clearly below the best one.

    >>> within_noise(1.0, 0.98, 48), within_noise(1.0, 0.5, 48)
    (True, False)
    """
    shares = [(items * share + 1) / (items + 2) for share in (best, accuracy)]
    spread = math.sqrt(sum(share * (1 - share) / (items + 2) for share in shares))
    return shares[0] - shares[1] <= Z * spread
