"""cost: tokens generated anywhere for an answer, auxiliary forwards apart, FLOPs, seconds, peak memory.

FLOPs are 2 x parameters x tokens (attention left out: below 5 % at these lengths); fitting is amortised
over Q = 1e2, 1e4, 1e6 answers by the seconds that it took. Of several training seeds every number is the mean, as
their accuracy is (seconds: of all their samples together), and memory is the largest. Peak memory is that of the
process while it sampled: on a CPU with everything it had held before, so an upper bound.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elicit.evaluate.measures.measure import Measures
from elicit.evaluate.metrics.metric import Lines, Metric, put
from elicit.evaluate.metrics.table import Table
from elicit.evaluate.store import SampleFolder, Timing
from elicit.results import Column

AMORTISED = (100, 10_000, 1_000_000)


def cost(
    seeds: Sequence[Measures],
    timed: Sequence[Timing],
    parameters: int | None,
    fits: Sequence[float | None],
) -> dict[str, float | None]:
    """Cost of one answer by its key in a line, the mean over the seeds. None if it is not known, never 0.

    timed: of the sample shards of all seeds.
    fits: seconds that fitting each seed took. Not known is what one of the seeds lacks (no timing, no parameters).
    """
    tokens, aux = (
        float(np.mean([np.nanmean(values_N_J) for values_N_J in of_seeds]))
        for of_seeds in ([m.tokens_N_J for m in seeds], [m.aux_N_J for m in seeds])
    )
    sampled = sum(shard.samples for shard in timed)
    seconds = sum(shard.seconds for shard in timed) / sampled if sampled else None
    known = [fit for fit in fits if fit is not None]
    fit_seconds = float(np.mean(known)) if known and len(known) == len(fits) else None
    amortised = {
        f"seconds_amortised/{answers}": seconds + fit_seconds / answers
        for answers in AMORTISED
        if seconds is not None and fit_seconds is not None
    }
    return {
        "tokens": tokens,
        "aux_tokens": aux,
        "flops": None if parameters is None else 2.0 * parameters * (tokens + aux),
        "fit_seconds": fit_seconds,
        "seconds": seconds,
        **amortised,
        "peak_bytes": max((shard.peak_bytes for shard in timed if shard.peak_bytes is not None), default=None),
    }


def _report(table: Table, lines: Lines) -> None:
    parameters = table.checkpoint.get("n_parameters")
    for arm, line in lines:
        by_seed = [SampleFolder(entry.samples).timings for entry in arm.entries]
        timed = [shard for shards in by_seed for shard in shards] if all(by_seed) else []
        costs = cost(arm.measures, timed, parameters, [entry.fit_seconds for entry in arm.entries])
        for name, number in costs.items():
            put(line, f"cost/{name}", number)


COST = Metric(
    "cost",
    (
        Column("cost/flops", "FLOPs per answer", "ratio", "2 x parameters x tokens", "figures"),
        Column("cost/seconds", "Seconds per answer", "ratio", "of sampling, in its batches", "figures"),
        Column(
            "cost/seconds_amortised/10000", "with fitting, Q=10,000", "ratio",
            "seconds per answer if 10,000 answers share the fit", "figures",
        ),
        Column("cost/peak_bytes", "Peak GB", "gigabytes", "memory of the process that sampled, at most", "figures"),
    ),
    report=_report,
)  # fmt: skip
