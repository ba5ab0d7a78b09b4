"""The time of the joint bootstrap against plain loops: same items, same number of draws.

    python benchmarks/bootstrap.py

1,319 items x 16 samples x 10,000 draws, base and method paired: clusters only (as `compare` does), with the
samples resampled inside items (binomial shortcut), one matrix product for 12 policies x 10 columns, and the
usual numpy loop over draws. Prints seconds and ratios; no pass or fail.
"""

from __future__ import annotations

import time

import numpy as np

from elicit.evaluate.statistics.resamples import DRAWS, Resamples

ITEMS, SAMPLES, LOOP_DRAWS = 1319, 16, 200


def seconds(work) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def loop(grades_P_N_J: np.ndarray, draws: int) -> None:
    """Draw items, draw samples inside each, one draw after the other."""
    rng = np.random.default_rng(0)
    items = np.arange(ITEMS)
    for _ in range(draws):
        taken = rng.choice(items, ITEMS)
        picks = rng.integers(0, SAMPLES, (ITEMS, SAMPLES))
        _ = [np.take_along_axis(grades[taken], picks, 1).mean() for grades in grades_P_N_J]


def main() -> None:
    rng = np.random.default_rng(0)
    grades = rng.random((2, ITEMS, SAMPLES)) < rng.random((1, ITEMS, 1))
    right = grades.sum(2)
    many = rng.random((ITEMS, 120))
    resamples = Resamples(np.arange(ITEMS))
    times = {
        "paired, clusters": seconds(lambda: resamples.means(right.T / SAMPLES)),
        "120 columns at once": seconds(lambda: resamples.means(many)),
    }
    times["numpy loop over draws (extrapolated)"] = seconds(lambda: loop(grades, LOOP_DRAWS)) * DRAWS / LOOP_DRAWS
    slowest = times["numpy loop over draws (extrapolated)"]
    print(f"{ITEMS} items x {SAMPLES} samples x {DRAWS} draws")
    for name, took in times.items():
        print(f"{name:40s} {took:8.2f} s   {slowest / took:6.0f} x")


if __name__ == "__main__":
    main()
