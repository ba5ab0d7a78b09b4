"""Tables and numbers for a paper: scorecard.tex and numbers.tex.

`\\elicit{rlvr/acc}` in the paper prints the figure of the last report; an unknown key stops the LaTeX run.
Needs the booktabs package. Recomputes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from elicit.report.numbers import moment, plain
from elicit.report.rows import TableRow
from elicit.report.text import latex, slug
from elicit.report.verdict import verdict_label, verdicts
from elicit.results import Column, Comparison

MACROS = {
    "acc/strict": "acc",
    "gain/B0": "gain",
    "ctrl/gain": "ctrl",
    "matched/hardest": "matched",
    "matched_support/hardest": "matched-support",
}
"""names of the first version's macros; every other column goes by its key"""


def table(rows: Sequence[TableRow], columns: Sequence[Column], comparison: Comparison) -> str:
    """The scorecard as a booktabs table."""
    titles = ["Policy", *(c.title for c in columns), "Tokens", "Class", "Items \u00d7 n", "Seeds", "Verdict"]
    lines = [
        f"% made from comparison {latex(comparison.group)}, {latex(moment(comparison.created))}; "
        "percent and points, 95 % intervals",
        rf"\begin{{tabular}}{{l{'r' * (len(titles) - 2)}l}}",
        r"\toprule",
        " & ".join(latex(title) for title in titles) + r" \\",
    ]
    group = None
    for row in rows:
        if row.group != group:
            group = row.group
            lines += [r"\midrule", rf"\multicolumn{{{len(titles)}}}{{l}}{{\emph{{{latex(group)}}}}} \\"]
        lines.append(" & ".join(_cells(row, columns)) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _cells(row: TableRow, columns: Sequence[Column]) -> list[str]:
    name = r"\quad " * row.depth + latex(row.label)
    return [name, *(latex(row.cell(c).line) for c in columns), *(latex(fact) for fact in _facts(row).values())]


def _facts(row: TableRow) -> dict[str, str]:
    return {"tokens": plain(row.line.number("cost/tokens")), "class": row.data_class, "n": row.sample_size,
            "seeds": str(row.seeds), "verdict": verdict_label(row)}  # fmt: skip


def numbers(rows: Sequence[TableRow], columns: Sequence[Column], comparison: Comparison) -> str:
    r"""Macros: \elicit{POLICY/COLUMN} for every cell, /class /n /seeds /tokens /verdict for every policy."""
    lines = [
        "% \\elicit{policy/column}; unknown keys stop the LaTeX run",
        r"\makeatletter",
        r"\newcommand{\elicit}[1]{\ifcsname elicit@#1\endcsname\csname elicit@#1\endcsname"
        r"\else\errmessage{elicit: no number called #1}\fi}",
        *(_define(f"verdict/{n}", verdict.sentence) for n, verdict in enumerate(verdicts(comparison), 1)),
    ]
    for row, name in zip(rows, _unique([slug(row.line.name) for row in rows]), strict=True):
        lines += [_define(f"{name}/{MACROS.get(c.key) or slug(c.key)}", row.cell(c).line) for c in columns]
        lines += [_define(f"{name}/{key}", value) for key, value in _facts(row).items()]
    return "\n".join([*lines, r"\makeatother"]) + "\n"


def _define(key: str, value: str) -> str:
    return rf"\expandafter\def\csname elicit@{key}\endcsname{{{latex(value)}}}"


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return out
