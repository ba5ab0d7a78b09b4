"""Tables and numbers for a paper: scorecard.tex and numbers.tex.

`\\elicit{rlvr/acc}` in the paper prints the figure of the last report, an unknown key is an error of the LaTeX
run and not a blank. Needs the booktabs package. Recomputes nothing.
"""

from __future__ import annotations

from typing import Any

from elicit.report.numbers import plain
from elicit.report.rows import Column, Row
from elicit.report.text import latex, slug
from elicit.report.verdict import verdicts, word


def table(rows: list[Row], columns: list[Column], comparison: dict[str, Any]) -> str:
    """The scorecard as a booktabs table."""
    titles = ["Policy", *(c.title for c in columns), "Tokens", "Class", "Items \u00d7 n", "Seeds", "Verdict"]
    lines = [
        f"% made from comparison {latex(comparison.get('group') or '')}, {latex(comparison.get('created') or '')}; "
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


def _cells(row: Row, columns: list[Column]) -> list[str]:
    tokens = plain((row.policy.get("cost") or {}).get("tokens_per_answer"))
    name = r"\quad " * row.depth + latex(row.label)
    told = [tokens, row.data_class, row.sample_size, row.seeds, word(row)]
    return [name, *(latex(row.cell(c).line) for c in columns), *(latex(text) for text in told)]


def numbers(rows: list[Row], columns: list[Column], comparison: dict[str, Any]) -> str:
    r"""Macros: \elicit{POLICY/COLUMN} for every cell, /class /n /seeds /tokens /verdict for every policy."""
    lines = [
        "% \\elicit{policy/column}; unknown keys stop the LaTeX run",
        r"\makeatletter",
        r"\newcommand{\elicit}[1]{\ifcsname elicit@#1\endcsname\csname elicit@#1\endcsname"
        r"\else\errmessage{elicit: no number called #1}\fi}",
        *(_define(f"verdict/{n}", verdict.sentence) for n, verdict in enumerate(verdicts(comparison), 1)),
    ]
    for row, name in zip(rows, _unique([slug(row.policy["name"]) for row in rows]), strict=True):
        facts = {"class": row.data_class, "n": row.sample_size, "seeds": row.seeds, "verdict": word(row),
                 "tokens": plain((row.policy.get("cost") or {}).get("tokens_per_answer"))}  # fmt: skip
        lines += [_define(f"{name}/{c.key.replace('_', '-')}", row.cell(c).line) for c in columns]
        lines += [_define(f"{name}/{key}", value) for key, value in facts.items()]
    return "\n".join([*lines, r"\makeatother"]) + "\n"


def _define(key: str, value: Any) -> str:
    return rf"\expandafter\def\csname elicit@{key}\endcsname{{{latex(value)}}}"


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return out
