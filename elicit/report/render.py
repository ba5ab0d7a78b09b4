"""A comparison rendered: report.md, report.html and the files beside them.

    out/
      report.md  report.html          the html is one file: styles and figures inside, no script, no network
      notes.md                        the user's prose, made once, never overwritten
      figures/<name>.{pdf,csv,svg}    each figure with the rows it is drawn from
      scorecard.tex  numbers.tex  references.bib

All text of the comparison is made inert on reading (`text.clean`); HTML templates are autoescaped on top, and
templates run in Jinja's sandbox, a missing name is an error. Recomputes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import ChoiceLoader, FileSystemLoader, PrefixLoader, StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from markdown_it import MarkdownIt
from markupsafe import Markup
from matplotlib.figure import Figure

from elicit.errors import DataError
from elicit.files import replacing, write_text
from elicit.report import figures, latex, numbers, series, sources, text
from elicit.report.notes import read_or_make
from elicit.report.rows import Row, load, reasons, rows, used_columns
from elicit.report.svg import inline, to_pdf, to_svg
from elicit.report.verdict import verdicts, word

SECTIONS = (
    "verdict",
    "scorecard",
    "curves",
    "solves",
    "validity",
    "traces",
    "calibration",
    "limitations",
    "provenance",
)
TRACES = 20
"""pairs of traces shown in a report"""


def report(
    comparison: Mapping[str, Any] | Path, out: Path, template: str = "comparison", notes: Path | None = None
) -> Path:
    """Render a comparison into `out` and return the page to open (report.html, or report.md where there is no html).

    template: a built-in name, or the path of a user's .html.j2 or .md.j2 (which may extend
    "builtin/comparison.html.j2").
    notes: the user's prose, default out/notes.md. Raises DataError for an unreadable comparison or a template that
    does not render, ConfigError for a template that is not there.
    """
    inert = load(dict(comparison) if isinstance(comparison, Mapping) else comparison)
    out = Path(out)
    folder, names = sources.find_template(template)
    prose = read_or_make(notes or out / "notes.md", list(SECTIONS))
    table = rows(inert)
    drawings = draw(inert, table)
    svgs = _write_beside(out, inert, table, drawings)
    context = view(inert, table, out) | {"figures": {name: drawing[2] for name, drawing in drawings.items()}}
    environment = _environment(folder)
    written = []
    for name in names:
        ending = "html" if name.endswith(".html.j2") else "md"
        told = _Prose(prose, ending)
        page = _render(environment, name, context | {"svg": svgs, "notes": told.pop_note, "left_over": told.left_over})
        write_text(out / f"report.{ending}", page)
        written.append(out / f"report.{ending}")
    return written[-1]


def view(comparison: dict[str, Any], table: list[Row], out: Path) -> dict[str, Any]:
    """Everything a template may use, besides figures and notes. `c` is the comparison itself, inert."""
    columns = used_columns(table)
    config_names, differences = sources.config_differences(comparison, Path.cwd())
    methods = sorted({str(p.get("method")) for p in comparison["policies"] if p.get("method")})
    return {
        "c": comparison, "rows": table, "columns": columns, "word": word, "verdicts": verdicts(comparison),
        "refusals": reasons(table, columns), "one_seed": any(r.seeds == 1 for r in table if r.role == "method"),
        "solved": series.solved_table(comparison, table),
        "support": series.support_table(table),
        "validity_cells": series.validity_cells,
        "tests": [r for r in table if r.policy.get("p")], "validity": series.validity(table),
        "refused_coverage": series.refused_curves(table, "cov"), "endings": endings(table),
        "traces": chosen(list(comparison.get("traces") or [])), "n_traces": len(comparison.get("traces") or []),
        "calibration": calibration(comparison.get("calibration")), "warnings": warnings(comparison, table),
        "config_names": config_names, "differences": differences,
        "provenance": sorted(sources.flat(comparison.get("provenance") or {}).items()),
        "commands": list(comparison.get("commands") or []), "references": sources.references(methods),
        "link": lambda row: run_link(row.policy.get("run"), out), "show": numbers.show, "plain": numbers.plain,
        "share": numbers.share, "is_base": bool((comparison.get("checkpoint") or {}).get("base_model", True)),
    }  # fmt: skip


def draw(comparison: dict[str, Any], table: list[Row]) -> dict[str, tuple[Figure, series.Series, str]]:
    """Figure name -> (figure, its rows, what it shows), for the figures that have rows."""
    ceilings = comparison.get("ceilings") or {}
    solvers = series.solved_by(comparison, table)
    shades = figures.colours(table)
    plans: tuple[tuple[str, series.Series, Callable[[series.Series], Figure], str], ...] = (
        (
            "accuracy",
            series.accuracy(table),
            lambda s: figures.accuracy(s, shades, ceilings),
            "Strict accuracy by policy",
        ),
        ("coverage", series.coverage(table), lambda s: figures.coverage(s, shades), "Coverage over samples"),
        ("budget", series.budget(table), lambda s: figures.budget(s, shades), "Accuracy over tokens per answer"),
        ("solves", series.solves(comparison, table), lambda s: figures.solves(s, solvers), "Who solves what"),
        ("validity", series.validity(table), figures.validity, "Right answers by validity of their trace"),
    )
    return {name: (make(data), data, title) for name, data, make, title in plans if data}


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


def calibration(given: Any) -> dict[str, Any] | None:
    """The calibration on organisms as a table: {"note", "columns", "rows"}; None where there is none.

    Accepts {"rows": [dict], "note": text} or a plain list of dicts; an estimate or refusal in a cell is shown as such.
    """
    lines = given.get("rows") if isinstance(given, dict) else given
    if not lines:
        return None
    columns = list(dict.fromkeys(key for line in lines for key in line))
    cells = [[_calibration_cell(line.get(column)) for column in columns] for line in lines]
    return {"note": given.get("note", "") if isinstance(given, dict) else "", "columns": columns, "rows": cells}


def _calibration_cell(value: Any) -> str:
    if isinstance(value, dict) and ("point" in value or "refused" in value):
        return numbers.show(value, "points").line
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "\u2013"}[value]
    return numbers.plain(value) if isinstance(value, int | float) else text.one_line(value, 60)


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
        out.append(f"No placebo was run for {', '.join(bare)}: no claim without its control.")
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
    """A relative link from the report to a run folder; never another scheme or host."""
    if not run:
        return None
    relative = os.path.relpath(Path.cwd() / run, Path(out).resolve())
    return quote(relative if relative.startswith(".") else f"./{relative}", safe="/.-_")


class _Prose:
    """The notes of one page: each block is handed out once, what no section asked for is left over."""

    def __init__(self, blocks: dict[str, str], ending: str):
        self.blocks, self.ending = dict(blocks), ending

    def pop_note(self, section: str) -> str | Markup:
        return self._shown(self.blocks.pop(section, ""))

    def left_over(self) -> list[tuple[str, str | Markup]]:
        return [(name, self.pop_note(name)) for name in list(self.blocks)]

    def _shown(self, prose: str) -> str | Markup:
        if self.ending == "md" or not prose:
            return prose
        parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
        return Markup(parser.render(text.visible(prose, 10**6)))


def _environment(folder: Path) -> SandboxedEnvironment:
    builtin = FileSystemLoader(sources.template_folder())
    environment = SandboxedEnvironment(
        loader=ChoiceLoader([FileSystemLoader(folder), builtin, PrefixLoader({"builtin": builtin})]),
        autoescape=lambda name: name is None or not name.endswith(".md.j2"),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"md": text.markdown, "fenced": text.fenced, "one_line": text.one_line, "slug": text.slug}
    return environment


def _render(environment: SandboxedEnvironment, name: str, context: dict[str, Any]) -> str:
    try:
        return environment.get_template(name).render(context)
    except TemplateError as fault:
        line = getattr(fault, "lineno", None)
        where = f"{name}, line {line}" if line else name
        raise DataError(
            f"template {where}: {fault}; compare with the built-in one in {sources.template_folder()}"
        ) from fault


def _write_beside(
    out: Path, comparison: dict[str, Any], table: list[Row], drawings: dict[str, Any]
) -> dict[str, Markup]:
    """Figures, tables, numbers and references as files; returns the figures for inlining."""
    svgs = {}
    columns = used_columns(table)
    for name, (figure, data, title) in drawings.items():
        write_text(out / "figures" / f"{name}.csv", series.to_csv(data))
        svg = to_svg(figure, name)
        write_text(out / "figures" / f"{name}.svg", svg)
        svgs[name] = Markup(inline(svg, name, title))
        with replacing(out / "figures" / f"{name}.pdf") as temporary:
            temporary.write_bytes(to_pdf(figure))
    write_text(out / "scorecard.tex", latex.table(table, columns, comparison))
    write_text(out / "numbers.tex", latex.numbers(table, columns, comparison))
    methods = sorted({str(p.get("method")) for p in comparison["policies"] if p.get("method")})
    write_text(out / "references.bib", "\n\n".join(entry for _, entry in sources.references(methods)) + "\n")
    return svgs
