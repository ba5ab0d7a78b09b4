"""Warnings shown with a comparison: one rule, one sentence each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elicit.evaluate.metrics.accuracy import COLUMNS
from elicit.evaluate.metrics.control import NO_PLACEBO
from elicit.evaluate.metrics.elicitation import TOO_SMALL
from elicit.evaluate.metrics.endings import endings
from elicit.evaluate.metrics.table import Table
from elicit.evaluate.statistics.resamples import SMALL
from elicit.records import BARE
from elicit.results import Line
from elicit.results.comparison import NO_CEILING

TRUNCATED = 0.02
UNLIKE_TRUNCATED = 0.05
"""difference between a method's and the base's share of truncated answers"""
UNANSWERED = 0.3
"""share of samples without a declared answer"""
ROUNDING = 1e-9
"""by which equal shares may differ"""
SHORT_B2 = 0.9
"""share of a method's tokens that its rung B2 has to spend"""


def collect(table: Table, lines: Sequence[Line]) -> tuple[str, ...]:
    """All warnings of a comparison, general ones first."""
    return (*_general(table, lines), *(text for line in lines for text in _of_line(table, line)))


def _general(table: Table, lines: Sequence[Line]) -> list[str]:
    out = []
    if not table.checkpoint.get("base_model", True):
        out.append("not a base model: no latent claim")
    elif table.checkpoint.get("chat_template") and table.checkpoint.get("base_model_stated") is False:
        out.append(
            "the tokenizer has a chat template: if this is not a base model, no latent claim holds; state "
            "model.base_model=true or false"
        )
    if len(engines := set(table.settings.get("engines", {}).values())) > 1 or "mixed" in engines:
        by_engine = {one: [name for name, own in table.settings["engines"].items() if own == one] for one in engines}
        shown = "; ".join(f"{engine}: {', '.join(names)}" for engine, names in sorted(by_engine.items()))
        out.append(f"drawn by different engines ({shown}): a part of a difference may be the engine")
    if any(line.seeds == 1 for line in lines if line.role == "method"):
        out.append("1 seed: interval over items only")
    if table.dropped:
        out.append(f"{table.dropped} items left out: a policy has no graded sample of them")
    clusters = table.joint.resamples.clusters
    if clusters < SMALL:
        out.append(f"{clusters} clusters: Jeffreys intervals for proportions, wide ones for differences")
    if table.b1 is None:
        out.append("rung B1 was not measured: gains are against B0's prompt only")
    if (shared := table.base.first.prompt) != BARE:
        out.append(
            f"base, methods and controls are asked with the prompt {shared} (eval.prompt); what it holds belongs to "
            "the base: the data class of a method counts what it adds"
        )
    read = {arm.first.name: all(m.first_N_J is not None for m in arm.measures) for arm in table.arms}
    if any(read.values()) and not table.joint.has(table.base.key, "any"):
        lacking = ", ".join(name for name, known in read.items() if not known) or "some items"
        out.append(
            f"first declarations are not graded of {lacking}: no share of termination; grade again (elicit score)"
        )
    if table.c1 is not None and table.c1.refused:
        out.append(f"C1: {table.c1.refused}")
    if (below := _no_ceiling(table)) is not None:
        out.append(below)
    sizes: dict[int, list[str]] = {}
    for line in lines:
        if line.role != "ceiling":
            sizes.setdefault(line.n, []).append(line.name)
    if single := sizes.pop(1, None):
        out.append(f"n = 1, no coverage and no vote: {', '.join(single)}")
    if len(sizes) > 1:
        out.append("unequal numbers of samples: " + "; ".join(f"n={n}: {', '.join(sizes[n])}" for n in sorted(sizes)))
    return out


def _no_ceiling(table: Table) -> str | None:
    """That C1 lies below B1's accuracy (B0's, if B1 was not measured) by the same reading: it bounds nothing then."""
    c1, drawn, rung = table.c1, table.c1_arm, table.b1 or table.base
    if c1 is None or drawn is None or c1.values_N is None:
        return None
    reached, solved = table.joint.mean("C1")[0], table.joint.mean(rung.key, COLUMNS[c1.reading])[0]
    if reached >= solved - ROUNDING:
        return None
    fix = f"it is {c1.kind}, at k={c1.k} and temperature 1; a larger eval.support_n raises k"
    if drawn.first.prompt != rung.first.prompt:
        fix = "eval.c1_prompt=best draws it at B1's prompt"
    return (
        f"{NO_CEILING}: {reached:.1%}, drawn at the prompt {drawn.first.prompt}, is below the accuracy of the base "
        f"at the prompt {rung.first.prompt}, {solved:.1%} by the same reading; {fix}"
    )


def _of_line(table: Table, line: Line) -> list[str]:
    name = line.name + (f" ({line.prompt})" if line.prompt != table.base.first.prompt else "")
    truncated, ungraded, missing = (line.number(key) or 0.0 for key in ("truncated", "ungraded", "missing"))
    out = []
    if truncated > TRUNCATED:
        out.append(f"{name}: {truncated:.1%} truncated; sample again with twice the limit (max_new_tokens)")
    if ungraded > 0:
        out.append(f"{name}: {ungraded:.2%} ungraded, left out of its accuracy; grade again (elicit score)")
    if missing > 0:
        out.append(f"{name}: {missing:.2%} of the samples are missing and count as not right; elicit resume")
    if (unanswered := line.number("noanswer") or 0.0) > UNANSWERED:
        out.append(f"{name}: {unanswered:.1%} of its samples hold no declared answer; see its lenient accuracy")
    if not line.at_own_prompt and (said := line.notes.get("fit/warnings")):
        out.append(f"{name}: its fit warns: {said}")
    if line.role != "method" or line.at_own_prompt:
        return out
    truncated_base = float(np.mean([endings(m)["truncated"] for m in table.base.measures]))
    if abs(truncated - truncated_base) > UNLIKE_TRUNCATED:
        out.append(
            f"{name}: {truncated:.1%} truncated, the base {truncated_base:.1%}; a part of its gain or loss is stopping "
            "in time: see the share of termination, or raise max_new_tokens"
        )
    for pair, estimate in line.under("ef").items():
        if estimate.refused is not None and estimate.refused.startswith(TOO_SMALL):
            out.append(f"{name}: EF {pair} refused, {estimate.refused}")
    if line.values["ctrl/gain"] == NO_PLACEBO:
        out.append(f"{name}: no control-adjusted gain, {NO_PLACEBO.refused}")
    if table.b1 is not None and table.b1 is not table.base and line.own_prompt is None:
        out.append(f"{name}: measured at B0's prompt only; against B1 it has no prompt of its own")
    if rung := _shorter_b2(table, line):
        out.append(f"{name}: {rung}; a part of its remainder may be tokens")
    if shared := line.ledger.get("overlap_run", 0):
        whole = line.ledger.get("overlap_exact", 0)
        out.append(f"{name}: its foreign text shares 13 words or more with {shared} test items, {whole} of them whole")
    if line.data_class in (None, "unaccounted"):
        out.append(f"{name}: its use of data is unaccounted for: no headline")
    return out


def _shorter_b2(table: Table, line: Line) -> str | None:
    """That B2 spends clearly fewer tokens than the method: the token limit, or rounds that ran out."""
    rung = next((arm for arm in table.arms if arm.first.name == line.notes.get("split/b2")), None)
    own = line.number("cost/tokens")
    if rung is None or own is None:
        return None
    spent = float(np.nanmean(rung.measures[0].tokens_N_J))
    return f"its rung {rung.first.name} spends {spent:.0f} tokens, not {own:.0f}" if spent < SHORT_B2 * own else None
