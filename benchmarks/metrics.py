"""All metrics that need no model, over 20 policies x 600 items x 16 samples: seconds and memory.

    python benchmarks/metrics.py [--policies 20] [--items 600] [--n 16] [--draws 10000] [--out metrics]

Writes sample and grade shards of simulated policies (not timed), then times `compare` on them: reading, measuring,
joint bootstrap, curves, controls, support, tests, traces, report tables. Target: under 60 s and under 4 GB.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from elicit.evaluate.comparison.compare import CompareConfig, compare
from elicit.evaluate.entry import Entry
from tests.evaluate.simulated import CHECKPOINT, LEDGER, SimulatedTask, items, rates, store


def entries_of(root: Path, count: int, test_items: list, n: int) -> list[Entry]:
    """Base, C4, C1, and methods with two placebos each, until there are `count` policies."""
    made: list[Entry] = []

    def add(role: str, name: str, mean: float, regime: str = "compare", samples: int = n, **more) -> None:
        folders = store(
            root, f"p{len(made)}", test_items, rates(test_items, mean, seed=len(made)), samples, regime, trace=0.5
        )
        made.append(Entry(role, name, f"p{len(made)}", *folders, data_class="V", ledger=LEDGER, **more))

    add("base", "base", 0.2)
    add("ceiling", "C4", 0.95)
    while len(made) < count:
        method = f"m{len(made)}"
        add("method", method, 0.5, arm=method, seed=1)
        for twin in ("a", "b"):
            if len(made) < count:
                add("placebo", f"{method}/{twin}", 0.25, arm=f"{method}{twin}", seed=1, parent=method)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("policies", 20), ("items", 600), ("n", 16), ("draws", 10_000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--out")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, test_items = Path(folder), items(args.items)
        made = entries_of(root, args.policies, test_items, args.n)
        config = CompareConfig("benchmark", draws=args.draws)
        wall, process = time.perf_counter(), time.process_time()
        out = compare(made, test_items, root / "out", SimulatedTask(), config, CHECKPOINT)  # type: ignore[arg-type]
        facts = {
            "policies": len(out.lines), "items": args.items, "n": args.n, "draws": args.draws,
            "seconds": time.perf_counter() - wall, "process_seconds": time.process_time() - process,
            "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        }  # fmt: skip
    from benchmarks.common import report  # imported late: the memory of torch is not that of the metrics

    report("metrics", {}, facts, args.out)


if __name__ == "__main__":
    main()
