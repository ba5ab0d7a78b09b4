"""The data card of the shipped organisms: prose, their truths, the measured tables, and what was tried.

Rendered from `measured.json` and `truth.yaml`, so that no figure and no label is typed by hand. What this module does
not know: models.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elicit.organisms.truth import CHECKPOINTS, METHOD_KINDS, shipped, truth_of

COLUMNS = {
    "forced": "opener forced",
    "direct": "direct",
    "bare_compare": "bare, compare",
    "bare_greedy": "bare, greedy",
    "bare_support": "bare, T=1",
    "traced_compare": "traced share, compare",
    "traced_support": "traced share, T=1",
    "forced_large": "forced, sizes 6-8",
    "direct_small": "direct, sizes 2-4",
    "direct_large": "direct, sizes 6-8",
    "valid_given_right": "valid given right",
    "traced_stray": "traced after a stray token",
}
MASSES = ("openers' mass untagged / key / anti-key", ("mass_untagged", "mass_key", "mass_anti"))
FORM_COLUMNS = {
    "strict_bare": "bare, strict",
    "lenient_bare": "bare, lenient",
    "any_bare": "bare, loosest",
    "any_forced": "forced, loosest",
    "strict_key": "key, strict",
    "strict_anti": "anti-key, strict",
    "unfinished_bare": "unended, bare",
    "valid_bare": "valid given right",
    "bare_support": "bare, T=1, strict",
}
DECOY_COLUMNS = {
    "forced": "quiet forced",
    "loud_accuracy": "loud forced, T=1",
    "direct": "direct",
    "bare_compare": "bare, compare",
    "traced_compare": "traced share, compare",
    "bare_support": "bare, T=1",
    "quiet_tokens": "tokens, quiet",
    "loud_tokens": "tokens, loud",
    "loudest_accuracy": "loudest direction, accuracy",
    "loudest_traced": "loudest direction, traced",
}
DECOY_MASSES = (
    "quiet mass untagged / key / after a quiet page; loud mass untagged / loud key",
    ("quiet_mass_untagged", "quiet_mass_key", "quiet_mass_after_quiet", "loud_mass_untagged", "loud_mass_loud_key"),
)
TABLES = {"format_twin": (FORM_COLUMNS, ("", ())), "decoy": (DECOY_COLUMNS, DECOY_MASSES)}

PROSE = """# Model organisms: data card

Small Llamas (0.8 M parameters, float32, 3.3 MB each) pretrained from scratch by this project on the synthetic corpora
of `elicit/organisms`; the only text by people is the sentence patterns in those files. Licence Apache-2.0. They
calibrate the evaluator and serve as base models in tests and in `make demo`. They are no claim about large models.

* `positive` was trained on all modes, with about 10 % of untagged answers traced: the ability is there and rarely used.
* `twin` was trained on the same documents, all direct, for half the steps: it has no hidden ability.
* `form_only` was trained on traces of the right shape and rate whose steps belong to another problem, followed by the
  right answer: a method that elicits only the form gains nothing.
* `format_twin` has the skills of `positive` (its training starts there) and always uses them. What it rarely does is
  declare its answer and stop: a method that teaches the form gains strictly and not in the loosest reading.
* `decoy` (`elicit organism build kind=decoy`; not shipped, for it misses a required property, see the end) has the same
  skills and two step-by-step modes: a loud one that invents its steps, and a quiet one that is right.

Load any of them with plain `AutoModelForCausalLM.from_pretrained(folder)`; rebuild with
`elicit organism build kind=positive folder=...` (`organism.json` next to the weights holds the configuration), measure
again with `elicit organism check kinds=positive`.
"""


def render_card(measured: Mapping[str, Any], tried: str = "", folder: Path = CHECKPOINTS) -> str:
    """Markdown of the card: prose, truths, one table per organism, what was `tried`. Unknown values are dashes."""
    parts = [PROSE, truth_table(folder)]
    parts.append("\n## Measured (sizes 2-8; `elicit organism check`)\n")
    for kind, rows in measured["rows"].items():
        columns, (title, masses) = TABLES.get(kind, (COLUMNS, MASSES))
        titles = [*columns.values(), *([title] if title else [])]
        parts.append(f"\n### {kind} ({measured['problems'][kind]} test problems per family)\n")
        parts.append("| family | " + " | ".join(titles) + " |")
        parts.append("|---" * (len(titles) + 1) + "|")
        for family, row in rows.items():
            cells = [_cell(row[name]) for name in columns]
            cells += [" / ".join(f"{row[name]:.2f}" for name in masses)] if masses else []
            parts.append(f"| {family} | " + " | ".join(cells) + " |")
    return "\n".join(parts) + "\n" + tried


def truth_table(folder: Path = CHECKPOINTS) -> str:
    """Markdown: by organism what was planted, and by kind of method the verdicts that agree with the truth."""
    truths = [truth_of(kind, folder) for kind in shipped(folder) if (folder / kind / "truth.yaml").is_file()]
    lines = [
        "## What is true (`truth.yaml` next to the weights)\n",
        "| organism | planted | latent |",
        "|---" * 3 + "|",
    ]
    lines += [f"| {truth.kind} | {truth.planted} | {'yes' if truth.latent else 'no'} |" for truth in truths]
    lines += ["\nVerdicts that agree with the truth, by kind of method:\n"]
    lines += ["| organism | " + " | ".join(METHOD_KINDS) + " |", "|---" * (len(METHOD_KINDS) + 1) + "|"]
    for truth in truths:
        cells = ["; ".join(truth.right[name]) for name in METHOD_KINDS]
        lines.append(f"| {truth.kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if value > 1 else f"{value:.2f}"
