"""Support: which items are solved by whom at K samples (arXiv 2507.14843), with the null that it needs.

P solved by both, E by the method only, S by the base only; SRR = P/(P+S), NDR = E/(P+E),
NSCR = (E-S)/(P+E+S). Rerunning the *same* base makes some of its items look novel, so E0 and S0 come from
two disjoint halves of the base's samples, at K = n/2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measure import Measures


def support(method: Measures, base: Measures) -> dict[str, Any]:
    """Counts and rates at K = half of the base's samples, beside the base-against-itself null."""
    half = base.n // 2
    if half < 1 or method.n < half:
        return {
            "refused": f"{method.n} samples of the method, {base.n} of the base: at least half of the base's are needed"
        }
    first_N, second_N = solved(base, 0, half), solved(base, half, 2 * half)
    return {"K": half, **counts(solved(method, 0, half), first_N), "null": counts(second_N, first_N)}


def solved(m: Measures, start: int, stop: int) -> NDArray:
    """Whether any of these samples is right, by item."""
    return (m.strict_N_J[:, start:stop] == 1).any(1)


def counts(method_N: NDArray, base_N: NDArray) -> dict[str, Any]:
    """P, E, S and the three rates; a rate over nothing is None."""
    p, e, s = (int(np.sum(x)) for x in (method_N & base_N, method_N & ~base_N, ~method_N & base_N))
    return {"P": p, "E": e, "S": s, "SRR": _rate(p, p + s), "NDR": _rate(e, p + e), "NSCR": _rate(e - s, p + e + s)}


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None
