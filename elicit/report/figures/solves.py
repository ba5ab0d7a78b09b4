"""Which policy solves which item.

Question: does a method solve the base's items more often, or other items?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elicit.report.figures.figure import Axis, Chart, Figure, Heat, Inputs, Mark, Rule, Text
from elicit.report.figures.marks import INK, PALETTE, PAPER, listed, name
from elicit.report.figures.series import Rows, head

if TYPE_CHECKING:
    from elicit.report.rows import TableRow


def solvers(inputs: Inputs) -> dict[str, TableRow]:
    """Column of the CSV -> policy, for every policy whose items were recorded; equal names are told apart by id."""
    items, by_policy = inputs.solves.items, inputs.solves.by_policy
    base = {row.line.id for row in inputs.rows if row.role in ("base", "prompt")}  # C1 is B0 or B1, sampled again
    shown = [row for row in inputs.rows if items and len(by_policy.get(row.line.id, ())) == len(items)
             and not (row.role == "ceiling" and row.line.id in base)]  # fmt: skip
    names = [row.name for row in shown]
    return {row.name if names.count(row.name) == 1 else f"{row.name} {row.line.id}": row for row in shown}


def rows(inputs: Inputs) -> Rows:
    """Share of samples that solve each item: one row per item, one column per policy; hardest for the base last."""
    policies = solvers(inputs)
    if not policies:
        return []
    columns = {name: inputs.solves.by_policy[row.line.id] for name, row in policies.items()}
    base = next((name for name, row in policies.items() if row.badge == "B0"), next(iter(columns)))
    total = [sum(share or 0 for share in shares) for shares in zip(*columns.values(), strict=True)]
    order = sorted(range(len(total)), key=lambda i: (-(columns[base][i] or 0), -total[i], i))
    return [{"item": inputs.solves.items[i]} | {name: column[i] for name, column in columns.items()} for i in order]


def chart(rows: Rows, inputs: Inputs) -> Chart:
    """A strip: one column per item, one line per policy, darker the more of its samples solve the item.

    The tone is opacity of one colour, so it reads on paper and in the dark.
    """
    policies = solvers(inputs)
    shares = [[float(row[column] or 0) for row in rows] for column in policies]
    marks: list[Mark] = [Heat([[0.15 + 0.85 * share if share > 0 else 0 for share in own] for own in shares],
                              PALETTE[0], left=0)]  # fmt: skip
    marks += [Rule(PAPER, y=y - 0.5, width=1.2) for y in range(1, len(shares))]
    base = next((i for i, row in enumerate(policies.values()) if row.badge == "B0"), None)
    if base is not None:
        solved = sum(share > 0 for share in shares[base])
        marks.append(Rule(INK, x=solved))
        marks.append(Text(solved, 1, f"{len(rows) - solved} items never solved by the base", INK, (3, 4),
                          "left" if solved < 0.65 * len(rows) else "right", "baseline", "y"))  # fmt: skip
    return Chart(
        (10.4, 0.8 + 0.2 * len(shares)), marks, Axis(f"{len(rows)} items, easiest for the base first"),
        listed([name(head(row)) for row in policies.values()],
               [row.depth for row in policies.values()]))  # fmt: skip


SOLVES = Figure(
    "solves", "Who solves what", "solves",
    "One column per item, the stronger the tone the more of a policy's samples solve it. Right of the rule: never "
    "solved by the base.", rows, chart)  # fmt: skip
