"""Everything a template may use, made from a comparison that went through `rows.load`.

`c` is the comparison itself, inert; `rows` its policies in the order of the scorecard; the rest is named in `view`.
Knows no file format and draws nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from elicit.report import numbers, sources
from elicit.report.pages import calibration, details
from elicit.report.rows import Row, reasons, used_columns
from elicit.report.verdict import MARGIN, headline_ef, verdicts, word

TRACES = 20
"""pairs of traces shown in a report"""


def view(comparison: dict[str, Any], table: list[Row], out: Path) -> dict[str, Any]:
    """The names that templates use, besides figures and their tables, notes and what a special template adds."""
    columns = used_columns(table)
    config_names, differences = sources.config_differences(comparison, Path.cwd())
    methods = method_names(comparison)
    return {
        "c": comparison, "rows": table, "columns": columns, "word": word, "verdicts": verdicts(comparison),
        "refusals": reasons(table, columns), "one_seed": any(r.seeds == 1 for r in table if r.role == "method"),
        "split": details.split_table(table), "distance": details.distance_table(table),
        "further": details.further_table(table), "other_figures": details.figures_table(table),
        "pairs": pairs(comparison, table), "headline": headline_ef,
        "tests": [r for r in table if r.policy.get("p")], "endings": endings(table),
        "traces": chosen(list(comparison.get("traces") or [])), "n_traces": len(comparison.get("traces") or []),
        "calibration": calibration.tables(comparison.get("calibration")), "warnings": warnings(comparison, table),
        "config_names": config_names, "differences": differences,
        "provenance": sorted(sources.flat(comparison.get("provenance") or {}).items()),
        "commands": list(comparison.get("commands") or []), "references": sources.references(methods),
        "link": lambda row: run_link(row.policy.get("run"), out), "show": numbers.show, "plain": numbers.plain,
        "share": numbers.share, "is_base": bool((comparison.get("checkpoint") or {}).get("base_model", True)),
    }  # fmt: skip


def method_names(comparison: Mapping[str, Any]) -> list[str]:
    """The methods of a comparison and the names they go by: what references are chosen for."""
    names = {str(p[key]) for p in comparison["policies"] for key in ("method", "name") if p.get(key)}
    return sorted(names)


def pairs(comparison: dict[str, Any], table: list[Row]) -> list[dict[str, Any]]:
    """Paired differences of every two methods: their rows and the cell."""
    by_id = {row.policy["id"]: row for row in table}
    return [
        {"a": by_id[pair["a"]], "b": by_id[pair["b"]], "cell": numbers.show(pair.get("difference"), "points"),
         "own": len(set(pair.get("prompts") or [])) > 1 or (pair.get("prompts") or ["bare"])[0] != "bare"}
        for pair in comparison.get("pairs") or []
        if pair.get("a") in by_id and pair.get("b") in by_id
    ]  # fmt: skip


def chosen(traces: list[dict[str, Any]], limit: int = TRACES) -> list[dict[str, Any]]:
    """At most `limit` pairs of traces, as many of each method as of the others, in the order given."""
    turns: dict[Any, int] = {}
    ranked = []
    for place, trace in enumerate(traces):
        method = (trace.get("method") or {}).get("policy")
        turns[method] = turns.get(method, 0) + 1
        ranked.append((turns[method], place))
    return [traces[place] for place in sorted(place for _, place in sorted(ranked)[:limit])]


def endings(table: list[Row]) -> list[dict[str, Any]]:
    """How answers ended, a row a policy that recorded it; shares."""
    kinds = ("eos", "stop", "length", "cut")
    outcomes = ("noanswer", "empty", "missing", "ungraded")
    out = []
    for row in table:
        finish = row.policy.get("finish") or {}
        if finish:
            other = [finish[k] for k in finish if k not in kinds and isinstance(finish[k], int | float)]
            out.append({"row": row, "other": sum(other)} | {kind: finish.get(kind) for kind in kinds}
                       | {key: row.policy.get(key) for key in outcomes})  # fmt: skip
    return out


def warnings(comparison: dict[str, Any], table: list[Row]) -> list[str]:
    """The comparison's own warnings, then what follows from how it was made."""
    out = list(comparison.get("warnings") or [])
    if comparison.get("frozen") == "after":
        out.append("Settings and family were frozen after the first test sample: everything here is exploratory.")
    single = [row.name for row in table if row.role == "method" and row.seeds == 1]
    if single and not any(given.startswith("1 seed") for given in out):
        out.append("1 seed: interval over items only")
    parents = {row.policy.get("parent") for row in table if row.role == "placebo"}
    bare = [r.name for r in table
            if r.role == "method" and not ({r.policy["name"], r.policy.get("method")} & parents)]  # fmt: skip
    if bare:
        out.append(f"No placebo was run for {', '.join(dict.fromkeys(bare))}: no claim without its control.")
    gaining = [row.name for row in table if row.role == "placebo" and word(row) == "gains"]
    if gaining:
        out.append(
            f"Placebos that gain over the bare base: {', '.join(gaining)}. Their method's gain is counted from there."
        )
    unaccounted = [row.name for row in table if row.role == "method" and row.data_class == "unaccounted"]
    if unaccounted:
        out.append(f"Data use unaccounted for {', '.join(unaccounted)}: left out of the verdict.")
    return list(dict.fromkeys(out))


def run_link(run: str | None, out: Path) -> str | None:
    """A relative link from a report that lies under the root of its runs; never another scheme or host.

    A report rendered elsewhere is to be passed on: what it linked to would stay behind, so it links to no run.
    """
    here = Path(out).resolve()
    if not run or (Path.cwd() / run).resolve().parent not in here.parents:
        return None
    relative = os.path.relpath(Path.cwd() / run, here)
    return quote(relative if relative.startswith(".") else f"./{relative}", safe="/.-_")


def planted(comparison: dict[str, Any], table: list[Row]) -> dict[str, Any]:
    """For template=organism: whether an ability was planted, and what each method makes of it.

    Planted where the forced accuracy C4 lies MARGIN above the bare base. Rules: *found* with a control-adjusted gain
    above 0 and a point estimate of EF B0/C4 of .6 or more, *found in part* below it, else *not found*; where nothing
    was planted *quiet* inside +-MARGIN of the base, *false elicitation* with a control-adjusted gain above 0, else
    *not decidable*.
    """
    base = next((numbers.bounds(row.policy["acc"]) for row in table if row.badge == "B0"), None)
    forced = numbers.bounds((comparison.get("ceilings") or {}).get("C4"))
    there = bool(base and forced and forced[1] - base[2] > MARGIN)
    methods = [row for row in table if row.role == "method"]
    found = [{"row": row, "answer": _planted_word(row, there)} for row in methods]
    return {"there": there, "forced": (comparison.get("ceilings") or {}).get("C4"), "found": found}


def _planted_word(row: Row, there: bool) -> str:
    gain = numbers.bounds((row.policy.get("ctrl") or {}).get("gain"))
    over_base = numbers.bounds((row.policy.get("gain") or {}).get("B0"))
    fraction = numbers.bounds((row.policy.get("ef") or {}).get("B0/C4"))
    if gain is None:
        return "not decidable"
    if there:
        return "not found" if gain[1] <= 0 else "found" if fraction and fraction[0] >= 0.6 else "found in part"
    if gain[1] > 0:
        return "false elicitation"
    quiet = over_base is not None and over_base[1] > -MARGIN and over_base[2] < MARGIN
    return "quiet" if quiet else "not decidable"
