"""Mean of independent estimates that are known by their intervals only.

    theta = mean_i theta_i
    L = theta - sqrt(sum_i (theta_i - l_i)^2) / I        U = theta + sqrt(sum_i (u_i - theta_i)^2) / I

MOVER, Zou and Donner 2008 (doi 10.1002/sim.3095): each side is recovered from its own limits, so intervals of shares
near 0 or 1 keep their skew. For symmetric normal intervals it is the usual standard error. Knows nothing of what was
estimated; estimates that share items or seeds are not independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from elicit.results.estimate import Estimate


def mean_of_independent(estimates: Sequence[Estimate | None]) -> Estimate | None:
    """The mean with its 95 % interval; None without estimates, refused if one has no interval or was refused."""
    if not estimates:
        return None
    known = [value.bounds for value in estimates if value is not None and value.bounds is not None]
    if len(known) < len(estimates):
        return Estimate(refused=f"measured on {len(known)} of {len(estimates)}")
    count = len(known)
    point = sum(theta for theta, _, _ in known) / count
    below = math.sqrt(sum((theta - lo) ** 2 for theta, lo, _ in known)) / count
    above = math.sqrt(sum((hi - theta) ** 2 for theta, _, hi in known)) / count
    return Estimate(point, point - below, point + above)
