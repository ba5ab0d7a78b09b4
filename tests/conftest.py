"""What makes the verdict of the tests the same on every machine.

Threads: one for every test and for the processes that it starts. The models here have a few thousand weights, so more
threads only wait for each other, on a busy machine for minutes, and the last bits of a sum would depend on the number
of cores. OMP_NUM_THREADS of the caller has precedence.
Hypothesis: no deadline, which a slow machine would miss, and the same examples in every run. New examples are searched
for with `pytest --hypothesis-profile=default`.
"""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")
