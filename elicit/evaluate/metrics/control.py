"""Control-adjusted gain: acc_m - max(acc_b, strongest placebo), the maximum taken inside every draw.

A mean over placebos would reward destructive ones; a maximum chosen once would forget that it was chosen.
Specificity, 1 - placebo gain / gain, is given only where the gain over the base excludes 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from elicit.evaluate.statistics.resamples import Estimate, Mean, Resamples, refusal, refused


def control_adjusted(resamples: Resamples, method: Mean, base: Mean, placebos: Mapping[str, Mean]) -> Estimate:
    """{"gain", "specificity", "strongest"}, or a refusal where no placebo was run."""
    if not placebos:
        return refusal("no placebo was run")
    strongest = max(placebos, key=lambda name: placebos[name][0])
    placebo_B = np.max([draws for _, draws in placebos.values()], axis=0)
    bar = max(base[0], placebos[strongest][0])
    gain = resamples.interval(method[0] - bar, method[1] - np.maximum(base[1], placebo_B))
    return {
        "gain": gain,
        "specificity": _specificity(resamples, method, base, (placebos[strongest][0], placebo_B)),
        "strongest": strongest,
    }


def _specificity(resamples: Resamples, method: Mean, base: Mean, placebo: Mean) -> Estimate:
    gain = resamples.difference(method, base)
    if refused(gain):
        return gain
    if gain["lo"] <= 0 <= gain["hi"]:
        return refusal("the gain is not clear", gain=gain)
    gain_B = method[1] - base[1]
    same_B = gain_B * np.sign(gain["point"]) > 0  # all but the less than 2.5 % of draws beyond 0
    draws = 1 - (placebo[1] - base[1])[same_B] / gain_B[same_B]
    return resamples.interval(1 - (placebo[0] - base[0]) / gain["point"], draws)
