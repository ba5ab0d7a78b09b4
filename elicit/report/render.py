"""A comparison rendered: report.md, report.html and the files next to them.

    out/
      report.md  report.html          the html is one file: styles and figures inside, no script, no network
      traces.html                     the trace browser, if samples are next to the comparison (`browser`)
      notes.md                        the user's prose, created once, never overwritten
      figures/<name>.{pdf,csv,svg}    each figure with the rows that it is drawn from
      scorecard.png  scorecard.tex  numbers.tex  references.bib

Templates: comparison, method_card, claim (needs claim.yaml), organism, bases and tasks (take several comparisons), or
a user's own by path. All text of the comparison is made inert on reading (`text.clean`); HTML templates are autoescaped
on top, templates run in Jinja's sandbox with bounds (`sandbox`), and an undefined name is an error. Recomputes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from jinja2 import ChoiceLoader, FileSystemLoader, PrefixLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from elicit.errors import ConfigError
from elicit.files import replacing, write_text
from elicit.report import numbers, sandbox, sources, text
from elicit.report.figures import FIGURES, Figure, lenses, tables
from elicit.report.figures.figure import Chart, Inputs
from elicit.report.figures.picture import picture
from elicit.report.figures.series import Rows
from elicit.report.figures.writer import Written, inline, paint, to_png, to_svg, write
from elicit.report.inert import inert
from elicit.report.notes import read_or_make
from elicit.report.pages import across, browser, claim, latex
from elicit.report.pages.scorecard import heading
from elicit.report.pages.tables import scorecard_columns
from elicit.report.rows import Source, TableRow, load, rows, used_columns
from elicit.report.sandbox import BoundedEnvironment
from elicit.report.view import method_names, planted, view
from elicit.results import Comparison

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
Compared = tuple[Comparison, list[TableRow]]
"""a comparison and its rows"""


def rendered(source: Source | Sequence[Source], out: Path, template: str, notes: Path | None) -> Path:
    """Render into `out`; see `elicit.report.report`."""
    # 1) read: the first comparison leads, its folder may hold lenses, samples and a claim
    several = list(source) if isinstance(source, Sequence) and not isinstance(source, str) else [source]
    if len(several) > 1 and not any(kind in template for kind in get_args(across.Across)):
        raise ConfigError(
            f"template={template} shows one comparison, {len(several)} were named: template=bases or template=tasks "
            "shows several"
        )
    compared = [(comparison, rows(comparison)) for comparison in map(load, several)]
    comparison, table = compared[0]
    folder = Path(several[0]).parent if isinstance(several[0], Path | str) else None
    out = Path(out)
    template_folder, names = sources.find_template(template)
    prose = read_or_make(notes or out / "notes.md", list(SECTIONS))
    readings = lenses.load_lenses(folder / "lenses.json") if folder else {}
    # 2) figures and the other files next to the pages; the names that templates may use
    inputs = figure_inputs(comparison, readings, folder)
    extra, own_figures = _special(Path(names[0]).name.split(".")[0], compared, folder)
    context = view(comparison, table, out) | tables(inputs) | extra
    context["overview"], context["figures"] = _write_beside(out, comparison, inputs, draw(inputs, own_figures))
    # 3) the trace browser
    environment = environment_of(template_folder)
    context["browser"] = _write_browser(out, browser.gathered(comparison, folder), environment, context)
    # 4) one page per ending; each has its own copy of the notes
    for name in names:
        ending = "html" if name.endswith(".html.j2") else "md"
        blocks = _Notes(prose, ending)
        page = filled(environment, name, context | {"notes": blocks.pop_note, "left_over": blocks.left_over})
        write_text(out / f"report.{ending}", inert(page) if ending == "md" else page)
    return out / f"report.{ending}"


def _special(template: str, compared: Sequence[Compared], folder: Path | None) -> tuple[dict[str, Any], list[Figure]]:
    """Names and figures that one of the special templates needs besides `view`; a user's copy is known by its name."""
    comparison, table = compared[0]
    extra: dict[str, Any] = {"planted": planted(comparison), "across": None, "sides": [], "matrix": [], "means": [],
                             "differing": [], "retest": None, "cards": []}  # fmt: skip
    figures: list[Figure] = []
    for kind in get_args(across.Across):
        if template.startswith(kind):
            sides = across.sides_of(compared, kind)
            matrix = across.matrix(sides)
            extra |= {"across": kind, "sides": sides, "matrix": matrix, "differing": across.differing(sides)}
            extra["means"] = across.means(sides, matrix) if kind == "tasks" else []
            figures.append(across.figure(sides, kind))
    if template.startswith("claim"):
        if folder is None:
            raise ConfigError("template=claim reads claim.yaml next to comparison.json: give the comparison's path")
        extra["retest"] = claim.retest(claim.read_claim(folder), table)
    if template.startswith("method_card"):
        extra["cards"] = sources.method_cards(table, Path.cwd())
    return extra, figures


def figure_inputs(
    comparison: Comparison, readings: Mapping[str, Any] | None = None, folder: Path | None = None
) -> Inputs:
    """What figures read, from a comparison that went through `rows.load`."""
    return Inputs(rows(comparison), comparison.ceilings, comparison.solves, readings or {}, folder)


def draw(inputs: Inputs, own: Sequence[Figure] = ()) -> list[Drawing]:
    """The figures that have rows, those of a special template and of lenses included."""
    figures = (*own, *FIGURES, *lenses.figures(inputs.readings))
    return [(figure, found, figure.chart(found, inputs)) for figure in figures if (found := figure.rows(inputs))]


class _Notes:
    """The notes of one page: each block is used once; those that no section used are left over."""

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


def environment_of(folder: Path) -> BoundedEnvironment:
    """Where templates are found (`folder`, then the built-in ones) and which filters they have."""
    builtin = FileSystemLoader(sources.template_folder())
    environment = BoundedEnvironment(
        loader=ChoiceLoader([FileSystemLoader(folder), builtin, PrefixLoader({"builtin": builtin})]),
        autoescape=lambda name: name is None or not name.endswith(".md.j2"),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"md": text.markdown, "fenced": text.fenced, "one_line": text.one_line, "slug": text.slug,
                            "markdown": _html, "plain": numbers.plain, "share": numbers.share}  # fmt: skip
    return environment


def filled(environment: BoundedEnvironment, name: str, context: dict[str, Any]) -> str:
    """A template with its names. Raises DataError that names the template and the line."""
    advice = f"compare with the built-in one in {sources.template_folder()}"
    return sandbox.render(environment, name, context, advice)


def _write_browser(
    out: Path, samples: browser.Samples | None, environment: BoundedEnvironment, context: dict[str, Any]
) -> dict[str, int] | None:
    """traces.html, if there are samples; returns the numbers that the report states about it."""
    if samples is None:
        (out / "traces.html").unlink(missing_ok=True)
        return None
    source, digest = browser.script(sources.template_folder())
    sizes = {"n_items": len(samples.items), "of": samples.of, "n_policies": len(samples.policies)}
    page = {"script": Markup(source), "script_hash": digest, "packed": Markup(browser.packed(samples))}
    write_text(out / "traces.html", filled(environment, "_traces.html.j2", context | page | sizes))
    return sizes


def _write_beside(
    out: Path, comparison: Comparison, inputs: Inputs, drawings: list[Drawing]
) -> tuple[Markup, list[Written]]:
    """Figures, tables, numbers and references as files; returns the overview and the figures for inlining."""
    table, columns = inputs.rows, scorecard_columns(comparison, inputs.rows)
    written = [write(out / "figures", *drawing) for drawing in drawings]
    overview = _write_picture(out / "scorecard.png", inputs, heading(comparison))
    write_text(out / "scorecard.tex", latex.table(table, columns, comparison))
    write_text(out / "numbers.tex", latex.numbers(table, used_columns(comparison, table), comparison))
    cited = sources.references(method_names(comparison))
    write_text(out / "references.bib", "\n\n".join(entry for _, entry in cited) + "\n")
    return overview, written


def _write_picture(path: Path, inputs: Inputs, title: str) -> Markup:
    """scorecard.png, and the same as inline SVG; no file and an empty text if no accuracy was measured."""
    chart = picture(inputs, title)
    if chart is None:
        path.unlink(missing_ok=True)
        return Markup()
    drawn = paint(chart)
    with replacing(path) as temporary:
        temporary.write_bytes(to_png(drawn))
    return Markup(inline(to_svg(drawn, "overview"), "overview", title))
