"""Do two comparison files hold the same results? Everything but wording, times, paths and hashes is compared exactly.

    python benchmarks/same_comparison.py BEFORE/comparison.json AFTER/comparison.json [--tolerance 1e-6]

For a change that must not change a result: run an example before and after it on one machine and compare. Files of
an older schema are converted first. Prints every difference with its path;
the exit code is 1 if there is any.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from elicit.results import Comparison, read_comparison

WORDING = {"columns", "warnings", "notes"}
MACHINE = {"created", "provenance", "commands", "calibration", "run", "members"}
TIMES = ("cost/seconds", "cost/fit_seconds", "cost/peak_bytes")


def content(comparison: Comparison) -> dict[str, Any]:
    """The plain content without the fields that may differ."""
    plain = {key: value for key, value in asdict(comparison).items() if key not in WORDING | MACHINE}
    plain["checkpoint"] = {key: comparison.checkpoint.get(key) for key in ("id", "n_parameters", "dtype", "attention")}
    plain["lines"] = {}
    for line in comparison.lines:
        kept = {key: value for key, value in asdict(line).items() if key not in WORDING | MACHINE}
        kept["values"] = {
            key: {name: part for name, part in value.items() if name != "refused"}
            | {"is_refused": value["refused"] is not None}
            for key, value in kept["values"].items()
            if not key.startswith(TIMES)
        }
        plain["lines"][f"{line.role} {line.name} ({line.prompt})"] = kept
    return plain


def differences(before: Any, after: Any, tolerance: float = 0.0, path: str = "") -> Iterator[str]:
    """Every leaf that is not equal, as 'path: before -> after'; numbers may differ by `tolerance`."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from differences(before.get(key), after.get(key), tolerance, f"{path}/{key}")
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        for i, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, tolerance, f"{path}[{i}]")
    elif isinstance(before, float) and isinstance(after, float):
        if abs(before - after) > tolerance and not (before != before and after != after):  # a NaN equals a NaN here
            yield f"{path}: {before!r} -> {after!r}"
    elif before != after:
        yield f"{path}: {before!r} -> {after!r}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.0, help="largest difference of two equal numbers")
    chosen = parser.parse_args()
    before, after = (content(read_comparison(path)) for path in (chosen.before, chosen.after))
    lines = list(differences(before, after, chosen.tolerance))
    for line in lines[:200]:
        print(line)
    numbers = sum(len(line["values"]) for line in before["lines"].values())
    print(f"{len(before['lines'])} policies, {numbers} numbers: {len(lines)} differences")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
