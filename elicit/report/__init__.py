"""Reports: a comparison.json in, a page that can be trusted out.

    text      foreign text made inert
    numbers   how a number, a refusal and an unmeasured cell are printed
    rows      the comparison read, checked and put in order
    verdict   three sentences from fixed rules
    scorecard the terminal's table
    series    the rows behind each figure (its CSV)
    figures   drawing them
    tradeoffs labels, doses, distance from the base: series and drawings
    labels    names beside dots
    lenses    lenses.json as tables and figures
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

from elicit.report.scorecard import scorecard
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
    """Render a comparison into the folder `out`; see `render.report`. Imports matplotlib and Jinja only when called."""
    from elicit.report.render import report as render

    return render(comparison, out, template, notes)
