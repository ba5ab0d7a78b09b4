"""Studies as pages: one Markdown page with a figure for each, and the index of all.

    out/README.md     claim, published, here, verdict, scale, what would change it
    out/NAME.md       what was asked, what came out, what it does not show; a figure, the rule, a table
    out/NAME.png      the endpoints that the rule is about, with their intervals and bounds
    out/notes.md      your own words for each study, created once and never overwritten

Wording comes from the preset, numbers from the result; recomputes nothing. A study without a result is in the index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from elicit.files import replacing, write_text
from elicit.report import sources, text
from elicit.report.figures.figure import Axis, Chart, Line, Mark, Point, Text
from elicit.report.figures.marks import INK, MUTED, PALETTE
from elicit.report.figures.writer import paint, to_png
from elicit.report.inert import inert
from elicit.report.notes import read_or_make
from elicit.report.numbers import Shown, figure, moment, show_measured
from elicit.report.render import environment_of, filled
from elicit.results.comparison import Unit
from elicit.studies import AppliedCondition, Condition, Endpoint, Study, StudyResult
from elicit.studies.study import SCALES

WORDS = {"met": "met", "missed": "missed", "open": "not decided"}
SCALED: tuple[Unit, ...] = ("percent", "points")
"""units that are drawn in percent"""


@dataclass(frozen=True)
class ShownCondition:
    """A condition in words, with the values that it was applied to."""

    title: str
    bound: str
    state: str
    precondition: bool
    values: str
    """every policy with its value, on one line"""


@dataclass(frozen=True)
class ShownStudy:
    """What the templates print of one study."""

    name: str
    study: Study
    result: StudyResult | None
    conditions: list[ShownCondition]
    """of the rule as it was applied; without a result, as it is written in the preset"""
    rows: list[tuple[str, str, Shown]]
    """(endpoint, policy, value) of every endpoint"""
    cost: str
    date: str
    note: str = ""
    outdated: bool = False
    """the preset has another rule now than the one that was applied"""

    @property
    def deciding(self) -> list[ShownCondition]:
        """The conditions of the rule, without preconditions."""
        return [one for one in self.conditions if not one.precondition]


def write_pages(studies: Mapping[str, Study], results: Mapping[str, StudyResult], scale: str, out: Path) -> Path:
    """Pages and index of the studies at one scale; returns the index, which links those of other scales below it."""
    environment = environment_of(sources.template_folder())
    notes = read_or_make(out / "notes.md", list(studies))
    shown = [shown_study(name, study, results.get(name), scale, notes.get(name, "")) for name, study in studies.items()]
    for one in shown:
        if one.result is not None:
            page = filled(environment, "study.md.j2", {"one": one})
            write_text(out / f"{one.name}.md", inert(page))
            with replacing(out / f"{one.name}.png") as temporary:
                temporary.write_bytes(to_png(paint(chart(one.study, one.result))))
    index = out / "README.md"
    below = sorted(path.parent.name for path in out.glob("*/README.md") if path.parent.name in SCALES)
    write_text(index, inert(filled(environment, "studies.md.j2", {"studies": shown, "scale": scale, "below": below})))
    return index


def shown_study(name: str, study: Study, result: StudyResult | None, scale: str, note: str = "") -> ShownStudy:
    """A study as text. The endpoints of an old result that the preset no longer has are left out."""
    rows = [
        (endpoint.title, row.policy, show_measured(row.value, endpoint.unit))
        for key, endpoint in study.endpoints.items()
        for row in (result.values.get(key, []) if result else [])
    ]
    written = list(_written(study))
    outdated = result is not None and [replace(one, state="open") for one in result.tested] != written
    applied = result.tested if result else written
    conditions = [
        _shown(one, study.endpoints[one.endpoint], result) for one in applied if one.endpoint in study.endpoints
    ]
    date = moment(result.created) if result else ""
    return ShownStudy(name, text.clean(study.at(scale)), text.clean(result) if result else None, conditions, rows,
                      study.scale(scale).cost, date, note, outdated)  # fmt: skip


def _written(study: Study) -> Iterator[AppliedCondition]:
    for needed, conditions in ((True, study.preconditions), (False, study.rule)):
        for one in conditions:
            yield AppliedCondition(one.endpoint, one.above, one.below, "open", needed)


def _shown(tested: AppliedCondition, endpoint: Endpoint, result: StudyResult | None) -> ShownCondition:
    values = result.values.get(tested.endpoint, []) if result else []
    line = "; ".join(f"{row.policy} {show_measured(row.value, endpoint.unit).line}" for row in values)
    bound = bound_text(Condition(tested.endpoint, tested.above, tested.below), endpoint.unit)
    state = WORDS[tested.state] if result else ""
    return ShownCondition(endpoint.title, bound, state, tested.precondition, text.one_line(line, 400))


def bound_text(condition: Condition, unit: Unit) -> str:
    """A bound in words.

    >>> bound_text(Condition("x", above=0.1), "points")
    'above +10.0 points'
    """
    words = {"percent": " %", "points": " points", "ratio": ""}.get(unit, f" {unit}")
    low, high = (None if x is None else figure(x, unit) + words for x in (condition.above, condition.below))
    if low is not None and high is not None:
        return f"between {low} and {high}"
    return f"above {low}" if low is not None else f"below {high}"


def chart(study: Study, result: StudyResult) -> Chart:
    """Intervals of the endpoints that the rule is about, by policy, with the bounds of the rule as vertical ticks.

    Endpoints in another unit than the first condition's would need another axis: they are in the table only.
    """
    unit = study.endpoints[study.rule[0].endpoint].unit
    factor = 100 if unit in SCALED else 1
    ruled = dict.fromkeys(one.endpoint for one in result.tested if one.endpoint in study.endpoints)
    keys = [key for key in ruled if study.endpoints[key].unit == unit]
    marks: list[Mark] = []
    ticks: list[float] = []
    names: list[str] = []
    y = 0
    for number, key in enumerate(keys):
        marks.append(Text(0, y, text.one_line(study.endpoints[key].title, 90), INK, fractions="x"))
        top = y = y + 1
        for row in result.values[key]:
            ticks.append(y)
            names.append(text.one_line(row.policy, 40))
            if row.value.bounds is not None:
                point, lo, hi = (factor * x for x in row.value.bounds)
                marks.append(Point(point, y, PALETTE[number % len(PALETTE)], across=(lo, hi)))
            else:
                marks.append(Text(0.02, y, "refused", MUTED, fractions="x"))
            y += 1
        for one in result.tested:
            for bound in (one.above, one.below) if one.endpoint == key else ():
                if bound is not None:
                    marks.append(Line([factor * bound] * 2, [top - 0.5, y - 0.5], MUTED, dashed=True))
    label = {"percent": "percent", "points": "percentage points"}.get(unit, unit)
    axis = Axis(label=f"{label} (dashed: bounds of the rule)", grid=True)
    rows = Axis(limits=(y - 0.5, -0.6), ticks=ticks, names=names, tick_marks=False)
    return Chart((6.4, 0.8 + 0.27 * y), marks, axis, rows)
