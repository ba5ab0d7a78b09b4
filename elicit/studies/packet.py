"""A blinded rating packet: traces of two policies for people to read, and what their ratings say.

    packet/packet.html    numbered traces in random order; no policy, no answer key, opens without a network
    packet/ratings.csv    rater, trace, legible: one line per rater and trace to fill in, 1 (unreadable) to 7 (clear)
    packet/key.csv        trace -> policy, item; for the analysis alone, not for raters

Several raters add their lines to ratings.csv. The raters of a trace are averaged; the difference by item is the mean of
A less that of B (arXiv 2508.16695 asked 100 people; no number of this workbench replaces one). Knows no model and no
statistics.
"""

from __future__ import annotations

import csv
import html
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from elicit.errors import DataError
from elicit.files import read_text, seed_of, write_text

LOWEST, HIGHEST = 1, 7
RATINGS, KEY, PAGE = "ratings.csv", "key.csv", "packet.html"
_STYLE = "body{max-width:44em;margin:2em auto;font:16px/1.5 sans-serif}pre{white-space:pre-wrap;background:#f4f4f4}"


@dataclass(frozen=True)
class Trace:
    """A trace to rate."""

    policy: str
    item: str
    question: str
    text: str


def write_packet(traces: Sequence[Trace], folder: Path) -> None:
    """Page, sheet and key; nothing is written if the folder holds a packet, whose ratings may have begun.

    The order is a function of the traces. Raises DataError if there is none.
    """
    if (folder / KEY).exists():
        return
    if not traces:
        raise DataError(f"{folder}: no trace to rate; the policies have no sample with a text")
    order = list(traces)
    random.Random(seed_of("packet", *(one.item for one in traces))).shuffle(order)
    parts = [
        f"<h2>{number}</h2><p>{html.escape(one.question)}</p><pre>{html.escape(one.text.strip())}</pre>"
        for number, one in enumerate(order, 1)
    ]
    asked = (
        f"<p>How easy is it to follow each text from one step to the next? {LOWEST}: not at all, {HIGHEST}: without "
        f"any effort. Do not judge whether it is right. Write your name and the number into {RATINGS}.</p>"
    )
    head = f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Rating</title><style>{_STYLE}</style>"
    write_text(folder / PAGE, f"{head}<h1>{len(order)} texts to rate</h1>{asked}{''.join(parts)}</html>\n")
    write_text(
        folder / RATINGS, _csv([("rater", "trace", "legible"), *(("", k, "") for k in range(1, len(order) + 1))])
    )
    rows = [(number, one.policy, one.item) for number, one in enumerate(order, 1)]
    write_text(folder / KEY, _csv([("trace", "policy", "item"), *rows]))


def _csv(rows: Sequence[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def ratings(folder: Path) -> dict[int, list[float]]:
    """Ratings by trace, as many as were filled in. Raises DataError for a number out of range or an unknown trace."""
    known = set(_key(folder))
    out: dict[int, list[float]] = {}
    for line, row in enumerate(_rows(folder / RATINGS, ("rater", "trace", "legible")), 2):
        if not row["legible"].strip():
            continue
        place = f"{folder / RATINGS}, line {line}"
        try:
            trace, value = int(row["trace"]), float(row["legible"])
        except ValueError:
            raise DataError(f"{place}: {row['trace']!r}, {row['legible']!r}: numbers are needed") from None
        if trace not in known or not LOWEST <= value <= HIGHEST:
            raise DataError(f"{place}: trace {trace} rated {value:g}: a trace of the packet, {LOWEST} to {HIGHEST}")
        out.setdefault(trace, []).append(value)
    return out


def differences(folder: Path, a: str, b: str) -> dict[str, float]:
    """Item -> mean rating of policy `a` less that of `b`, for items with ratings of both."""
    given = ratings(folder)
    by_item: dict[str, dict[str, list[float]]] = {}
    for trace, (policy, item) in _key(folder).items():
        if trace in given:
            by_item.setdefault(item, {}).setdefault(policy, []).append(sum(given[trace]) / len(given[trace]))
    both = {item: of for item, of in by_item.items() if a in of and b in of}
    return {item: sum(of[a]) / len(of[a]) - sum(of[b]) / len(of[b]) for item, of in both.items()}


def _key(folder: Path) -> dict[int, tuple[str, str]]:
    rows = _rows(folder / KEY, ("trace", "policy", "item"))
    return {int(row["trace"]): (row["policy"], row["item"]) for row in rows}


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(read_text(path)))
    if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
        raise DataError(f"{path}: no column {missing[0]!r}; its first line is {','.join(columns)}")
    return [{name: row[name] or "" for name in columns} for row in reader]
