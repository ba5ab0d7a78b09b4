"""A published claim, tested again: claim.yaml beside comparison.json says what was claimed, a fixed rule what came out.

    statement: RL steering recovers most of what full RL gains    the claim in one sentence
    source: arXiv 2505.18706                                      where it stands
    policy: rl_steering                                           the policy of the comparison that re-tests it
    quantity: gain                                                acc | gain | ef | ctrl | matched
    published: 0.36                                               the published figure, as a share or a fraction
    tolerance: 0.05                                               how far ours may lie from it (default 0.05)
    same: {model: false, data: true, grader: false}               what of the original was kept; what was not is said

Rule, written down before any result was seen. *Reproduced*: our interval lies within published +- tolerance. *Not
reproduced*: our interval lies outside of it. *Direction only*: neither, but our interval and the published figure are
on the same side of 0. Else *not decidable*. Knows the comparison; recomputes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from elicit.errors import ConfigError, near
from elicit.report.numbers import Shown, Unit, bounds, show
from elicit.report.rows import COLUMNS, Row
from elicit.report.verdict import headline_ef

Outcome = Literal["reproduced", "not reproduced", "direction only", "not decidable"]
QUANTITIES: dict[str, Unit] = {"acc": "percent", "gain": "points", "ef": "ratio", "ctrl": "points", "matched": "points"}
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
    """The claim beside what the comparison holds."""

    claim: Claim
    row: Row
    ours: Shown
    theirs: str
    outcome: Outcome
    differs: list[str]


def read_claim(folder: Path) -> Claim:
    """`folder`/claim.yaml. Raises ConfigError with an example where it is missing or says something else."""
    import yaml

    path = folder / "claim.yaml"
    if not path.exists():
        raise ConfigError(f"{path}: template=claim needs it to know what was claimed. An example:\n{EXAMPLE}")
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as fault:
        raise ConfigError(f"{path}: not YAML ({fault})") from None
    known = [f.name for f in fields(Claim)]
    if not isinstance(told, dict):
        raise ConfigError(f"{path}: expected keys and values. An example:\n{EXAMPLE}")
    faults = [f"{key}: no such key; {near(str(key), known)}" for key in told if key not in known]
    faults += [f"{key} is missing" for key in known[:5] if key not in told]
    if told.get("quantity") not in QUANTITIES:
        faults.append(f"quantity={told.get('quantity')!r}: {near(str(told.get('quantity')), QUANTITIES)}")
    for key in ("published", "tolerance"):
        if key in told and (isinstance(told[key], bool) or not isinstance(told[key], int | float)):
            faults.append(f"{key}={told[key]!r}: a number, such as 0.36")
    if faults:
        raise ConfigError(f"{path}: " + "; ".join(faults))
    return Claim(**told)


def retest(claim: Claim, table: list[Row]) -> Retest:
    """The claim against the comparison. Raises ConfigError where the policy is not in it."""
    rows = [row for row in table if row.policy["name"] == claim.policy]
    if not rows:
        raise ConfigError(
            f"claim.yaml: policy={claim.policy!r}: {near(claim.policy, [r.policy['name'] for r in table])}"
        )
    unit = QUANTITIES[claim.quantity]
    value = _value(rows[0], claim.quantity)
    theirs = show({"point": claim.published, "lo": claim.published, "hi": claim.published}, unit).point
    differs = [name for name, kept in claim.same.items() if not kept]
    return Retest(claim, rows[0], show(value, unit), theirs, _outcome(claim, bounds(value)), differs)


def _value(row: Row, quantity: str) -> Any:
    if quantity == "ef":
        return headline_ef(row.policy)[1]
    return next(column for column in COLUMNS if column.key == quantity).get(row.policy)


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
