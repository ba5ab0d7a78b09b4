"""What stands behind a gain, for reports: its split, its share of the gaps to C2 and C3, its distance from the base.

Small tables beside the scorecard, whose columns would be too many there. Keys and shapes are those of
comparison.json; nothing is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from elicit.report.numbers import Shown, plain, refusal, show
from elicit.report.rows import Column, Row, inner

SPLIT = (
    Column("gain", "Gain over B0", "points", inner("split", "gain"), "strict, the method as it is asked best"),
    Column("format", "Format", "points", inner("split", "format"),
           "what goes when both are read leniently; the other parts are of lenient grades"),
    Column("prompt", "Prompt, B1 \u2212 B0", "points", inner("split", "prompt"), "the best fixed prompt alone"),
    Column("budget", "Budget, B2 \u2212 B1", "points", inner("split", "budget"),
           "that prompt forced to the method's tokens"),
    Column("remainder", "Remainder", "points", inner("split", "remainder"), "reasoning elicitation, and only this"),
)  # fmt: skip
FURTHER = tuple(
    Column(f"ef_{rung}_{ceiling}".lower(), f"{rung}\u2192{ceiling}", "ratio", inner("ef", f"{rung}/{ceiling}"),
           f"share of the gap from {rung} to {ceiling}")
    for ceiling in ("C2", "C3") for rung in ("B0", "B1")
)  # fmt: skip
DISTANCE = (
    Column("kl", "KL, nats an answer", "nats", inner("kl", "sequence"), "KL to the base, full vocabulary, at T=1"),
    Column("kl_compare", "KL, regime compare", "nats", inner("kl", "sequence_compare"),
           "mean over samples of regime compare: no estimate of the KL"),
    Column("kl_token", "KL, nats a token", "nats", inner("kl", "token"), "the same, a token"),
    Column("kl_top", "In the top 5 %", "percent", inner("kl", "top_share"),
           "share of the KL that the 5 % of positions with most of it carry"),
    Column("bound", "KL bound", "nats", inner("kl", "bound"), "log N - (N - 1)/N: what picking one of N draws can add"),
    Column("percentile", "Chosen, percentile", "percent", inner("kl", "percentile"),
           "share of the other chains that the base finds less likely than the chosen one"),
    Column("nll", "NLL, nats a token", "nats", inner("likelihood", "nll"), "of the traces under the base"),
    Column("worst", "Worst 32 tokens", "nats", inner("likelihood", "worst_window"), "largest mean NLL of 32 tokens"),
    Column("rank_1", "Rank > 1", "percent", inner("likelihood", "rank_1"), "tokens other than the base's first choice"),
    Column("rank_10", "Rank > 10", "percent", inner("likelihood", "rank_10"), "tokens not among its first 10"),
    Column("rank_100", "Rank > 100", "percent", inner("likelihood", "rank_100"), "tokens not among its first 100"),
    Column("typicality", "Typicality", "percent", inner("likelihood", "typicality"),
           "share of the base's own traces of the item that it finds less likely; 50 is typical"),
)  # fmt: skip


def _last(curve: str) -> Callable[[dict[str, Any]], Any]:
    """The value of a curve at its largest k, or the curve's refusal."""

    def get(policy: dict[str, Any]) -> Any:
        found = policy.get(curve)
        if not found or refusal(found) or not found.get("k"):
            return found or None
        return {part: found[part][-1] for part in ("point", "lo", "hi")}

    return get


def _gigabytes(found: Any) -> float | None:
    return None if found is None else found / 1e9


def _last_plain(curve: str, name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda policy: (((policy.get(curve) or {}).get(name)) or [None])[-1]


FURTHER_FIGURES = (
    Column("specificity", "Specificity", "percent", inner("ctrl", "specificity"), "1 - placebo gain / gain"),
    Column("srr", "SRR", "percent", inner("support", "intervals", "SRR"), "of the base's solved items, still solved"),
    Column("ndr", "NDR", "percent", inner("support", "intervals", "NDR"), "of the solved items, new"),
    Column("excess", "NDR over its null", "points", inner("support", "intervals", "excess"),
           "beyond what the base, sampled again, shows as new"),
    Column("nscr", "NSCR", "ratio", inner("support", "intervals", "NSCR"), "(new - lost) / all solved"),
    Column("cov", "cov@k", "percent", _last("cov"), "at the largest k"),
    Column("cov_net", "cov_net@k", "percent", _last("cov_net"), "net of guessing, at the largest k"),
    Column("pass_hat", "pass^k", "percent", _last("pass_hat"), "all of k right, at the largest k"),
    Column("maj", "maj@k", "percent", _last("maj"), "majority vote, at the largest k"),
    Column("vote", "Over the vote", "points", inner("matched", "difference"), "at equal tokens, over the base's vote"),
    Column("surest", "Over the surest", "points", inner("matched", "best", "difference"),
           "at equal tokens, over the most self-certain base sample"),
    Column("vote_1", "Over the vote, T=1", "points", inner("matched_support", "difference"),
           "at equal tokens, over the base's vote at temperature 1"),
    Column("surest_1", "Over the surest, T=1", "points", inner("matched_support", "best", "difference"),
           "at equal tokens, over the most self-certain base sample at temperature 1"),
    Column("tied", "Tied votes", "ratio", _last_plain("maj", "tied"), "share of votes with a tie at the top"),
    Column("silent", "Empty votes", "ratio", _last_plain("maj", "silent"), "share of votes without any answer"),
    Column("flops", "FLOPs an answer", "ratio", inner("cost", "flops_per_answer"), "2 x parameters x tokens"),
    Column("seconds", "Seconds an answer", "ratio", inner("cost", "seconds"), "of sampling, in its batches"),
    Column("amortised", "with fitting, Q=10,000", "ratio", inner("cost", "seconds_amortised", "10000"),
           "seconds an answer where 10,000 answers share the fit"),
    Column("memory", "Peak GB", "ratio", lambda policy: _gigabytes((policy.get("cost") or {}).get("peak_bytes")),
           "memory of the process that sampled, at most"),
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """One of the tables."""

    columns: list[Column]
    lines: list[tuple[Row, list[Shown], str]]
    """row, its cells, and what the parts rest on: the rung that the remainder stands against, or items x samples"""
    none: str
    """why there is no line; empty where there are lines"""


def split_table(table: list[Row]) -> Table:
    """The split of every gain that was measured at the bare prompt."""
    known = [row for row in table if (split := row.policy.get("split")) and not refusal(split)]
    return _table(known, SPLIT, [str(row.policy["split"].get("against") or "?") for row in known], "")


def further_table(table: list[Row]) -> Table:
    """Elicitation fractions against C2 and C3, where one of them was asked for."""
    known = [row for row in table if row.depth == 0 and row.role == "method"
             and any(c.get(row.policy) is not None for c in FURTHER)]  # fmt: skip
    return _table(known, FURTHER, [row.sample_size for row in known], "")


def figures_table(table: list[Row]) -> Table:
    """Every other measured column of the fitted policies."""
    known = [row for row in table if row.role in ("method", "placebo", "rival")]
    return _table(known, FURTHER_FIGURES, [row.sample_size for row in known], "")


def distance_table(table: list[Row]) -> Table:
    """KL and likelihood of every annotated policy."""
    known = [row for row in table if (found := row.policy.get("likelihood")) and not refusal(found)]
    rests = [f"{row.policy['likelihood'].get('n_items', '?')}\u00a0\u00d7\u00a0{row.policy['likelihood'].get('n', '?')}"
             for row in known]  # fmt: skip
    told: list[Any] = [row.policy.get("likelihood") for row in table if row.role == "method"]
    return _table(known, DISTANCE, rests, next((refusal(each) for each in told if refusal(each)), ""))


def _table(known: list[Row], columns: tuple[Column, ...], rests: list[str], none: str) -> Table:
    used = [c for c in columns if any(_cell(row, c) != Shown() for row in known)]
    lines = [(row, [_cell(row, c) for c in used], rest) for row, rest in zip(known, rests, strict=True)]
    return Table(used, lines if used else [], "" if lines else none)


def _cell(row: Row, column: Column) -> Shown:
    """An estimate with its interval; a cost or a share of votes as it is, for these have none."""
    value = column.get(row.policy)
    return Shown(plain(value)) if isinstance(value, int | float) else show(value, column.unit)
