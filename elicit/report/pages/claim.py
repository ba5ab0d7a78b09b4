"""A published claim, tested again: claim.yaml next to comparison.json states the claim, a fixed rule the outcome.

    statement: RL steering recovers most of what full RL gains    the claim in one sentence
    source: arXiv 2505.18706                                      where it was published
    policy: rl_steering                                           the policy of the comparison that re-tests it
    quantity: gain                                                acc | gain | ef | ctrl | matched
    published: 0.36                                               the published figure, as a share or a fraction
    tolerance: 0.05                                               how far ours may be from it (default 0.05)
    same: {model: false, data: true, grader: false}               what was kept of the original; the rest is listed

Rule, written down before any result was known. *Reproduced*: our interval lies within published +- tolerance. *Not
reproduced*: our interval lies outside of it. *Direction only*: neither, but our interval and the published figure are
on the same side of 0. Else *not decidable*. Knows the comparison; recomputes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from elicit.errors import ConfigError, near
from elicit.files import read_yaml, record
from elicit.report.numbers import Shown, show
from elicit.report.rows import TableRow
from elicit.report.verdict import headline_ef
from elicit.results import Estimate
from elicit.results.comparison import Unit

Outcome = Literal["reproduced", "not reproduced", "direction only", "not decidable"]
QUANTITIES: dict[str, tuple[str, Unit]] = {
    "acc": ("acc/strict", "percent"),
    "gain": ("gain/B0", "points"),
    "ef": ("", "ratio"),
    "ctrl": ("ctrl/gain", "points"),
    "matched": ("matched/hardest", "points"),
}
"""key and unit of what a claim may be about; ef is the fraction that counts (`headline_ef`)"""
EXAMPLE = (
    "statement: ...\nsource: arXiv ...\npolicy: NAME\nquantity: gain\npublished: 0.36\n"
    "tolerance: 0.05\nsame: {model: false, data: true, grader: false}\n"
)


@dataclass(frozen=True)
class Claim:
    """What was published."""

    statement: str
    source: str
    policy: str
    quantity: str
    published: float
    tolerance: float = 0.05
    same: dict[str, bool] = field(default_factory=dict)
    """what of the original was kept: model, data, grader, prompt, ..."""


@dataclass(frozen=True)
class Retest:
    """The claim and the measured value."""

    claim: Claim
    row: TableRow
    ours: Shown
    theirs: str
    outcome: Outcome
    differs: list[str]


def read_claim(folder: Path) -> Claim:
    """`folder`/claim.yaml. Raises ConfigError with an example if it is missing or not of this form."""
    path = folder / "claim.yaml"
    if not path.exists():
        raise ConfigError(f"{path}: template=claim needs it to know what was claimed. An example:\n{EXAMPLE}")
    content = read_yaml(path)
    known = [f.name for f in fields(Claim)]
    faults = [f"{key}: no such key; {near(str(key), known)}" for key in content if key not in known]
    faults += [f"{key} is missing: write `{key}: ...`" for key in known[:5] if key not in content]
    if str(content.get("quantity")) not in QUANTITIES:
        faults.append(f"quantity={content.get('quantity')!r}: {near(str(content.get('quantity')), QUANTITIES)}")
    for key in ("published", "tolerance"):
        if key in content and (isinstance(content[key], bool) or not isinstance(content[key], int | float)):
            faults.append(f"{key}={content[key]!r}: a number, such as 0.36")
    if isinstance(tolerance := content.get("tolerance", 0.05), int | float) and tolerance < 0:
        faults.append(f"tolerance={tolerance}: 0 or more")
    if faults:
        raise ConfigError(f"{path}: " + "; ".join(faults))
    return record(Claim, content, path)


def retest(claim: Claim, table: Sequence[TableRow]) -> Retest:
    """The claim against the comparison. Raises ConfigError if the policy is not in it."""
    row = next((row for row in table if row.line.name == claim.policy), None)
    if row is None:
        names = [row.line.name for row in table]
        raise ConfigError(f"claim.yaml: policy={claim.policy!r}: {near(claim.policy, names)}")
    key, unit = QUANTITIES[claim.quantity]
    value = headline_ef(row.line)[1] if claim.quantity == "ef" else row.line.get(key)
    theirs = show(Estimate(claim.published, claim.published, claim.published), unit).point
    differs = [name for name, kept in claim.same.items() if not kept]
    return Retest(claim, row, show(value, unit), theirs, _outcome(claim, value.bounds if value else None), differs)


def _outcome(claim: Claim, ours: tuple[float, float, float] | None) -> Outcome:
    if ours is None:
        return "not decidable"
    low, high = claim.published - claim.tolerance, claim.published + claim.tolerance
    if low <= ours[1] and ours[2] <= high:
        return "reproduced"
    if ours[2] < low or ours[1] > high:
        return "not reproduced"
    clear = (ours[1] > 0 and claim.published > 0) or (ours[2] < 0 and claim.published < 0)
    return "direction only" if clear else "not decidable"
