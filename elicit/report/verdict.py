"""Verdicts from fixed rules. A rule can come out for the thesis, against it, or as "not decidable".

The thesis: *reasoning is latent in this base checkpoint, and can be got out without putting it in.*
Written down before any result was seen; the report prints the rule beside its sentence. "Clear" means
that a 95 % interval lies on one side (and, for the control-adjusted gain, that its p value in the primary family
stays below .05 after Holm's correction, where the comparison holds one); "own data" are the
ledger classes Z, V and R (nothing, own text, labels of right and wrong); `MARGIN` is five points.

1 Elicitation  for: some own-data method has a clear control-adjusted gain and a clear EF (against B1, else B0;
               against C4, else C1). Against: there is a gap worth eliciting (one EF was not refused), yet the
               control-adjusted gain of every own-data method lies below MARGIN. Methods of class T and L are named
               but decide nothing: what they show may have been put in.
2 Price        for: an eliciting method of rule 1 is also clearly better than the base's vote at the same tokens, in the
               comparison's regime and, where that was measured, at temperature 1: the less favourable one counts.
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

from elicit.report.numbers import bounds, figure, show
from elicit.report.rows import Row, hardest, rows

Answer = Literal["for", "against", "not decidable"]
MARGIN = 0.05
LEVEL = 0.05
UNDECIDED: Answer = "not decidable"
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
    """(pair, estimate or refusal) of the fraction that counts: B1 before B0, C4 before C1, measured before refused."""
    fractions = policy.get("ef") or {}
    pairs = [pair for pair in ("B1/C4", "B1/C1", "B0/C4", "B0/C1") if fractions.get(pair) is not None]
    measured = [pair for pair in pairs if bounds(fractions[pair])]
    pair = (measured or pairs or [""])[0]
    return pair, fractions.get(pair)


def own_data(row: Row) -> bool:
    return row.data_class in OWN_DATA


def above_placebo(row: Row) -> bool:
    """The control-adjusted gain lies above 0, after Holm's correction where there is one."""
    gain, corrected = _controlled(row), (row.policy.get("p") or {}).get("ctrl_holm")
    return gain is not None and gain[1] > 0 and (corrected is None or corrected <= LEVEL)


def clear_gain(row: Row) -> bool:
    """Above base and placebo, and the EF above 0 as well."""
    fraction = bounds(headline_ef(row.policy)[1])
    return above_placebo(row) and fraction is not None and fraction[1] > 0


def eliciting(row: Row) -> bool:
    return own_data(row) and clear_gain(row)


RULES = {
    "Can reasoning be elicited?": "For, if an own-data method (class Z, V or R) has control-adjusted gain (Holm) and "
    "EF above 0; against, if there is a gap worth eliciting, but no own-data method's control-adjusted gain "
    "reaches 5 points",
    "Is it more than spending tokens?": "For, if an eliciting method is above the base's own samples at equal "
    "tokens (vote and surest), in this regime and at temperature 1; against, if every eliciting method has an upper "
    "bound of at most 0",
    "Was it in the base's own samples?": "For, if the accuracy of every eliciting method lies below the lower bound of "
    "C1 (base coverage net of guessing); against, if some accuracy lies clearly above C1's upper bound",
}


def verdicts(comparison: dict[str, Any]) -> list[Verdict]:
    """The three sentences of a comparison that went through `rows.load`."""
    methods = [row for row in rows(comparison) if row.role == "method" and row.data_class != "unaccounted"]
    methods = [row for row in methods if not row.policy.get("at_own_prompt")]  # the same fit again, without controls
    is_base = bool((comparison.get("checkpoint") or {}).get("base_model", True))
    coverage = (comparison.get("ceilings") or {}).get("C1")
    winners = [row for row in methods if eliciting(row)]
    answers = (
        _elicitation(methods, winners) if is_base else (UNDECIDED, NO_CLAIM),
        _price(winners),
        _support(winners, coverage) if is_base else (UNDECIDED, NO_CLAIM),
    )
    return [Verdict(question, *answer, rule) for (question, rule), answer in zip(RULES.items(), answers, strict=True)]


def _elicitation(methods: list[Row], winners: list[Row]) -> tuple[Answer, str]:
    own = [row for row in methods if own_data(row)]
    if winners:
        best = max(winners, key=lambda row: _controlled(row)[1])  # type: ignore[index]
        pair, fraction = headline_ef(best.policy)
        return "for", (
            f"{_count(winners, own, 'own-data')} {_verb('lift', winners)} accuracy above the base and the strongest "
            f"placebo; {_who(best)} recovers {show(fraction, 'ratio').line} of the gap from "
            f"{pair.replace('/', ' to ')}."
        )
    foreign = [row for row in methods if clear_gain(row)]
    aside = (
        f" Only {_names(foreign)} {_verb('gain', foreign)}, with text or a verifier from outside." if foreign else ""
    )
    if not own:
        return UNDECIDED, f"No method with accounted data of its own (class Z, V or R) was measured.{aside}"
    answer, sentence = _no_winner(own)
    return answer, sentence + aside


def _no_winner(own: list[Row]) -> tuple[Answer, str]:
    gains = [_controlled(row) for row in own]
    unknown = [row for row, gain in zip(own, gains, strict=True) if gain is None]
    if not any(bounds(headline_ef(row.policy)[1]) for row in own):
        reason = show(headline_ef(own[0].policy)[1], "ratio").refused or "none was measured"
        return UNDECIDED, f"No elicitation fraction could be formed ({reason})."
    if unknown:
        return UNDECIDED, f"The control-adjusted gain is missing for {_names(unknown)}: no claim without its control."
    top = max(gain[2] for gain in gains if gain is not None)
    if top < MARGIN:
        return "against", (
            f"There is a gap to the ceiling, but {_none(own)} gets anything out: every control-adjusted gain lies "
            f"below {figure(top, 'points')} points."
        )
    return UNDECIDED, (
        "No method's gain over base and strongest placebo is clear, and the intervals still reach "
        f"{figure(top, 'points')} points."
    )


def _price(winners: list[Row]) -> tuple[Answer, str]:
    if not winners:
        return UNDECIDED, "No method elicits by rule 1, so there is no price to compare."
    differences = [at_equal_tokens(row) for row in winners]
    better = [row for row, d in zip(winners, differences, strict=True) if d and d[1] > 0]
    if better:
        best = max(better, key=lambda row: at_equal_tokens(row)[1])  # type: ignore[index]
        return "for", (
            f"{_count(better, winners, 'eliciting')} also {_verb('beat', better)} the base's own samples at equal "
            f"tokens; {_who(best)} by {show(harder_to_beat(best.policy), 'points').line} points."
        )
    if all(d is not None and d[2] <= 0 for d in differences):
        return "against", f"At equal tokens the base's own samples do as well as {_names(winners)}."
    missing = [row for row, d in zip(winners, differences, strict=True) if d is None]
    if missing:
        return UNDECIDED, f"The comparison at equal tokens was refused or not made for {_names(missing)}."
    return UNDECIDED, "At equal tokens the difference to the base's own samples is not clear."


harder_to_beat = hardest("matched", "matched_support")


def at_equal_tokens(row: Row) -> tuple[float, float, float] | None:
    """(point, lower, upper) of the least favourable difference to the base's samples; None where there is no figure."""
    return bounds(harder_to_beat(row.policy))


def _support(winners: list[Row], ceiling: Any) -> tuple[Answer, str]:
    if not winners:
        return UNDECIDED, "No method elicits by rule 1, so there is nothing to look for in the base's samples."
    coverage = bounds(ceiling)
    if coverage is None:
        reason = show(ceiling, "percent").refused or "not measured"
        return UNDECIDED, f"The base's coverage net of guessing (C1) has no figure: {reason}."
    covered = f"The base's own samples cover {show(ceiling, 'percent').line} % of the items net of guessing"
    accuracies = [bounds(row.policy["acc"]) for row in winners]
    above = [row for row, acc in zip(winners, accuracies, strict=True) if acc and acc[1] > coverage[2]]
    if above:
        return "against", (
            f"{covered}, less than {_names(above)} {_verb('solve', above)} in one: part of the ability was not seen in "
            "the base."
        )
    if all(acc and acc[0] < coverage[1] for acc in accuracies):
        return "for", f"{covered}, more than any eliciting method solves in one: the ability lies within them."
    return UNDECIDED, f"{covered}, which can't be told from the methods' accuracy."


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
    if len(every) == 1:
        return f"The one {what}"
    return f"All {len(every)} {what}" if len(some) == len(every) else f"{len(some)} of {len(every)} {what}"


def _verb(stem: str, some: list[Row]) -> str:
    return stem if len(some) > 1 else f"{stem}s"


def _none(some: list[Row]) -> str:
    return f"none of {len(some)} own-data methods" if len(some) > 1 else some[0].name


ROUTINE_WORDS = {"base": "reference", "prompt": "reference", "ceiling": "ceiling"}


def word(row: Row) -> str:
    """The trust verdict of one row, in a word or three.

    Methods: withheld (unaccounted data), harms, no gain (inside +-MARGIN), placebo as good, above placebo (but no
    clear EF), elicits (rule 1), elicits, at a price (not clearly better at equal tokens), brought in (as elicits, but
    class T or L), not decidable. Only `above_placebo` leads to "above placebo", "elicits" and "brought in": no word
    says more than the control-adjusted column.
    Placebos and rivals: gains, no gain, harms, not decidable. Base rungs: reference.
    """
    if row.policy.get("ceiling"):
        return f"ceiling {show(row.policy['ceiling'], 'percent').line}"
    if row.role in ROUTINE_WORDS:
        return ROUTINE_WORDS[row.role]
    gain = bounds((row.policy.get("gain") or {}).get("B0"))
    if row.role != "method":
        return _plain_word(gain)
    if row.data_class == "unaccounted":
        return "withheld"
    controlled = _controlled(row)
    if gain is None or controlled is None or gain[1] <= 0:
        return "not decidable" if controlled is None and gain is not None and gain[1] > 0 else _plain_word(gain)
    if not above_placebo(row):
        return "placebo as good" if controlled[2] < MARGIN else "not decidable"
    if not clear_gain(row):
        return "above placebo"
    if not own_data(row):
        return "brought in"
    matched = at_equal_tokens(row)
    return "elicits, at a price" if matched and matched[1] <= 0 else "elicits"


def _plain_word(gain: tuple[float, float, float] | None) -> str:
    if gain is None:
        return "not decidable"
    _, lo, hi = gain
    if lo > 0:
        return "gains"
    if hi < 0:
        return "harms"
    return "no gain" if lo > -MARGIN and hi < MARGIN else "not decidable"
