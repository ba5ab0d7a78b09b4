"""The table of `make bench` and its page, docs/benchmarks.md, from the results of the rows. Measures nothing."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.rows import ROWS, Line

HEAD = """# Speed compared with the peers

Written by `make bench` (`benchmarks/bench.py`). Every row is a script in `benchmarks/` that runs both sides in one
process on the same model, prompts and limits, in turn within each repeat. A ratio is the median of the ratios of the
repeats; the smallest and the largest are in brackets. Speeds are useful units (tokens, answers, activations, features)
per second: of processor time with one thread, of the clock with two. Targets were set before anything was measured.
A peer runs torch's own matrix products, as its program would load the model; this project's loops and passes run the
linear layers by oneDNN on processors where that is faster (`elicit/policy/products.py`; `model.products=torch` turns it
off).
"""
AGAIN = """
## Run it again
```
make bench                       # all rows that are not done; stop it and give it again at any time
make bench only=grading,rl_step  # some of them      again=true: also those that are done      list=true: their state
make bench quick=true            # tiny sizes, a minute a row: does everything run? its figures mean nothing
```
SAELens, Math-Verify and TRL are requirements of this package and run in `.venv` under its pins. lm-evaluation-harness
and optillm get an environment of their own each (`.venv-bench-lm_eval`, `.venv-bench-optillm`), which borrows torch and
transformers from `.venv`, so that both sides run on the same ones. optillm asks for transformers 5, but its
CoT-decoding is one file that needs none of its requirements, so it is installed without them. vLLM needs another
transformers and has its own environment (`make vllm`, built when its row is run). The real model is installed by
`elicit fetch smollm2-135m-instruct` (98 MB).

Not run: mh-llm (power sampling inside vLLM), because it patches vLLM's GPU runner. Its authors report 30 hours brought
under one on a B200 against the published code, for 500 prompts at once; the lines above are against that code
restated, on a CPU.
"""


GROWTH = """
## How cost grows
One number is doubled three times while the others stay; cost grows as number^exponent (1 is linear). The last doubling
shows it with the least of the fixed costs. Models are Llamas of random weights (`benchmarks/growth.py`).

"""
LIMITS = """
## Share of the physical limit
A decode step of one row has to read every weight once, so its limit is memory bandwidth (that of a large matrix-vector
product); 128 rows and a training pass are held against the rate of matrix products. Both limits are measured on the
same thread next to each run; attention is not counted.

"""
UPDATE = """
## Where an RL update of equal lengths spends its time
Seconds of processor time per update under cProfile, all weights of the organism (cProfile slows every Python call, so
the shares say more than the sums). Ours extends TRL's trainer; both write and differentiate the same number of tokens.

"""


def ratios(result: dict[str, Any], line: Line) -> list[float]:
    """The value of a line, once per repeat: a ratio of speeds, or a cost."""
    ours, theirs = (result["speeds"][arm]["runs"] for arm in (line.ours, line.theirs))
    values = [a / b for a, b in zip(ours, theirs, strict=True)]
    return [1 - value for value in values] if line.cost else values


def reached(value: float, line: Line) -> bool:
    return line.target is None or (value <= line.target if line.cost else value >= line.target)


def _shown(value: float, cost: bool) -> str:
    return f"{value:.1%}" if cost else f"{value:.3g}x"


def lines_of(results: dict[str, Any]) -> list[tuple[Line, dict[str, Any] | None]]:
    """All lines of the table with the results of their rows, None if there is none."""
    return [
        (line, result if result and {line.ours, line.theirs} <= set(result["speeds"]) else None)
        for row in ROWS
        for line in row.lines
        for result in [results.get(row.name)]
    ]


def cells(line: Line, result: dict[str, Any] | None) -> list[str]:
    """what, peer, ours, theirs, ratio, target, reached"""
    target = "–" if line.target is None else f"{'≤' if line.cost else '≥'} {_shown(line.target, line.cost)}"
    if result is None:
        return [line.what, line.peer, "", "", "not run yet", target, ""]
    values = ratios(result, line)
    median = statistics.median(values)
    version = result.get("versions", {}).get(line.package or "", "")
    ours, theirs = (f"{result['speeds'][arm]['median']:,.0f}" for arm in (line.ours, line.theirs))
    spread = f" [{_shown(min(values), line.cost)}, {_shown(max(values), line.cost)}]" if len(values) > 1 else ""
    verdict = "" if line.target is None else "yes" if reached(median, line) else "**no**"
    return [
        line.what,
        f"{line.peer} {version}".strip(),
        ours,
        theirs,
        _shown(median, line.cost) + spread,
        target,
        verdict,
    ]


def table(results: dict[str, Any]) -> str:
    """For a terminal."""
    rows = [cells(line, result) for line, result in lines_of(results)]
    rows.insert(0, ["what", "peer", "ours/s", "peer/s", "ratio or cost", "target", "reached"])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _markdown(rows: list[list[str]]) -> str:
    head, *rest = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rest]) + "\n"


def machine(results: dict[str, Any]) -> str:
    """Where it was measured; more than one machine is said."""
    facts = [result["machine"] for result in results.values()]
    names = sorted({f"{one['cpu']}, {one['cores']} cores, torch {one['torch']}, transformers {one['transformers']}"
                    for one in facts})  # fmt: skip
    busy = max((one.get("other processes, cores") or 0 for one in facts), default=0)
    note = "" if busy < 0.1 else f" **The machine was not idle**: other processes took up to {busy:.1f} cores."
    return f"\nMeasured on: {'; '.join(names)}.{note}\n\n"


def short(results: dict[str, Any]) -> str:
    """What falls short of its target, in words."""
    found = [
        f"* {line.what}: {_shown(median, line.cost)} against {line.peer}; target {_shown(line.target or 0, line.cost)}"
        f"{line.why and ': ' + line.why}."
        for line, result in lines_of(results)
        if result and not reached(median := statistics.median(ratios(result, line)), line)
    ]
    return "\n## What falls short\n" + ("\n".join(found) or "Nothing that was measured.") + "\n" if results else ""


def growth(result: dict[str, Any]) -> str:
    """Exponents and shares of the limits."""
    rows = [["stage", "number", "from", "to", "seconds", "exponent", "last doubling"]]
    for stage in ("sampling", "training", "comparing"):
        for name, one in result[stage].items():
            first, last = one["numbers"][0], one["numbers"][-1]
            span = f"{one['seconds'][0]:.2g} to {one['seconds'][-1]:.2g}"
            rows.append([stage, name, str(first), str(last), span, f"{one['exponent']:.2f}",
                         f"{one['exponent of the last doubling']:.2f}"])  # fmt: skip
    shares = [["model", "stage", "reached per second", "limit per second", "share"]]
    shares += [[one["model"], one["stage"], f"{one['per second']:.2e}", f"{one['limit']:.2e}", f"{one['share']:.0%}"]
               for one in result["limits"]]  # fmt: skip
    return GROWTH + _markdown(rows) + LIMITS + _markdown(shares)


def update_profile(result: dict[str, Any]) -> str:
    """The parts of an RL update, both trainers in one table."""
    arms = {"ours": "ours, fixed", "TRL": "stock TRL, fixed"}
    parts = list(result["profile"][arms["ours"]])
    rows = [["part", *arms]] + [
        [part, *(f"{result['profile'][arm][part]:.2f}" for arm in arms.values())] for part in parts
    ]
    return UPDATE + _markdown(rows)


def page(results: dict[str, Any]) -> str:
    rows = [["what", "peer", "ours / s", "peer / s", "ratio or cost", "target", "reached"]]
    rows += [cells(line, result) for line, result in lines_of(results)]
    more = growth(results["growth"]) if "growth" in results else ""
    if "profile" in results.get("rl_step", {}):
        more += update_profile(results["rl_step"])
    head = machine(results) if results else "\nNothing was measured yet.\n\n"
    return HEAD + head + _markdown(rows) + short(results) + more + AGAIN
