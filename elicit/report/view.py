"""Everything a template may use, made from a comparison that went through `rows.load`.

`c` is the comparison itself, inert; `rows` its lines in the order of the scorecard; `view` names the rest. Knows no
file format and draws nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from elicit.report import numbers, sources
from elicit.report.numbers import Shown
from elicit.report.pages import calibration, counts, tables
from elicit.report.rows import WORDS, TableRow, reasons, rows, used_columns
from elicit.report.verdict import MARGIN, bounds, gains_on_a_coin, headline_ef, more_than_form, verdict_label, verdicts
from elicit.results import Comparison, Estimate, Trace

TRACES = 20
"""pairs of traces shown in a report"""
ENDINGS = ("eos", "stop", "length", "cut")
OUTCOMES = ("noanswer", "empty", "missing", "ungraded")


def view(comparison: Comparison, table: list[TableRow], out: Path) -> dict[str, Any]:
    """The names that templates use, besides figures and their tables, notes and what a special template adds."""
    columns, tested = tables.scorecard_columns(comparison, table), tables.p_value_table(table)
    config_names, differences = sources.config_differences(comparison, Path.cwd())
    return {
        # the comparison, and how its numbers are printed
        "c": comparison, "rows": table, "columns": columns, "words": WORDS, "headline": headline_ef,
        "verdict_label": verdict_label,
        "show": numbers.show, "plain": numbers.plain, "share": numbers.share, "created": numbers.moment,
        "DASH": numbers.DASH, "link": lambda row: run_link(row.line.run, out),
        "c1_prompt": next((row.line.prompt for row in table if row.role == "ceiling" and row.name == "C1"), "bare"),
        "is_base": bool(comparison.checkpoint.get("base_model", True)),
        # verdict and scorecard
        "verdicts": verdicts(comparison), "refusals": reasons(table, used_columns(comparison, table)),
        "one_seed": any(row.seeds == 1 for row in table if row.role == "method"),
        "tests": tested, "test_refusals": tables.refused_cells(tested), "pairs": pairs(comparison, table),
        "split": tables.split_table(comparison, table), "further": tables.further_table(comparison, table),
        "distance": tables.distance_table(comparison, table), "other_figures": tables.figures_table(comparison, table),
        "crossings": tables.crossings(table),
        # coverage, who solves what, validity, endings
        "refused_coverage": counts.refused_coverage(table), "solved": counts.solved_table(comparison.solves, table),
        "support": counts.support_table(table), "escalated": counts.escalated(table),
        "validity": counts.validity_table(table), "endings": endings(table),
        # traces, calibration, warnings, provenance
        "traces": chosen_traces(comparison.traces), "n_traces": len(comparison.traces),
        "calibration": calibration.tables(comparison.calibration), "warnings": warnings(comparison, table),
        "config_names": config_names, "differences": differences, "commands": comparison.commands,
        "provenance": sorted(sources.flat(comparison.provenance).items()),
        "references": sources.references(method_names(comparison)),
    }  # fmt: skip


def method_names(comparison: Comparison) -> list[str]:
    """The methods of a comparison and the names of its lines: references are chosen by them."""
    return sorted({name for line in comparison.lines for name in (line.method, line.name) if name})


@dataclass(frozen=True)
class PairRow:
    """The paired difference of two methods."""

    a: TableRow
    b: TableRow
    cell: Shown
    own: bool
    """each at its own best prompt"""


def pairs(comparison: Comparison, table: Sequence[TableRow]) -> list[PairRow]:
    """The paired differences whose two methods are in the table."""
    by_id = {row.line.id: row for row in table}
    return [
        PairRow(by_id[pair.a], by_id[pair.b], numbers.show(pair.difference, "points"), by_id[pair.a].line.at_own_prompt)
        for pair in comparison.pairs
        if pair.a in by_id and pair.b in by_id
    ]


def chosen_traces(traces: Sequence[Trace], limit: int = TRACES) -> list[Trace]:
    """At most `limit` pairs of traces, equally many of each method, in the given order."""
    turns: dict[str | None, int] = {}
    ranked = []
    for place, trace in enumerate(traces):
        method = trace.method.policy
        turns[method] = turns.get(method, 0) + 1
        ranked.append((turns[method], place))
    return [traces[place] for place in sorted(place for _, place in sorted(ranked)[:limit])]


@dataclass(frozen=True)
class EndingRow:
    """How the answers of one policy ended."""

    row: TableRow
    shares: list[float | None]
    """of samples, in the order of `ENDINGS`, "other", `OUTCOMES`"""
    lenient: Shown


def endings(table: Sequence[TableRow]) -> list[EndingRow]:
    """How answers ended, one row per policy that recorded it."""
    out = []
    for row in table:
        finish = {kind: value.number for kind, value in row.line.under("finish").items()}
        if finish:
            other = sum(share or 0.0 for kind, share in finish.items() if kind not in ENDINGS)
            outcomes = [row.line.number(key) for key in OUTCOMES]
            lenient = numbers.show(row.line.get("acc/lenient"), "percent")
            out.append(EndingRow(row, [*(finish.get(kind) for kind in ENDINGS), other, *outcomes], lenient))
    return out


def warnings(comparison: Comparison, table: Sequence[TableRow]) -> list[str]:
    """The comparison's own warnings, then those that follow from its design and its controls."""
    out = list(comparison.warnings)
    methods = [row for row in table if row.role == "method"]
    placebos = [row for row in table if row.role == "placebo"]
    if comparison.frozen == "after":
        out.append("Settings and family were frozen after the first test sample: everything here is exploratory.")
    if any(row.seeds == 1 for row in methods) and not any(given.startswith("1 seed") for given in out):
        out.append("1 seed: interval over items only")
    parents = {row.line.parent for row in placebos}
    if bare := [row.name for row in methods if not {row.line.name, row.line.method} & parents]:
        out.append(f"No placebo was run for {', '.join(dict.fromkeys(bare))}: no claim without its control.")
    if gaining := [row.name for row in placebos if verdict_label(row) == "gains"]:
        out.append(
            f"Placebos that gain over the base: {', '.join(gaining)}. Their method's gain is counted from there."
        )
    if coins := [row.name for row in gains_on_a_coin(table)]:
        out.append(
            f"Gains on a coin: {', '.join(coins)} gain with random rewards. Either the items were seen before (suspect "
            "contamination), or the knob gains by itself."
        )
    if unaccounted := [row.name for row in methods if row.data_class == "unaccounted"]:
        out.append(f"Data use unaccounted for {', '.join(unaccounted)}: left out of the verdict.")
    return list(dict.fromkeys(out))


def run_link(run: str | None, out: Path) -> str | None:
    """A relative link from a report under the root of its runs; never another scheme or host.

    A report rendered elsewhere is meant to be passed on without its runs, so it links to none.
    """
    here = Path(out).resolve()
    if not run or (Path.cwd() / run).resolve().parent not in here.parents:
        return None
    relative = os.path.relpath(Path.cwd() / run, here)
    return quote(relative if relative.startswith(".") else f"./{relative}", safe="/.-_")


@dataclass(frozen=True)
class Planted:
    """For template=organism: whether an ability was planted, and what each method makes of it."""

    there: bool
    forced: Estimate | None
    """accuracy with the opener forced, C4"""
    answers: list[tuple[TableRow, str]]
    """method -> found, found in part, not found; or quiet, form, false elicitation, not decidable"""


def planted(comparison: Comparison) -> Planted:
    """Planted if the forced accuracy C4 lies MARGIN above the base.

    Rules: *found* with a control-adjusted gain above 0 and a point estimate of EF B0/C4 of .6 or more, *found in part*
    below it, else *not found*; if nothing was planted, *quiet* inside +-MARGIN of the base, *false elicitation* with a
    control-adjusted gain above 0 (*form* if it does not last under the looser readings), else *not decidable*.
    """
    table = rows(comparison)
    base = next((bounds(row, "acc/strict") for row in table if row.badge == "B0"), None)
    c4 = comparison.ceilings.get("C4")
    forced = c4.bounds if c4 is not None else None
    there = base is not None and forced is not None and forced[1] - base[2] > MARGIN

    def answer(row: TableRow) -> str:
        gain, over_base, fraction = (bounds(row, key) for key in ("ctrl/gain", "gain/B0", "ef/B0/C4"))
        if gain is None:
            return "not decidable"
        if there:
            return "not found" if gain[1] <= 0 else "found" if fraction and fraction[0] >= 0.6 else "found in part"
        if gain[1] > 0:
            return "form" if more_than_form(row) is False else "false elicitation"
        quiet = over_base is not None and over_base[1] > -MARGIN and over_base[2] < MARGIN
        return "quiet" if quiet else "not decidable"

    return Planted(there, c4, [(row, answer(row)) for row in table if row.role == "method"])
