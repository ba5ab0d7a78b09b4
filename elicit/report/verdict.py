"""Verdicts from fixed rules. A rule can come out for the thesis, against it, or as "not decidable".

The thesis: *reasoning is latent in this base checkpoint, and can be got out without putting it in.*
Written down before any result was seen; the report prints the rule beside its sentence. "Clear" means
that a 95 % interval lies on one side; "own data" are the ledger classes Z, V and R (nothing, own
text, labels of right and wrong); `MARGIN` is five points.

1 Elicitation  for: some own-data method has a clear control-adjusted gain and a clear EF (against B1, else B0;
               against C4, else C1). Against: there is a gap worth eliciting (one EF was not refused), yet every
               method's control-adjusted gain lies below MARGIN, or only classes T and L gain: put in, not got out.
2 Price        for: an eliciting method of rule 1 is also clearly better than the base's vote at the same tokens.
               Against: every eliciting method is clearly not better (upper bound at most 0).
3 Support      for: every eliciting method's accuracy lies below the lower bound of C1, the base's own coverage net of
               guessing: what the method gets out, the base's samples already hold. Against: the accuracy of some
               eliciting method lies clearly above C1's upper bound. Plain cov@K is not used: on a ten-way answer
               guessing alone covers .88 of the items in 20 samples.

A checkpoint that is no base model has no latent claim: rule 1 and 3 are then not decidable. A method
whose data are "unaccounted" counts for nothing. Knows only comparison.json; recomputes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from elicit.report.numbers import Shown, bounds, figure, show
from elicit.report.rows import Row, rows

Answer = Literal["for", "against", "not decidable"]
MARGIN = 0.05
OWN_DATA = ("Z", "V", "R")
NO_CLAIM = "The checkpoint is not a base model: no latent claim."


@dataclass(frozen=True)
class Verdict:
    """One of the three sentences."""

    question: str
    answer: Answer
    sentence: str
    rule: str


def headline_ef(policy: dict[str, Any]) -> tuple[str, Any]:
    """(pair, estimate or refusal) of the elicitation fraction that counts: B1 before B0, C4 before C1, measured before refused."""
    fractions = policy.get("ef") or {}
    pairs = [pair for pair in ("B1/C4", "B1/C1", "B0/C4", "B0/C1") if fractions.get(pair) is not None]
    measured = [pair for pair in pairs if bounds(fractions[pair])]
    pair = (measured or pairs or [""])[0]
    return pair, fractions.get(pair)


def own_data(row: Row) -> bool:
    return row.data_class in OWN_DATA


def clear_gain(row: Row) -> bool:
    """The control-adjusted gain lies above 0 and the elicitation fraction does too."""
    gain, fraction = _controlled(row), bounds(headline_ef(row.policy)[1])
    return gain is not None and fraction is not None and gain[1] > 0 and fraction[1] > 0


def eliciting(row: Row) -> bool:
    return own_data(row) and clear_gain(row)


def verdicts(comparison: dict[str, Any]) -> tuple[Verdict, Verdict, Verdict]:
    """The three sentences of a comparison that went through `rows.load`."""
    methods = [row for row in rows(comparison) if row.role == "method" and row.data_class != "unaccounted"]
    is_base = bool((comparison.get("checkpoint") or {}).get("base_model", True))
    return _elicitation(methods, is_base), _price(methods), _support(comparison, methods, is_base)


def _elicitation(methods: list[Row], is_base: bool) -> Verdict:
    rule = ("for: an own-data method (class Z, V or R) with control-adjusted gain and EF above 0; against: a gap worth "
            f"eliciting, but no control-adjusted gain reaches {figure(MARGIN, 'percent')[:-2]} points, or only classes T and L gain")  # fmt: skip

    def verdict(answer: Answer, sentence: str) -> Verdict:
        return Verdict("Can reasoning be elicited?", answer, sentence, rule)

    if not is_base:
        return verdict("not decidable", NO_CLAIM)
    if not methods:
        return verdict("not decidable", "No method with accounted data was measured.")
    winners = [row for row in methods if eliciting(row)]
    if winners:
        best = max(winners, key=lambda row: _controlled(row)[1])  # type: ignore[index]
        pair, fraction = headline_ef(best.policy)
        return verdict("for", f"{_count(winners, methods)} {_verb('lift', winners)} accuracy above the base and the strongest placebo with "
                       f"{_their(winners)} own data; {_who(best)} recovers {show(fraction, 'ratio').line} of the gap "
                       f"from {pair.replace('/', ' to ')}.")  # fmt: skip
    foreign = [row for row in methods if clear_gain(row)]
    if foreign:
        return verdict("against", f"Only methods that bring foreign text or a teacher gain clearly ({_names(foreign)}): "
                       "what they show was put in, not got out.")  # fmt: skip
    return verdict(*_no_winner(methods))


def _no_winner(methods: list[Row]) -> tuple[Answer, str]:
    gains = [_controlled(row) for row in methods]
    gap = any(bounds(headline_ef(row.policy)[1]) for row in methods)
    unknown = [row for row, gain in zip(methods, gains, strict=True) if gain is None]
    if not gap:
        reason = next((show(headline_ef(row.policy)[1], "ratio") for row in methods), Shown())
        return "not decidable", ("No elicitation fraction could be formed"
                                 + (f" ({reason.refused})" if reason.refused else "") + ": there is no gap to speak about.")  # fmt: skip
    if unknown:
        return "not decidable", f"The control-adjusted gain is missing for {_names(unknown)}: no claim without its control."
    known = [gain for gain in gains if gain is not None]
    if all(hi < MARGIN for _, _, hi in known):
        top = max(hi for _, _, hi in known)
        return "against", (f"There is a gap to the ceiling, but no method of {len(methods)} gains: every control-adjusted "
                           f"gain lies below {figure(top, 'points')} points.")  # fmt: skip
    return "not decidable", (f"No method's gain over base and strongest placebo is clear, and the intervals still reach "
                             f"{figure(max(hi for _, _, hi in known), 'points')} points.")  # fmt: skip


def _price(methods: list[Row]) -> Verdict:
    rule = ("for: an eliciting method is above the base's vote at equal tokens; against: every eliciting method has an "
            "upper bound of at most 0")  # fmt: skip

    def verdict(answer: Answer, sentence: str) -> Verdict:
        return Verdict("Is it more than spending tokens?", answer, sentence, rule)

    winners = [row for row in methods if eliciting(row)]
    if not winners:
        return verdict("not decidable", "No method elicits by rule 1, so there is no price to compare.")
    differences = [bounds((row.policy.get("matched") or {}).get("difference")) for row in winners]
    better = [row for row, d in zip(winners, differences, strict=True) if d and d[1] > 0]
    if better:
        best = max(better, key=lambda row: bounds(row.policy["matched"]["difference"])[1])  # type: ignore[index]
        shown = show(best.policy["matched"]["difference"], "points").line
        return verdict("for", f"{_count(better, winners, 'eliciting')} also {_verb('beat', better)} the base's majority vote at equal tokens; "
                       f"{_who(best)} by {shown} points.")  # fmt: skip
    if all(d is not None and d[2] <= 0 for d in differences):
        return verdict("against", f"At equal tokens the base's majority vote does as well as {_names(winners)}.")
    missing = [row for row, d in zip(winners, differences, strict=True) if d is None]
    if missing:
        return verdict("not decidable", f"The comparison at equal tokens was refused or not made for {_names(missing)}.")
    return verdict("not decidable", "At equal tokens the difference to the base's majority vote is not clear.")


def _support(comparison: dict[str, Any], methods: list[Row], is_base: bool) -> Verdict:
    rule = ("for: accuracy of every eliciting method below the lower bound of C1 (base coverage net of guessing); against: "
            "some accuracy clearly above C1's upper bound")  # fmt: skip

    def verdict(answer: Answer, sentence: str) -> Verdict:
        return Verdict("Was it in the base's own samples?", answer, sentence, rule)

    if not is_base:
        return verdict("not decidable", NO_CLAIM)
    winners = [row for row in methods if eliciting(row)]
    if not winners:
        return verdict("not decidable", "No method elicits by rule 1, so there is nothing to look for in the base's samples.")
    ceiling = (comparison.get("ceilings") or {}).get("C1")
    coverage = bounds(ceiling)
    if coverage is None:
        reason = show(ceiling, "percent").refused or "not measured"
        return verdict("not decidable", f"The base's coverage net of guessing (C1) has no figure: {reason}.")
    _, lo, hi = coverage
    shown = f"{show(ceiling, 'percent').line} %"
    accuracies = [bounds(row.policy["acc"]) for row in winners]
    above = [row for row, acc in zip(winners, accuracies, strict=True) if acc and acc[1] > hi]
    if above:
        return verdict("against", f"The base's own samples cover {shown} of the items net of guessing, less than "
                       f"{_names(above)} {_verb('solve', above)} in one: part of the ability was not seen in the base.")  # fmt: skip
    if all(acc and acc[0] < lo for acc in accuracies):
        return verdict("for", f"The base's own samples cover {shown} of the items net of guessing, more than any eliciting "
                       "method solves in one: the ability lies within them.")  # fmt: skip
    return verdict("not decidable", f"The base's coverage net of guessing ({shown}) can't be told from the methods' accuracy.")


def _controlled(row: Row) -> tuple[float, float, float] | None:
    return bounds((row.policy.get("ctrl") or {}).get("gain"))


def _who(row: Row) -> str:
    seeds = f"{row.seeds} seed" + ("s" if row.seeds > 1 else "")
    return f"{row.name} (class {row.data_class}, {row.sample_size}, {seeds})"


def _names(some: list[Row]) -> str:
    names = [row.name for row in some]
    shown = names if len(names) <= 5 else [*names[:4], f"{len(names) - 4} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _count(some: list[Row], every: list[Row], kind: str = "") -> str:
    what = f"{kind} method".strip() + ("s" if len(every) > 1 else "")
    return f"{len(some)} of {len(every)} {what}" if len(every) > 1 else f"The one {what}"


def _verb(stem: str, some: list[Row]) -> str:
    return stem if len(some) > 1 else f"{stem}s"


def _their(some: list[Row]) -> str:
    return "their" if len(some) > 1 else "its"


def word(row: Row) -> str:
    """The trust verdict of one row, in a word or three.

    Methods: withheld (unaccounted data), harms, no gain (inside +-MARGIN), placebo as good, above placebo (but no
    clear EF), elicits (rule 1), elicits, at a price (not better at equal tokens), brought in (as elicits, but class
    T or L), not decidable.
    Placebos and rivals: gains, no gain, harms, not decidable. Base rungs: reference.
    """
    if row.role in ("base", "prompt", "ceiling"):
        return "ceiling" if row.role == "ceiling" else "reference"
    gain = bounds((row.policy.get("gain") or {}).get("B0"))
    if row.role != "method":
        return _plain_word(gain)
    if row.data_class == "unaccounted":
        return "withheld"
    controlled = _controlled(row)
    if gain is None or controlled is None or gain[1] <= 0:
        return "not decidable" if controlled is None and gain is not None and gain[1] > 0 else _plain_word(gain)
    if controlled[1] <= 0:
        return "placebo as good" if controlled[2] < MARGIN else "not decidable"
    if not clear_gain(row):
        return "above placebo"
    if not own_data(row):
        return "brought in"
    matched = bounds((row.policy.get("matched") or {}).get("difference"))
    return "elicits, at a price" if matched and matched[1] <= 0 else "elicits"


def _plain_word(gain: tuple[float, float, float] | None) -> str:
    if gain is None:
        return "not decidable"
    _, lo, hi = gain
    if lo > 0:
        return "gains"
    if hi < 0:
        return "harms"
    return "no gain" if -MARGIN < lo and hi < MARGIN else "not decidable"
