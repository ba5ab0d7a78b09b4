"""Print the counts per family, and every case that has no clear error.

PYTHONPATH=OTHER_CHECKOUT python -P tests/malformed/__main__.py       the same table against another version
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.malformed import cases, judged


def main() -> None:
    counts: dict[str, Counter[str]] = {}
    for case in cases():
        with tempfile.TemporaryDirectory() as folder:
            outcome, message = judged(case, Path(folder))
        counts.setdefault(case.family, Counter())[outcome] += 1
        if outcome != "clear":
            print(f"{outcome:10} {case.family} | {case.name} | {message[:300]!r}", file=sys.stderr)
    for family, found in counts.items():
        print(f"{family:20} {sum(found.values()):4} ", dict(found))
    print("all", sum(sum(found.values()) for found in counts.values()), dict(sum(counts.values(), Counter())))


if __name__ == "__main__":
    main()
