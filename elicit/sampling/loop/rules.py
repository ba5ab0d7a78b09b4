"""Rules that end a row while it is generated (`policy.decoding.StepRule`).

`ConfidenceCut` is the early stop of online DeepConf (arXiv 2508.15260): a path ends as `Finish.CUT` at the first
full window of tokens whose mean confidence lies below its job's threshold. The loop calls it when it tests for endings,
on scalars that are on the host then, so it costs no synchronisation per token; the cut is at exactly the token that
`confidence.first_below` returns, however many tokens lie between two tests. Knows nothing of votes, of the origin of
thresholds, or of models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elicit.errors import ConfigError
from elicit.sampling.confidence import first_below
from elicit.sampling.loop.pick import SCALARS

CONFIDENCE = SCALARS.index("confidences")
SLACK = 1e-9
"""windows this close to the threshold are checked again by `first_below`, which decides"""


@dataclass(frozen=True)
class ConfidenceCut:
    """Cut a path at its first window below a threshold. Windows that end on a forced token do not count."""

    thresholds: tuple[float, ...]
    """per job, in the order of the jobs of the run"""
    window: int = 32
    """tokens of a window; a shorter path is never cut"""

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ConfigError(f"window={self.window}: use 1 token or more")

    def cuts(
        self, jobs_S: NDArray[np.int64], begun_S: NDArray[np.int64], chunk: int, scalars_S_C_T: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Int64 [S]: the length that each row is cut at, 0 if it continues."""
        confidences_S_T = scalars_S_C_T[:, CONFIDENCE]
        cuts_S = np.zeros(len(jobs_S), dtype=np.int64)
        for row in np.nonzero(self._suspects(jobs_S, begun_S, chunk, confidences_S_T))[0].tolist():
            begun, threshold = int(begun_S[row]), self.thresholds[jobs_S[row]]
            first = max(0, begun + 1 - self.window)
            length = first_below(confidences_S_T[row, first : begun + chunk].tolist(), threshold, self.window)
            cuts_S[row] = first + length if length else 0
        return cuts_S

    def _suspects(
        self, jobs_S: NDArray[np.int64], begun_S: NDArray[np.int64], chunk: int, confidences_S_T: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Rows with a full window that ends in this chunk and is below the threshold, up to rounding."""
        bars_S = np.asarray(self.thresholds)[jobs_S] + SLACK
        back_W = np.arange(1 - self.window, 1)
        suspects_S = np.zeros(len(jobs_S), dtype=bool)
        for step in range(chunk):
            last_S = np.minimum(begun_S + step, confidences_S_T.shape[1] - 1)
            windows_S_W = np.take_along_axis(confidences_S_T, np.maximum(last_S[:, None] + back_W, 0), axis=1)
            suspects_S |= (last_S + 1 >= self.window) & (windows_S_W.mean(1) < bars_S)
        return suspects_S
