"""The data card of the shipped organisms: prose, the measured table, and what was tried.

Rendered from `measured.json`, so that no figure is typed by hand. What this module does not know: models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

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

PROSE = """# Model organisms: data card

Three small Llamas (0.8 M parameters, float32, 3.3 MB each) pretrained from scratch by this project on the synthetic
corpus of `elicit/organisms/corpus.py`; the only text by people is the sentence patterns in that file. Licence
Apache-2.0. They calibrate the evaluator and serve as base models in tests and in `make demo`. They are no claim about
large models.

* `positive` was trained on all modes, with about 10 % of untagged answers traced: the ability is there and rarely used.
* `twin` was trained on the same documents, all direct, for half the steps: it has no hidden ability.
* `form_only` was trained on traces of the right shape and rate whose steps belong to another problem, followed by the
  right answer: a method that elicits only the form gains nothing.

Load any of them with plain `AutoModelForCausalLM.from_pretrained(folder)`; rebuild with
`elicit organism build kind=positive folder=...` (`organism.json` next to the weights holds the configuration).
"""


def render_card(measured: Mapping[str, Any], tried: str = "") -> str:
    """Markdown of the card: prose, one table per organism, and what was `tried`. Unknown values (NaN) are dashes."""
    parts = [
        PROSE,
        f"\n## Measured ({measured['problems']} test problems per family, sizes 2-8; `elicit organism check`)\n",
    ]
    for kind, rows in measured["rows"].items():
        parts.append(f"\n### {kind}\n")
        parts.append("| family | " + " | ".join(COLUMNS.values()) + " | openers' mass untagged / key / anti-key |")
        parts.append("|---" * (len(COLUMNS) + 2) + "|")
        for family, row in rows.items():
            cells = ["-" if math.isnan(row[name]) else f"{row[name]:.2f}" for name in COLUMNS]
            masses = " / ".join(f"{row[f'mass_{name}']:.2f}" for name in ("untagged", "key", "anti"))
            parts.append(f"| {family} | " + " | ".join(cells) + f" | {masses} |")
    return "\n".join(parts) + "\n" + tried
