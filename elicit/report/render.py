"""A comparison rendered: report.md, report.html and the files beside them.

    out/
      report.md  report.html          the html is one file: styles and figures inside, no script, no network
      traces.html                     the trace browser, where samples lie beside the comparison (`browser`)
      notes.md                        the user's prose, made once, never overwritten
      figures/<name>.{pdf,csv,svg}    each figure with the rows it is drawn from
      scorecard.png  scorecard.tex  numbers.tex  references.bib

Templates: comparison, method_card, claim (needs claim.yaml), organism, bases (takes several comparisons), or a user's
own by path. All text of the comparison is made inert on reading (`text.clean`); HTML templates are autoescaped on top,
and templates run in Jinja's sandbox, a missing name is an error. Recomputes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, FileSystemLoader, PrefixLoader, StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from markdown_it import MarkdownIt
from markupsafe import Markup

from elicit.errors import ConfigError, DataError
from elicit.files import replacing, write_text
from elicit.report import sources, text
from elicit.report.figures import FIGURES, Figure, lenses, tables
from elicit.report.figures.figure import Chart, Inputs
from elicit.report.figures.picture import picture
from elicit.report.figures.series import Rows
from elicit.report.figures.writer import Written, paint, to_png, write
from elicit.report.notes import read_or_make
from elicit.report.pages import bases, browser, claim, latex
from elicit.report.pages.scorecard import heading
from elicit.report.rows import Row, load, rows, used_columns
from elicit.report.view import chosen, method_names, planted, view
from elicit.results.comparison import Solves
from elicit.results.estimate import Estimate

__all__ = ["Source", "chosen", "draw", "rendered", "view"]

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
Drawing = tuple[Figure, Rows, Chart]
Source = Mapping[str, Any] | Path | Sequence[Path]
"""comparison.json's content, its path, or several paths"""


def rendered(comparison: Source, out: Path, template: str, notes: Path | None) -> Path:
    """What `elicit.report.report` promises."""
    given = list(comparison) if isinstance(comparison, Sequence) else [comparison]
    if len(given) > 1 and "bases" not in template:
        raise ConfigError(
            f"template={template} shows one comparison, {len(given)} were named: template=bases shows several"
        )
    several = [(inert, rows(inert)) for inert in (load(dict(o) if isinstance(o, Mapping) else o) for o in given)]
    (inert, table), folder = several[0], given[0].parent if isinstance(given[0], Path) else None
    out = Path(out)
    template_folder, names = sources.find_template(template)
    prose = read_or_make(notes or out / "notes.md", list(SECTIONS))
    readings = lenses.load_lenses(folder / "lenses.json") if folder else {}
    inputs = figure_inputs(inert, readings, folder)
    extra, own_figures = _special(Path(names[0]).name.split(".")[0], several, folder)
    context = view(inert, table, out) | tables(inputs) | extra
    context["figures"] = _write_beside(out, inert, inputs, draw(inputs, own_figures))
    environment = _environment(template_folder)
    context["browser"] = _write_browser(out, inert, folder, environment, context)
    return _write_pages(out, names, environment, context, prose)


def _write_pages(
    out: Path, names: list[str], environment: SandboxedEnvironment, context: dict[str, Any], prose: dict[str, str]
) -> Path:
    written = []
    for name in names:
        ending = "html" if name.endswith(".html.j2") else "md"
        told = _Prose(prose, ending)
        page = _render(environment, name, context | {"notes": told.pop_note, "left_over": told.left_over})
        write_text(out / f"report.{ending}", page)
        written.append(out / f"report.{ending}")
    return written[-1]


def _special(
    template: str, several: list[tuple[dict[str, Any], list[Row]]], folder: Path | None
) -> tuple[dict[str, Any], list[Figure]]:
    """What one of the special templates needs besides `view`: names and figures. A user's copy of one, by its name."""
    comparison, table = several[0]
    extra: dict[str, Any] = {"planted": planted(comparison, table), "bases": [], "matrix": [], "differing": [],
                             "retest": None, "cards": []}  # fmt: skip
    figures: list[Figure] = []
    if template.startswith("bases"):
        found = bases.bases_of(several)
        extra |= {"bases": found, "matrix": bases.matrix(found), "differing": bases.differing(found)}
        figures.append(bases.figure(found))
    if template.startswith("claim"):
        if folder is None:
            raise ConfigError("template=claim reads claim.yaml beside comparison.json: give the comparison's path")
        extra["retest"] = claim.retest(claim.read_claim(folder), table)
    if template.startswith("method_card"):
        extra["cards"] = sources.method_cards(table, Path.cwd())
    return extra, figures


def figure_inputs(
    comparison: dict[str, Any], readings: Mapping[str, Any] | None = None, folder: Path | None = None
) -> Inputs:
    """What figures read, from a comparison that went through `rows.load`."""
    ceilings = {name: Estimate(*(value.get(part) for part in ("point", "lo", "hi", "refused")))
                for name, value in (comparison.get("ceilings") or {}).items() if value}  # fmt: skip
    solves = comparison.get("solves") or {}
    by_policy = {policy: tuple(shares or ()) for policy, shares in (solves.get("by_policy") or {}).items()}
    solved = Solves(tuple(solves.get("items") or ()), by_policy)
    return Inputs(rows(comparison), ceilings, solved, readings or {}, folder)


def draw(inputs: Inputs, own: Sequence[Figure] = ()) -> list[Drawing]:
    """The figures that have rows, those of a special template and of lenses included."""
    figures = (*own, *FIGURES, *lenses.figures(inputs.readings))
    return [(figure, found, figure.chart(found, inputs)) for figure in figures if (found := figure.rows(inputs))]


class _Prose:
    """The notes of one page: each block is handed out once, what no section asked for is left over."""

    def __init__(self, blocks: dict[str, str], ending: str):
        self.blocks, self.ending = dict(blocks), ending

    def pop_note(self, section: str) -> str | Markup:
        return self._shown(self.blocks.pop(section, ""))

    def left_over(self) -> list[tuple[str, str | Markup]]:
        return [(name, self.pop_note(name)) for name in list(self.blocks)]

    def _shown(self, prose: str) -> str | Markup:
        return prose if self.ending == "md" or not prose else _html(prose)


def _html(prose: str) -> Markup:
    """Markdown as HTML; tags and images in it stay text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    return Markup(parser.render(text.visible(prose, 10**6)))


def _environment(folder: Path) -> SandboxedEnvironment:
    builtin = FileSystemLoader(sources.template_folder())
    environment = SandboxedEnvironment(
        loader=ChoiceLoader([FileSystemLoader(folder), builtin, PrefixLoader({"builtin": builtin})]),
        autoescape=lambda name: name is None or not name.endswith(".md.j2"),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"md": text.markdown, "fenced": text.fenced, "one_line": text.one_line, "slug": text.slug,
                            "markdown": _html}  # fmt: skip
    return environment


def _render(environment: SandboxedEnvironment, name: str, context: dict[str, Any]) -> str:
    try:
        return environment.get_template(name).render(context)
    except (TemplateError, TypeError, ValueError) as fault:  # the last two come from what a template computes
        line = getattr(fault, "lineno", None)
        where = f"{name}, line {line}" if line else name
        raise DataError(
            f"template {where}: {fault}; compare with the built-in one in {sources.template_folder()}"
        ) from fault


def _write_browser(
    out: Path,
    comparison: dict[str, Any],
    folder: Path | None,
    environment: SandboxedEnvironment,
    context: dict[str, Any],
) -> dict[str, Any] | None:
    """traces.html, where samples lie beside the comparison; what the report says of it."""
    data = browser.gathered(comparison, folder)
    if data is None:
        (out / "traces.html").unlink(missing_ok=True)
        return None
    source, digest = browser.script(sources.template_folder())
    told = {"script": Markup(source), "script_hash": digest, "packed": Markup(browser.packed(data)),
            "shown": len(data["items"]), "of": data["of"], "n_policies": len(data["policies"])}  # fmt: skip
    write_text(out / "traces.html", _render(environment, "_traces.html.j2", context | told))
    return {"n_items": len(data["items"]), "of": data["of"], "n_policies": len(data["policies"])}


def _write_beside(out: Path, comparison: dict[str, Any], inputs: Inputs, drawings: list[Drawing]) -> list[Written]:
    """Figures, tables, numbers and references as files; returns the figures for inlining."""
    table, columns = inputs.rows, used_columns(inputs.rows)
    written = [write(out / "figures", *drawing) for drawing in drawings]
    _write_picture(out / "scorecard.png", inputs, heading(comparison))
    write_text(out / "scorecard.tex", latex.table(table, columns, comparison))
    write_text(out / "numbers.tex", latex.numbers(table, columns, comparison))
    cited = sources.references(method_names(comparison))
    write_text(out / "references.bib", "\n\n".join(entry for _, entry in cited) + "\n")
    return written


def _write_picture(path: Path, inputs: Inputs, title: str) -> None:
    """scorecard.png; no file if no accuracy was measured."""
    chart = picture(inputs, title)
    if chart is None:
        return path.unlink(missing_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(to_png(paint(chart)))
