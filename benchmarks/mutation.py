"""Mutation testing of the statistics, the verdict and the grading: which changes of the code does no test notice?

    make mutation sample=120 seed=0          a seeded sample of the mutants (two cores need hours for all: sample=0)

mutmut (https://mutmut.readthedocs.io) writes the mutants into `mutants/` and runs the tests that reach each of them;
its settings are in pyproject.toml. This script draws the sample, counts by file and shows every survivor as a diff. A
mutant that no test reaches counts as a survivor, one that runs into the time limit as killed. Exit code 1 if more than
`--limit` of the sample survive.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

KILLED = ("killed", "timeout", "segfault", "caught by type check")
OPEN = "not checked"
MUTMUT = str(Path(sys.executable).with_name("mutmut"))


def mutmut(*words: str) -> str:
    """The output of one mutmut command; its progress goes to the terminal for `run`."""
    silent = words[0] != "run"
    done = subprocess.run([MUTMUT, *words], text=True, stdout=subprocess.PIPE if silent else None, check=False)
    return done.stdout or ""


def statuses() -> dict[str, str]:
    """Status of every mutant by name."""
    rows = [line.strip().rpartition(": ") for line in mutmut("results", "--all", "true").splitlines()]
    return {name: status for name, _, status in rows if "__mutmut_" in name}


def module_of(name: str) -> str:
    """`elicit.tasks.grading.number.x_parse__mutmut_3` -> `elicit.tasks.grading.number`."""
    return name.partition("__mutmut_")[0].rpartition(".")[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=120, help="mutants to run; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of the module's name, such as significance")
    parser.add_argument("--children", type=int, default=2, help="processes at the same time")
    parser.add_argument("--limit", type=float, default=0.10, help="largest share of survivors")
    options = parser.parse_args()
    # 1) write the mutants and see which test reaches which: mutmut does both before it looks for the names asked for
    shutil.rmtree("mutants", ignore_errors=True)
    mutmut("run", "--max-children", str(options.children), "none.of.them")
    names = sorted(name for name in statuses() if options.only in module_of(name))
    if not names:
        print("mutmut wrote no mutants; its own message is above", file=sys.stderr)
        return 2
    # 2) draw and run
    drawn = random.Random(options.seed).sample(names, min(options.sample, len(names))) if options.sample else names
    mutmut("run", "--max-children", str(options.children), *sorted(drawn))
    # 3) count
    after = {name: status for name, status in statuses().items() if name in set(drawn)}
    survivors = [name for name, status in after.items() if status not in KILLED and status != OPEN]
    for name in survivors:
        print(mutmut("show", name))
    total, lived = (Counter(map(module_of, some)) for some in (after, survivors))
    for module, count in sorted(total.items()):
        print(f"{module:45} {count:5} mutants {lived[module]:4} survive")
    unchecked = sum(status == OPEN for status in after.values())
    share = len(survivors) / max(1, len(after) - unchecked)
    print(f"{len(after)} of {len(names)} mutants, seed {options.seed}: {len(survivors)} survive ({share:.1%}), "
          f"{unchecked} not checked")  # fmt: skip
    return int(share > options.limit or unchecked > 0)


if __name__ == "__main__":
    sys.exit(main())
