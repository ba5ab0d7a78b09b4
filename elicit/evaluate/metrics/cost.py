"""cost: tokens generated anywhere for an answer, auxiliary forwards apart, FLOPs, seconds, peak memory.

FLOPs are 2 x parameters x tokens (attention left out: below 5 % at these lengths); fitting is amortised
over Q = 1e2, 1e4, 1e6 answers by the seconds that it took. Peak memory is that of the process while it sampled:
on a CPU with everything it had held before, so an upper bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elicit.evaluate.measures.measure import Measures

AMORTISED = (100, 10_000, 1_000_000)


def cost(
    m: Measures, timings: Sequence[dict[str, Any]], parameters: int | None, fit_seconds: float | None
) -> dict[str, Any]:
    """Cost of one answer. None where it is not known (no timing file, parameters not given), never 0."""
    tokens, aux = float(np.nanmean(m.tokens_N_J)), float(np.nanmean(m.aux_N_J))
    sampled = sum(record["samples"] for record in timings)
    seconds = sum(record["seconds"] for record in timings) / sampled if sampled else None
    amortised = None
    if seconds is not None and fit_seconds is not None:
        amortised = {str(q): seconds + fit_seconds / q for q in AMORTISED}
    return {
        "tokens_per_answer": tokens,
        "aux_tokens_per_answer": aux,
        "flops_per_answer": None if parameters is None else 2.0 * parameters * (tokens + aux),
        "fit_seconds": fit_seconds,
        "seconds": seconds,
        "seconds_amortised": amortised,
        "peak_bytes": max((record["peak_bytes"] for record in timings if "peak_bytes" in record), default=None),
    }
