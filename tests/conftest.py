"""One thread for every test and for the processes that it starts.

The models here have a few thousand weights: more threads only wait for each other, on a busy machine for minutes, and
the last bits of a sum would depend on the number of cores. OMP_NUM_THREADS of the caller has precedence.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch
