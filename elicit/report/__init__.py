"""Reports: a comparison in, a page that can be trusted out.

    text      foreign text made inert
    inert     a Markdown page without tags, as its last step
    numbers   how a number, a refusal and an unmeasured cell are printed
    rows      the comparison read, made inert and sorted
    verdict   three sentences from fixed rules
    notes     the user's own prose, kept
    sources   templates, BibTeX, configs and logs of runs
    view      everything a template may use
    render    everything together
    pages/    scorecard and overview (terminal), tables (next to the scorecard), latex, browser (traces.html),
              across (bases and tasks), calibration and claim (templates of those names)
    figures/  one figure per file: its rows (the CSV) and its drawing

Recomputes nothing: what the comparison does not hold is not in the report. No torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from elicit.report.pages.scorecard import scorecard
from elicit.report.verdict import verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elicit.report.rows import Source

__all__ = ["report", "scorecard", "verdicts"]


def report(
    comparison: Source | Sequence[Source],
    out: Path,
    template: str = "comparison",
    notes: Path | None = None,
) -> Path:
    """Render a comparison into `out` and return the page to open (report.html, or report.md if there is no html).

    comparison: a `Comparison`, the path or the content of comparison.json; several for template=bases or tasks, the
    first leads.
    template: a built-in name, or the path of a user's .html.j2 or .md.j2 (which may extend
    "builtin/comparison.html.j2").
    notes: the user's prose, default out/notes.md. Raises DataError for an unreadable comparison or a template that
    does not render, ConfigError for a template that does not exist or lacks what it needs. Imports matplotlib and
    Jinja only when called.
    """
    from elicit.report.render import rendered

    return rendered(comparison, out, template, notes)
