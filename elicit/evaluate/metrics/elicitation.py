"""EF, the elicitation fraction: (acc_m - acc_b) / (acc_c - acc_b). How much of the gap was brought out.

Never clipped, never absolute-valued: below 0 is harm, above 1 is more than the ceiling said. Where the gap
itself is not clear the ratio is noise, so it is refused and the raw differences are printed instead.
"""

from __future__ import annotations

from elicit.evaluate.statistics.resamples import Estimate, Mean, Resamples, refusal, refused

SMALLEST_GAP = 0.05


def elicitation_fraction(resamples: Resamples, method: Mean, base: Mean, ceiling: Mean) -> Estimate:
    """EF with its joint interval; refused where the gap's lower 95 % bound is below max(5 points, 2 SE)."""
    gap = resamples.difference(ceiling, base)
    if refused(gap):
        return gap
    floor = max(SMALLEST_GAP, 2 * float((ceiling[1] - base[1]).std(ddof=1)))
    if gap["lo"] < floor:
        text = f"gap too small: {gap['point']:.3f} [{gap['lo']:.3f}, {gap['hi']:.3f}], lower bound under {floor:.3f}"
        return refusal(text, gap=gap, gain=resamples.difference(method, base))
    draws = (method[1] - base[1]) / (ceiling[1] - base[1])
    return resamples.interval((method[0] - base[0]) / (ceiling[0] - base[0]), draws)
