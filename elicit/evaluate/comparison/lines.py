"""The lines of a comparison: one policy (or arm with several seeds) each, with every number it owes.

EF against B0 compares bare with bare, EF against B1 best with best: where a method was also measured at its
own dev-best prompt, that line gives the figures against B1, and `own_prompt` names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from elicit.evaluate.measures.measure import timings
from elicit.evaluate.metrics.accuracy import accuracy as right_shares
from elicit.evaluate.metrics.control import control_adjusted
from elicit.evaluate.metrics.cost import cost
from elicit.evaluate.metrics.distance import distances
from elicit.evaluate.metrics.elicitation import Mean, elicitation_fraction
from elicit.evaluate.metrics.endings import endings
from elicit.evaluate.metrics.rungs import B2
from elicit.evaluate.metrics.split import Graded, split_gain
from elicit.evaluate.metrics.support import support
from elicit.evaluate.metrics.validity import validity
from elicit.evaluate.statistics.resamples import Estimate, refusal
from elicit.evaluate.statistics.significance import benjamini_hochberg, detectable, holm, sign_flip, sign_flip_test

if TYPE_CHECKING:
    from elicit.evaluate.metrics.table import Row, Table

FITTED = ("method", "placebo", "rival")


def lines(table: Table) -> list[dict[str, Any]]:
    """All lines, in the order of the entries, with the corrected p values put in."""
    far = distances(table)
    out = [_line(table, row) | far[row.key] for row in table.rows]
    _correct(out)
    return out


def ceilings(table: Table) -> dict[str, Estimate]:
    """C1, C4, and C2 and C3 where they were asked for: an estimate each, or why there is none."""
    return {name: _ceiling_estimate(table, name) for name in table.ceilings}


def _ceiling_estimate(table: Table, name: str) -> Estimate:
    mean = _ceiling(table, name)
    if isinstance(mean, dict):
        return mean
    if name == "C1":  # coverage, perhaps net of guessing
        return table.joint.resamples.curved(*mean, table.joint.values_N("C1"), bounded=False)
    return table.joint.resamples.proportion(*mean)


def _ceiling(table: Table, name: str) -> Mean | Estimate:
    """The joint mean of a ceiling, or a refusal."""
    if name != "C1":
        row = table.ceiling(name)
        if row is None:
            return refusal(table.config.refused.get(name, "no planted ability: the opener was not forced"))
        return table.joint.mean(row.key)
    if table.c1 is None:
        return refusal("no samples of the base in regime support")
    return refusal(table.c1.refused) if table.c1.refused else table.joint.mean("C1")


def _line(table: Table, row: Row) -> dict[str, Any]:
    first, proportion = row.first, table.joint.resamples.proportion
    accuracy = table.joint.mean(row.key)
    shares = _mean_shares([endings(m) for m in row.measures])
    bare = first.prompt == table.base.first.prompt
    elsewhere = refusal("controls were measured at the bare prompt: see the line there")
    line = {
        **_identity(row),
        "at_own_prompt": first.role == "method" and not bare,
        "n_items": len(table.items),
        "n": row.measures[0].n,
        "data_class": first.data_class,
        "ledger": dict(first.ledger),
        "acc": proportion(*accuracy),
        "lenient": proportion(*table.joint.mean(row.key, "lenient")),
        "format_share": table.joint.mean(row.key, "lenient")[0] - accuracy[0],
        "cov": _curve(table, row, "cov"),
        "cov_net": {**_curve(table, row, "cov_net"), "guessing": row.guessing},
        "maj": {**_curve(table, row, "maj"), "tied": row.tied, "silent": row.silent},
        "pass_hat": _curve(table, row, "pass_hat"),
        "gain": {},
        "ef": {},
        "ctrl": refusal("not a method"),
        "matched": refusal("not a method"),
        "split": refusal("not fitted"),
        "cost": _cost(table, row),
        **shares,
        "valid": validity(row.measures[0]),
        "run": first.run,
        "edit": first.edit,
    }
    if first.role in FITTED or row is table.b1 or first.name.startswith(B2):
        line.update(_against(table, row))
    if first.role in FITTED:
        for base, key in zip(table.matched_bases, ("matched", "matched_support"), strict=False):
            line[key] = _matched(table, row, base) if bare else elsewhere
        line["split"] = _split(table, row) if bare else elsewhere
        line["support"] = support(row.measures[0], table.base.measures[0], table.joint.resamples)
    if first.role == "method" and not bare:
        line["ctrl"] = elsewhere
    elif first.role == "method":
        floor = table.joint.mean(table.base.key)
        line["ctrl"] = control_adjusted(table.joint.resamples, accuracy, floor, _placebos(table, row))
        line["p"] = _p_values(table, row)
    return line


def _identity(row: Row) -> dict[str, Any]:
    first = row.first
    return {
        "id": first.policy,
        "name": first.name,
        "role": first.role,
        "method": first.method,
        "parent": first.parent,
        "arm": first.arm,
        "prompt": " or ".join(dict.fromkeys(entry.prompt for entry in row.entries)),
        "seed": first.seed if len(row.entries) == 1 else None,
        "seeds": len(row.entries),
        "members": [
            {"id": entry.policy, "seed": entry.seed, "run": entry.run, "acc": float(right_shares(m).mean())}
            for entry, m in zip(row.entries, row.measures, strict=True)
        ],
    }


def _curve(table: Table, row: Row, name: str) -> dict[str, Any]:
    """A curve over k = 1, 2, 4 .. n/2 with its band."""
    if not row.ks:
        return refusal(f"n = {row.measures[0].n}: k needs 2k samples")
    estimates = [_point(table, row.key, f"{name}@{k}") for k in row.ks]
    if "refused" in estimates[0]:
        return refusal(estimates[0]["refused"], k=row.ks, point=[e["point"] for e in estimates])
    return {"k": row.ks, **{part: [e[part] for e in estimates] for part in ("point", "lo", "hi")}}


def _point(table: Table, key: str, metric: str) -> Estimate:
    """A point of a curve: votes are shares like accuracy, coverages are skewed, and net of guessing not even shares."""
    joint, mean = table.joint, table.joint.mean(key, metric)
    if metric.startswith("maj"):
        return joint.resamples.proportion(*mean)
    return joint.resamples.curved(*mean, joint.values_N(key, metric), bounded=not metric.startswith("cov_net"))


def _against(table: Table, row: Row) -> dict[str, Any]:
    """Gains and fractions against both rungs."""
    joint, resamples = table.joint, table.joint.resamples
    best = _best_prompt_row(table, row)
    known = dict.fromkeys(entry.own_prompt for entry in row.entries if entry.own_prompt is not None)
    out: dict[str, Any] = {"gain": {}, "ef": {}, "own_prompt": " or ".join(known) or None}
    levels = {"B0": (table.base, row), "B1": (table.b1, best)}
    for rung, (base, own) in levels.items():
        if base is None:
            out["gain"][rung] = refusal("rung B1 was not measured")
        elif rung == "B0" and row.first.prompt != table.base.first.prompt and row.first.role in FITTED:
            out["gain"][rung] = refusal("bare is compared with bare: see the line at the bare prompt")
        else:
            out["gain"][rung] = resamples.difference(joint.mean(own.key), joint.mean(base.key))
        for name in table.ceilings:
            out["ef"][f"{rung}/{name}"] = _fraction(table, out["gain"][rung], base, own, name)
    return out


def _split(table: Table, row: Row) -> dict[str, Any]:
    """The gain over B0 of the row, asked as it is best, in telescoping parts."""
    own = _best_prompt_row(table, row)
    rungs = [None if rung is None else _graded(table, rung) for rung in (table.b1, table.b2(own))]
    parts = split_gain(table.joint.resamples, _graded(table, own), _graded(table, table.base), *rungs)
    return {
        **parts,
        "prompt_of_method": ", ".join(dict.fromkeys(entry.prompt for entry in own.entries)),
        "b2": own.first.b2,
    }


def _graded(table: Table, row: Row) -> Graded:
    return Graded(table.joint.mean(row.key), table.joint.mean(row.key, "lenient"))


def _fraction(table: Table, gain: Estimate, base: Row | None, own: Row, ceiling: str) -> Estimate:
    if base is None or ("refused" in gain and "point" not in gain):
        return refusal(gain["refused"])
    top = _ceiling(table, ceiling)
    if isinstance(top, dict):
        return refusal(f"{ceiling}: {top['refused']}")
    return elicitation_fraction(table.joint.resamples, table.joint.mean(own.key), table.joint.mean(base.key), top)


def _best_prompt_row(table: Table, row: Row) -> Row:
    """The line of the same arm at its own dev-best prompt; the line itself where there is none."""
    first = row.first
    for other in table.rows:
        same = (other.first.role, other.first.name, other.first.arm) == (first.role, first.name, first.arm)
        if same and first.prompt == table.base.first.prompt and other.first.prompt != first.prompt:
            return other
    return row


def _placebos(table: Table, row: Row) -> dict[str, Any]:
    """Means of a method's placebos."""
    own = [r for r in table.rows if r.first.role == "placebo" and r.first.parent == row.first.name]
    return {r.first.name: table.joint.mean(r.key) for r in own}


def _matched(table: Table, row: Row, base: Row) -> dict[str, Any]:
    """Paired differences to as many samples of `base` as the row's tokens pay for: to their vote and their surest."""
    match, joint = row.match[base.regime], table.joint

    def against(metric: str) -> dict[str, Any]:
        value = joint.mean(base.key, f"{metric}@{match.k}")
        return {"difference": joint.resamples.difference(joint.mean(row.key), value), "base": value[0]}

    unknown = refusal("the base's samples were stored without their certainty: delete them, sample them again")
    best = against("best") if joint.has(base.key, f"best@{match.k}") else unknown
    return {"k": match.k, **against("vote"), "note": match.note, "regime": base.regime, "best": best}


def _cost(table: Table, row: Row) -> dict[str, Any]:
    parameters = table.checkpoint.get("n_parameters")
    return cost(row.measures[0], timings(row.first.samples), parameters, row.first.fit_seconds)


def _mean_shares(all_shares: list[dict[str, Any]]) -> dict[str, Any]:
    """Ending shares averaged over the seeds."""
    names = sorted({name for shares in all_shares for name in shares["finish"]})
    finish = {name: float(np.mean([shares["finish"].get(name, 0.0) for shares in all_shares])) for name in names}
    rest = {key: float(np.mean([shares[key] for shares in all_shares])) for key in all_shares[0] if key != "finish"}
    return {"finish": finish, **rest}


def _p_values(table: Table, row: Row) -> dict[str, Any]:
    """Sign-flip p of the gain, one-sided p of the control-adjusted gain (the largest over its comparators)."""
    joint, draws = table.joint, table.config.draws
    clusters_N = joint.resamples.codes_N
    best, rung = _best_prompt_row(table, row), table.b1 or table.base
    own = best if table.b1 is not None else row
    gain_N = joint.values_N(own.key) - joint.values_N(rung.key)
    test, clusters = sign_flip_test(gain_N, clusters_N, draws), joint.resamples.clusters
    out: dict[str, Any] = {
        "gain": test.p,
        "exact": test.exact,
        "detectable": detectable(joint.resamples.standard_error(gain_N), clusters) if clusters > 1 else None,
    }
    placebos = [r for r in table.rows if r.first.role == "placebo" and r.first.parent == row.first.name]
    if placebos:
        own_N = joint.values_N(row.key)
        bars = [joint.values_N(r.key) for r in [table.base, *placebos]]
        over_items = max(sign_flip(own_N - bar_N, clusters_N, draws, one_sided=True) for bar_N in bars)
        out["ctrl"] = max(over_items, _p_over_seeds(table, row, placebos))
    return out


def _p_over_seeds(table: Table, row: Row, placebos: list[Row]) -> float:
    """Share of joint draws without a control-adjusted gain; 0 where nothing has several seeds.

    Flipping signs over items can't see that a placebo is a lottery over its draws.
    """
    if all(len(each.entries) == 1 for each in [row, *placebos]):
        return 0.0
    mean = table.joint.mean
    bar_B = np.max([mean(each.key)[1] for each in [table.base, *placebos]], axis=0)
    return float((1 + (mean(row.key)[1] <= bar_B).sum()) / (1 + len(bar_B)))


def _correct(out: list[dict[str, Any]]) -> None:
    """Holm over the primary family, Benjamini-Hochberg beside it."""
    tests = [(line, name) for line in out for name in ("gain", "ctrl") if name in line.get("p", {})]
    raw = [line["p"][name] for line, name in tests]
    for (line, name), adjusted, exploratory in zip(tests, holm(raw), benjamini_hochberg(raw), strict=True):
        line["p"][f"{name}_holm"], line["p"][f"{name}_bh"] = adjusted, exploratory


def family(out: list[dict[str, Any]]) -> dict[str, Any]:
    """The primary family: methods x {gain behind EF, control-adjusted gain}, Holm-corrected."""
    tests = [(line, name) for line in out for name in ("gain", "ctrl") if name in line.get("p", {})]
    return {
        "correction": "Holm",
        "tests": [
            {
                "policy": line["id"],
                "name": line["name"],
                "test": name,
                "p": line["p"][name],
                "holm": line["p"][f"{name}_holm"],
            }
            for line, name in tests
        ],
    }
