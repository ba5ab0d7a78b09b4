"""Comparison files of schema 1, brought up to date on reading.

Schema 1 nested its numbers by hand ("ctrl": {"gain": {...}}, "cov": {"k": [...], ...}); schema 2 keys every number by a
path. Titles and meanings did not exist in the file, so `columns` stays as this module lists it: the scorecard and the
tables of the first version. Nothing is computed but the harder of the two rivals at equal tokens, which the first
version computed on reading, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elicit.errors import DataError
from elicit.results.comparison import (
    Ceiling,
    Column,
    Comparison,
    FamilyTest,
    Line,
    Member,
    Pair,
    Rungs,
    Setup,
    Side,
    Solves,
    Trace,
)
from elicit.results.estimate import Curve, Estimate

COSTS = {
    "tokens_per_answer": "tokens", "aux_tokens_per_answer": "aux_tokens", "flops_per_answer": "flops",
    "fit_seconds": "fit_seconds", "seconds": "seconds", "peak_bytes": "peak_bytes",
}  # fmt: skip
IDENTITY = ("id", "name", "role", "method", "parent", "arm", "own_prompt", "seed", "data_class", "run")
ENDINGS = ("truncated", "empty", "noanswer", "ungraded", "missing")
VALIDITY = ("valid", "valid_given_correct", "correct_given_valid", "unearned", "phi", "odds_ratio")


def upgraded(content: Mapping[str, Any], where: str) -> Comparison:
    """The typed comparison of a file of schema 1. Raises DataError if a policy lacks its identity."""
    policies = content.get("policies") or []
    for number, policy in enumerate(policies):
        if missing := [key for key in ("id", "name", "role", "acc") if key not in policy]:
            lacking = ", ".join(missing)
            raise DataError(f"{where}: policy {number} has no {lacking}; make it again with `elicit compare`")
    rungs, settings, c1 = content.get("rungs") or {}, content.get("settings") or {}, content.get("c1")
    solves, family = content.get("solves") or {}, content.get("family") or {}
    return Comparison(
        group=str(content.get("group")),
        task=str(content.get("task")),
        lines=[upgraded_line(policy) for policy in policies],
        columns=COLUMNS,
        setup=Setup(
            n=settings.get("n") or 0,
            n_items=settings.get("n_items") or 0,
            clusters=settings.get("clusters") or 0,
            regime=settings.get("regime") or "compare",
            prompts=tuple(settings.get("prompts") or ()),
            **{
                name: settings.get(name)
                for name in ("max_new_tokens", "limit", "bootstrap_draws", "seed", "engine", "dtype", "attention")
            },
        ),
        rungs=Rungs(str(rungs.get("B0") or ""), rungs.get("B1"), rungs.get("B1_prompt"), tuple(rungs.get("B2") or ())),
        created=content.get("created") if isinstance(content.get("created"), int | float) else None,
        frozen=content.get("frozen") or "after",
        checkpoint=dict(content.get("checkpoint") or {}),
        ceilings={name: _estimate(value) for name, value in (content.get("ceilings") or {}).items()},
        c1=Ceiling(c1["kind"], c1["k"], c1.get("guessing")) if c1 else None,
        correction=family.get("correction") or "Holm",
        tests=tuple(FamilyTest(**test) for test in family.get("tests") or ()),
        pairs=tuple(
            Pair(p["a"], p["b"], tuple(p["names"]), tuple(p["prompts"]), _estimate(p["difference"]))
            for p in content.get("pairs") or ()
        ),
        solves=Solves(
            tuple(solves.get("items") or ()),
            {policy: tuple(shares) for policy, shares in (solves.get("by_policy") or {}).items()},
        ),
        traces=tuple(_trace(trace) for trace in content.get("traces") or ()),
        warnings=tuple(content.get("warnings") or ()),
        calibration=dict(content.get("calibration") or {}),
        commands=tuple(content.get("commands") or ()),
        provenance=dict(content.get("provenance") or {}),
    )


def upgraded_line(policy: Mapping[str, Any]) -> Line:
    """One policy: identity, then every group of numbers under its path."""
    identity: dict[str, Any] = {key: policy.get(key) for key in IDENTITY}
    line = Line(
        **identity,
        prompt=policy.get("prompt") or "bare",
        at_own_prompt=bool(policy.get("at_own_prompt")),
        seeds=policy.get("seeds") or 1,
        members=tuple(Member(m["id"], m.get("seed"), m.get("run"), m["acc"]) for m in policy.get("members") or ()),
        n_items=policy.get("n_items") or 0,
        n=policy.get("n") or 0,
        ledger=dict(policy.get("ledger") or {}),
    )
    for name, key in (("acc", "acc/strict"), ("lenient", "acc/lenient"), ("format_share", "acc/format_share")):
        _put(line, key, policy.get(name))
    for name in ("cov", "cov_net", "maj", "pass_hat"):
        if (curve := policy.get(name)) is not None:
            line.curves[name] = _curve(curve)
    for group in ("gain", "ef"):
        for key, value in (policy.get(group) or {}).items():
            _put(line, f"{group}/{key}", value)
    _group(line, "ctrl", policy.get("ctrl"), ("gain", "specificity"))
    for group in ("matched", "matched_support"):
        _matched(line, group, policy.get(group))
    _group(line, "split", policy.get("split"), ("gain", "format", "prompt", "budget", "remainder"))
    _support(line, policy.get("support"))
    _validity(line, policy.get("valid"))
    for group in ("kl", "likelihood"):
        known = [key for key in policy.get(group) or {} if key not in ("refused", "regime", "n_items", "n")]
        _group(line, group, policy.get(group), known or ["sequence" if group == "kl" else "nll"])
    costs = policy.get("cost") or {}
    for name, key in COSTS.items():
        _put(line, f"cost/{key}", costs.get(name))
    for answers, seconds in (costs.get("seconds_amortised") or {}).items():
        _put(line, f"cost/seconds_amortised/{answers}", seconds)
    for ending, share in (policy.get("finish") or {}).items():
        _put(line, f"finish/{ending}", share)
    for key in ENDINGS:
        _put(line, key, policy.get(key))
    _group(line, "p", policy.get("p"), [key for key in policy.get("p") or {} if key != "exact"])
    _group(line, "edit", policy.get("edit"), ["relative_norm"] if policy.get("edit") else [])
    return line


def _put(line: Line, key: str, value: Any) -> None:
    """An estimate, a refusal or a bare number under its key; nothing if it was not measured."""
    if isinstance(value, Mapping):
        line.values[key] = _estimate(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        line.values[key] = Estimate(value)


def _group(line: Line, group: str, content: Any, keys: Sequence[str]) -> None:
    """Numbers of a nested group; a refused group refuses each of them. What is no number becomes a note."""
    if content is None:
        return
    if "refused" in content:
        for key in keys:
            line.values[f"{group}/{key}"] = _estimate(content)
        return
    for key, value in content.items():
        if key in keys:
            _put(line, f"{group}/{key}", value)
        elif value is not None:
            line.notes[f"{group}/{key}"] = value


def _matched(line: Line, group: str, content: Any) -> None:
    """Equal tokens: against the base's vote, its surest sample, and the harder of the two."""
    if content is None:
        return
    if "refused" in content:
        for key in ("difference", "best", "hardest"):
            line.values[f"{group}/{key}"] = _estimate(content)
        return
    best = content.get("best")
    refused = best is not None and "refused" in best
    _put(line, f"{group}/difference", content.get("difference"))
    _put(line, f"{group}/base", content.get("base"))
    _put(line, f"{group}/k", content.get("k"))
    _put(line, f"{group}/best", best if refused else (best or {}).get("difference"))
    _put(line, f"{group}/best_base", None if refused else (best or {}).get("base"))
    line.notes |= {f"{group}/{key}": content[key] for key in ("note", "regime") if content.get(key) is not None}
    rivals = [line.values[key] for key in (f"{group}/difference", f"{group}/best") if key in line.values]
    claimed = [value for value in rivals if value.bounds is not None]
    if rivals:
        line.values[f"{group}/hardest"] = min(claimed, key=lambda v: v.lo or 0.0) if claimed else rivals[0]


def _support(line: Line, content: Any, group: str = "support") -> None:
    if content is None:
        return
    if "refused" in content:
        for key in ("SRR", "NDR", "NSCR", "excess"):
            line.values[f"{group}/{key}"] = _estimate(content)
        return
    intervals = content.get("intervals") or {}
    for key, value in content.items():
        if key in ("null", "escalation"):
            for inner, number in (value or {}).items():
                _put(line, f"{group}/{key}/{inner}", number)
        elif key == "valid":  # the same counts and rates again, of valid solutions only
            _support(line, value, f"{group}/valid")
        elif key == "regime":
            line.notes[f"{group}/regime"] = value
        elif key != "intervals":
            _put(line, f"{group}/{key}", intervals.get(key, value))
    if "excess" in intervals:
        _put(line, f"{group}/excess", intervals["excess"])


def _validity(line: Line, content: Any) -> None:
    if not content:
        return
    (valid_right, valid_wrong), (invalid_right, invalid_wrong) = content["table"]
    counts = {"valid_right": valid_right, "valid_wrong": valid_wrong,
              "invalid_right": invalid_right, "invalid_wrong": invalid_wrong}  # fmt: skip
    for key, count in counts.items():
        _put(line, f"valid/n/{key}", count)
    for key in VALIDITY:
        _put(line, f"valid/{key}", content.get(key))


def _estimate(value: Mapping[str, Any]) -> Estimate:
    numbers = {name: value.get(name) for name in ("point", "lo", "hi")}
    return Estimate(refused=str(value["refused"]) if "refused" in value else None, **numbers)


def _curve(content: Mapping[str, Any]) -> Curve:
    beside = {key: tuple(content[key]) for key in ("tied", "silent", "guessing") if content.get(key)}
    parts = {name: tuple(content.get(name) or ()) for name in ("k", "point", "lo", "hi")}
    return Curve(refused=content.get("refused"), beside=beside, **parts)


def _trace(trace: Mapping[str, Any]) -> Trace:
    base, method = trace.get("base") or {}, trace.get("method") or {}
    return Trace(
        item=trace["item"],
        question=trace["question"],
        gold=trace.get("gold"),
        kind=trace["kind"],
        base=Side(base.get("text"), base.get("answer")),
        method=Side(method.get("text"), method.get("answer"), method.get("policy")),
    )


ALL = ("base", "prompt", "ceiling", "method", "placebo", "rival")
BUT_B0 = ("prompt", "method", "placebo", "rival", "ceiling")
COLUMNS: tuple[Column, ...] = (
    Column("acc/strict", "Accuracy", "percent", "strict accuracy, percent", "scorecard", ALL),
    Column("ef/B0/C4", "EF B0\u2192C4", "ratio", "share of the gap from B0 to C4", "scorecard"),
    Column("ef/B0/C1", "EF B0\u2192C1", "ratio", "share of the gap from B0 to C1", "scorecard"),
    Column("ef/B1/C4", "EF B1\u2192C4", "ratio", "share of the gap from B1 to C4", "scorecard"),
    Column("ef/B1/C1", "EF B1\u2192C1", "ratio", "share of the gap from B1 to C1", "scorecard"),
    Column("gain/B0", "Gain over B0", "points", "paired difference to the bare base, points", "scorecard", BUT_B0),
    Column("ctrl/gain", "Control-adjusted", "points",
           "gain over the better of base and strongest placebo, points", "scorecard", ("method",)),
    Column("matched/hardest", "At equal tokens", "points",
           "paired difference to what the base's own samples give for the same tokens: their vote or the surest of "
           "them, whichever is harder to beat, points", "scorecard"),
    Column("matched_support/hardest", "At equal tokens, T=1", "points",
           "the same against the base's samples at temperature 1 (regime support), points", "scorecard"),
    Column("split/gain", "Gain over B0", "points", "strict, the method as it is asked best", "split"),
    Column("split/format", "Format", "points",
           "what goes when both are read leniently; the other parts are of lenient grades", "split"),
    Column("split/prompt", "Prompt, B1 \u2212 B0", "points", "the best fixed prompt alone", "split"),
    Column("split/budget", "Budget, B2 \u2212 B1", "points", "that prompt forced to the method's tokens", "split"),
    Column("split/remainder", "Remainder", "points", "reasoning elicitation, and only this", "split"),
    *(Column(f"ef/{rung}/{ceiling}", f"{rung}\u2192{ceiling}", "ratio", f"share of the gap from {rung} to {ceiling}",
             "further", ("method",)) for ceiling in ("C2", "C3") for rung in ("B0", "B1")),
    Column("kl/sequence", "KL, nats per answer", "nats", "KL to the base, full vocabulary, at T=1", "distance", ALL),
    Column("kl/sequence_compare", "KL, regime compare", "nats",
           "mean over samples of regime compare: no estimate of the KL", "distance", ALL),
    Column("kl/token", "KL, nats per token", "nats", "the same per token", "distance", ALL),
    Column("kl/top_share", "In the top 5 %", "percent",
           "share of the KL that the 5 % of positions with most of it carry", "distance", ALL),
    Column("kl/bound", "KL bound", "nats", "log N - (N - 1)/N: what picking one of N draws can add", "distance", ALL),
    Column("kl/percentile", "Chosen, percentile", "percent",
           "share of the other chains that the base finds less likely than the chosen one", "distance", ALL),
    Column("likelihood/nll", "NLL, nats per token", "nats", "of the traces under the base", "distance", ALL),
    Column("likelihood/worst_window", "Worst 32 tokens", "nats", "largest mean NLL of 32 tokens", "distance", ALL),
    Column("likelihood/rank_1", "Rank > 1", "percent", "tokens other than the base's first choice", "distance", ALL),
    Column("likelihood/rank_10", "Rank > 10", "percent", "tokens not among its first 10", "distance", ALL),
    Column("likelihood/rank_100", "Rank > 100", "percent", "tokens not among its first 100", "distance", ALL),
    Column("likelihood/typicality", "Typicality", "percent",
           "share of the base's own traces of the item that it finds less likely; 50 is typical", "distance", ALL),
    Column("ctrl/specificity", "Specificity", "percent", "1 - placebo gain / gain", "figures"),
    Column("support/SRR", "SRR", "percent", "of the base's solved items, still solved", "figures"),
    Column("support/NDR", "NDR", "percent", "of the solved items, new", "figures"),
    Column("support/excess", "NDR over its null", "points", "beyond what the base, sampled again, shows as new",
           "figures"),
    Column("support/NSCR", "NSCR", "ratio", "(new - lost) / all solved", "figures"),
    Column("cov", "cov@k", "percent", "at the largest k", "figures"),
    Column("cov_net", "cov_net@k", "percent", "net of guessing, at the largest k", "figures"),
    Column("pass_hat", "pass^k", "percent", "all of k right, at the largest k", "figures"),
    Column("maj", "maj@k", "percent", "majority vote, at the largest k", "figures"),
    Column("matched/difference", "Over the vote", "points", "at equal tokens, over the base's vote", "figures"),
    Column("matched/best", "Over the surest", "points", "at equal tokens, over the most self-certain base sample",
           "figures"),
    Column("matched_support/difference", "Over the vote, T=1", "points",
           "at equal tokens, over the base's vote at temperature 1", "figures"),
    Column("matched_support/best", "Over the surest, T=1", "points",
           "at equal tokens, over the most self-certain base sample at temperature 1", "figures"),
    Column("maj/tied", "Tied votes", "ratio", "share of votes with a tie at the top", "figures"),
    Column("maj/silent", "Empty votes", "ratio", "share of votes without any answer", "figures"),
    Column("cost/flops", "FLOPs per answer", "ratio", "2 x parameters x tokens", "figures"),
    Column("cost/seconds", "Seconds per answer", "ratio", "of sampling, in its batches", "figures"),
    Column("cost/seconds_amortised/10000", "with fitting, Q=10,000", "ratio",
           "seconds per answer if 10,000 answers share the fit", "figures"),
    Column("cost/peak_bytes", "Peak GB", "gigabytes", "memory of the process that sampled, at most", "figures"),
)  # fmt: skip
"""titles and meanings that the first version's report knew by heart"""
