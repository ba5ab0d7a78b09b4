"""accuracy: (1/N) sum_i c_i/n_i, strict; lenient beside it. Their difference is the format share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.measures.measure import UNGRADED, Measures


def accuracy(m: Measures, lenient: bool = False) -> NDArray:
    """c_i/n_i by item; nan where every sample of an item is ungraded (unknown, not wrong)."""
    known_N_J = m.strict_N_J != UNGRADED
    if lenient:
        known_N_J = known_N_J & (m.lenient_N_J != UNGRADED)
    grades_N_J, known_N = m.lenient_N_J if lenient else m.strict_N_J, known_N_J.sum(1)
    right_N = ((grades_N_J == 1) & known_N_J).sum(1)
    return np.where(known_N > 0, right_N / np.maximum(known_N, 1), np.nan)
