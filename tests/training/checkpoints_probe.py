"""A fit that kills its own process at the third update, run by `test_grpo_resume` in its own process."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from elicit.ledger import Ledger
from elicit.method import Context
from tests.training.test_grpo import METHODS, TASK, tiny_policy
from tests.training.test_grpo_resume import LONG


def run(folder: Path) -> None:
    def log(row: dict[str, Any]) -> None:
        if row.get("rl/step") == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    folder.mkdir(parents=True)
    method = replace(METHODS["vectors"], **LONG)
    method.fit(tiny_policy(), Ledger(TASK, "killed"), Context(np.random.default_rng(0), folder, lambda p, n: 0.0, log))


if __name__ == "__main__":
    import sys

    run(Path(sys.argv[1]))
