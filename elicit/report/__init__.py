"""Reports: a comparison.json in, a page that can be trusted out.

    text      foreign text made inert
    numbers   how a number, a refusal and an unmeasured cell are printed
    rows      the comparison read, checked and put in order
    verdict   three sentences from fixed rules
    scorecard the terminal's table
    figures/  one file per figure, its rows (a CSV) and its drawing
    calibration, claim, bases        what the templates of those names add
    browser   traces.html
    latex     scorecard.tex, numbers.tex
    notes     the user's own prose, kept
    sources   templates, BibTeX, config differences
    view      everything a template may use
    render    everything together

Recomputes nothing: what comparison.json does not hold is not in the report. No torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit.report.pages.scorecard import scorecard
from elicit.report.verdict import verdicts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["report", "scorecard", "verdicts"]


def report(
    comparison: Mapping[str, Any] | Path | Sequence[Path],
    out: Path,
    template: str = "comparison",
    notes: Path | None = None,
) -> Path:
    """Render a comparison into `out` and return the page to open (report.html, or report.md where there is no html).

    comparison: comparison.json's path or content; several paths for template=bases, the first one leads.
    template: a built-in name, or the path of a user's .html.j2 or .md.j2 (which may extend
    "builtin/comparison.html.j2").
    notes: the user's prose, default out/notes.md. Raises DataError for an unreadable comparison or a template that
    does not render, ConfigError for a template that is not there or lacks what it needs. Imports matplotlib and Jinja
    only when called.
    """
    from elicit.report.render import rendered

    return rendered(comparison, out, template, notes)
