"""The time and the size of a large report: 20 policies x 600 items x 16 samples.

    python benchmarks/report.py [--out report]

A generated comparison of that size with its samples on disk (tests/report/example.py), rendered with figures, trace
browser, Markdown, HTML and LaTeX. Process time, so that other processes do not count. Target: below 30 s and 5 MB.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOUSE))

from elicit.files import write_json  # noqa: E402
from elicit.report import report  # noqa: E402
from elicit.results import read_comparison, write_comparison  # noqa: E402
from tests.report.example import on_disk  # noqa: E402

POLICIES, ITEMS, SAMPLES = 20, 600, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", help="write benchmarks/results/OUT.json")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as name:
        folder = on_disk(Path(name) / "runs", ITEMS, SAMPLES, copies=2)
        comparison = read_comparison(folder / "comparison.json")
        comparison.lines = comparison.lines[:POLICIES]
        write_comparison(comparison, folder / "comparison.json")
        began, wall = time.process_time(), time.perf_counter()
        page = report(folder / "comparison.json", Path(name) / "report")
        seconds, wall = time.process_time() - began, time.perf_counter() - wall
        sizes = {path.name: path.stat().st_size for path in page.parent.glob("*.html")}
    measured = {"policies": POLICIES, "items": ITEMS, "samples": SAMPLES, "process_seconds": round(seconds, 2),
             "wall_seconds": round(wall, 2), "bytes": sizes, "python": platform.python_version()}  # fmt: skip
    print(json.dumps(measured, indent=1))
    if out:
        write_json(HOUSE / "benchmarks" / "results" / f"{out}.json", {"title": "Rendering a large report", **measured})


if __name__ == "__main__":
    main()
