"""What a lens is: one question about traces on disk.

    View      the policies of a comparison on common items: grades, texts, annotations, probes      (view.py)
    Lens      View -> Reading
    Reading   columns of estimates by policy, one table, one figure, one sentence

Every lens has the same frame: columns per side, a figure of some columns, one sentence per side, and the reading of
these (`reading`). A lens that needs more from the model has three parts: `plan` lists what to continue
(`sampling.probe.Probe`, plain data), `sampling.continue_from` does it, and `read` reads the rows. Nothing here needs
torch. A figure is plain data that any renderer can draw:

    {"kind": "bars" | "lines" | "heat", "title", "x_label", "y_label", "x": [...],
     "series": [{"name", "y": [...], "lo": [...] | None, "hi": [...] | None}]}          None if there is no number
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from elicit.results import Estimate

if TYPE_CHECKING:
    from elicit.evaluate.lenses.view import Side, View
    from elicit.sampling.probe import Probe

SAMPLES, ANNOTATIONS, PROBES, SHIFTS = "samples", "annotations", "probes", "shifted samples"
"""what a lens needs besides grades"""


@dataclass(frozen=True)
class Reading:
    """The result of a lens on a view."""

    lens: str
    about: str
    """what was measured, one sentence"""
    source: str
    """arXiv id of the definition"""
    columns: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    """policy -> column -> estimate"""
    table: list[dict[str, Any]] = field(default_factory=list)
    figure: dict[str, Any] | None = None
    says: str = ""
    """the result in one sentence per policy, with its figures"""
    refused: str | None = None
    """why the whole lens could not be measured"""

    def plain(self) -> dict[str, Any]:
        """JSON-able fields: an estimate is {"point", "lo", "hi"} or {"refused": reason}."""
        columns = {
            policy: {
                name: {part: number for part, number in asdict(value).items() if number is not None}
                for name, value in of_policy.items()
            }
            for policy, of_policy in self.columns.items()
        }
        return {**asdict(self), "columns": columns}


class Lens(Protocol):
    """One file, one frozen dataclass; its fields are its settings."""

    @property
    def name(self) -> str: ...
    @property
    def about(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def needs(self) -> str:
        """samples | annotations | probes | shifted samples"""
        ...

    def read(self, view: View) -> Reading: ...


class Probing(Lens, Protocol):
    """A lens that needs further sampling from each policy."""

    def plan(self, view: View, side: Side) -> list[Probe]:
        """What to continue; the same list for the same view, so that rows on disk are not made again."""
        ...


def refusing(lens: Lens, reason: str) -> Reading:
    """A reading that holds only the reason why nothing was measured."""
    return Reading(lens.name, lens.about, lens.source, says=f"Not measured: {reason}.", refused=reason)


def reading(
    lens: Lens,
    columns: Mapping[str, Mapping[str, Estimate]],
    figure: dict[str, Any] | None,
    says: Iterable[str],
    table: Sequence[dict[str, Any]] | None = None,
) -> Reading:
    """The reading of a lens. `says`: one sentence per side; `table`: one row per policy and column unless given."""
    plain = {name: dict(of_side) for name, of_side in columns.items()}
    lines = list(rows(plain) if table is None else table)
    return Reading(lens.name, lens.about, lens.source, plain, lines, figure, "; ".join(says) + ".")


def rows(columns: Mapping[str, Mapping[str, Estimate]]) -> list[dict[str, Any]]:
    """Columns as a flat table: one row per policy and column."""
    return [
        {"policy": policy, "column": column, **asdict(value)}
        for policy, of_side in columns.items()
        for column, value in of_side.items()
    ]


def drawing(
    kind: str, title: str, x_label: str, y_label: str, x: Sequence[Any], series: Mapping[str, Sequence[Estimate]]
) -> dict[str, Any]:
    """A figure of estimates: `series` name -> one estimate for each x."""
    return {
        "kind": kind,
        "title": title,
        "x_label": x_label,
        "y_label": y_label,
        "x": list(x),
        "series": [
            {"name": name, "y": [x.point for x in of], "lo": [x.lo for x in of], "hi": [x.hi for x in of]}
            for name, of in series.items()
        ],
    }


def of_columns(title: str, y_label: str, columns: Mapping[str, Mapping[str, Estimate]], names: Sequence[str]) -> Any:
    """The usual figure: policies along x, one bar for each of the columns `names`."""
    series = {name: [of_side.get(name, Estimate()) for of_side in columns.values()] for name in names}
    return drawing("bars", title, "policy", y_label, list(columns), series)


def formatted(estimate: Estimate, percent: bool = True) -> str:
    """An estimate as text: `41 % [35, 47]`, or why there is none.

    >>> formatted(Estimate(0.412, 0.35, 0.47))
    '41 % [35, 47]'
    """
    if estimate.bounds is None:
        return f"unknown ({estimate.refused})"
    scale, digits = (100, 0) if percent else (1, 2)
    point, low, high = (f"{scale * number:.{digits}f}" for number in estimate.bounds)
    return f"{point}{' %' if percent else ''} [{low}, {high}]"
