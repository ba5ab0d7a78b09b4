"""Verdicts from fixed rules. A rule can decide for the thesis, against it, or be "not decidable".

The thesis: *reasoning is latent in this base checkpoint and can be elicited without being put in.*
The rules were written down before any result was known; the report prints each rule next to its sentence. "Clear"
means that a 95 % interval lies on one side (and, for the control-adjusted gains, that their p value stays below .05
after Holm's correction, if the comparison has one); "own data" are the ledger classes Z, V and R (nothing, own text,
labels of right and wrong); `MARGIN` is five points.

Strict grades ask for a declared answer of a finished completion. A method that only learns to declare, or to stop after
its answer, gains by them without solving more. A gain is therefore *beyond form* only if

    its remainder is clear, over the best of B0, B1 and B2 under the loosest reading (`split`), and
    its control-adjusted gain is clear under every looser reading that was graded (`ctrl/lenient`, `ctrl/any`).

1 Elicitation  for: some own-data method has a clear control-adjusted gain that is beyond form, and a clear EF (against
               B1, or B0 if B1 was not measured; to C4, else C1). If B1 was measured and leaves no gap, there is no
               headline: a prompt alone does the job. Against: there is a gap worth eliciting (one EF was not refused),
               yet for every own-data method one of these gains and remainders lies below MARGIN. Methods of class T
               and L are named but decide nothing: what they show may have been put in. A placebo with random rewards
               whose gain and remainder lie above MARGIN is named: if a coin teaches, the items may have been seen
               before. A smaller clear gain is no reason for that suspicion: a random update moves any base a little.
2 Price        for: an eliciting method of rule 1 is also clearly better than the base's vote at the same tokens, in the
               comparison's regime and, if that was measured, at temperature 1: the less favourable one counts.
               Against: every eliciting method is clearly not better (upper bound at most 0).
3 Support      for: every eliciting method's accuracy lies below the lower bound of C1, the base's own coverage net of
               guessing: the base's samples already hold what the method elicits. Against: the accuracy of some
               eliciting method lies clearly above C1's upper bound. Both are of the reading that C1 was measured by.
               Plain cov@K is not used: on a ten-way answer guessing alone covers .88 of the items in 20 samples.

A checkpoint that is no base model has no latent claim: rules 1 and 3 are then not decidable. A method whose data are
"unaccounted" counts for nothing. Knows only the comparison; recomputes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from elicit.report.numbers import figure, show
from elicit.report.rows import TableRow, rows
from elicit.results import Comparison, Estimate, Line

Answer = Literal["for", "against", "not decidable"]
MARGIN = 0.05
LEVEL = 0.05
UNDECIDED: Answer = "not decidable"
OWN_DATA = ("Z", "V", "R")
COIN = "random_reward"
"""in the name of a placebo that is rewarded at random"""
NO_CLAIM = "The checkpoint is not a base model: no latent claim."


@dataclass(frozen=True)
class Verdict:
    """One of the three sentences."""

    question: str
    answer: Answer
    sentence: str
    rule: str


def headline_ef(line: Line) -> tuple[str, Estimate | None]:
    """(pair, fraction) that counts: C4 before C1, measured before refused; ("", None) without any.

    Against B1 if that rung was measured. If it leaves no gap to a ceiling there is no headline, and a fraction of the
    gap from B0 does not replace it: the prompt alone would get full credit.
    """
    rung = "B1" if _measured(line.get("gain/B1")) or _claimed(line, "B1") else "B0"
    fractions = {pair: value for top in ("C4", "C1") if (value := line.get(f"ef/{(pair := f'{rung}/{top}')}"))}
    pair = next((pair for pair, value in fractions.items() if value.bounds), "")
    if pair or not fractions:
        return pair, fractions.get(pair)
    pair, value = list(fractions.items())[-1]  # C4 is refused on every base without a planted ability
    if rung == "B0":
        return pair, value
    return pair, Estimate(refused=f"no gap over the best prompt was measured ({value.refused})")


def _measured(value: Estimate | None) -> bool:
    return value is not None and value.point is not None


def _claimed(line: Line, rung: str) -> bool:
    return any(value.bounds for pair, value in line.under("ef").items() if pair.startswith(rung))


def harder_to_beat(line: Line) -> Estimate | None:
    """The difference at equal tokens with the least lower bound, over both regimes; else the first refusal."""
    values = [value for key in ("matched", "matched_support") if (value := line.get(f"{key}/hardest"))]
    measured = [(value.bounds[1], value) for value in values if value.bounds]
    return min(measured, key=lambda pair: pair[0])[1] if measured else next(iter(values), None)


def own_data(row: TableRow) -> bool:
    return row.data_class in OWN_DATA


def above_placebo(row: TableRow) -> bool:
    """The control-adjusted gain lies above 0, after Holm's correction if there is one. Strict: form may do it."""
    return _above(bounds(row, "ctrl/gain")) and _significant(row, "p/ctrl")


def looser(row: TableRow) -> list[tuple[float, float, float]] | None:
    """The control-adjusted gains under the looser readings; None if the lenient one was not measured."""
    lenient, loosest = bounds(row, "ctrl/lenient"), bounds(row, "ctrl/any")
    return None if lenient is None else [lenient, *([loosest] if loosest else [])]


def more_than_form(row: TableRow) -> bool | None:
    """Every looser control-adjusted gain lies above 0, after Holm's correction; None if none was measured."""
    gains = looser(row)
    return None if gains is None else all(map(_above, gains)) and _significant(row, "p/lenient")


def beyond_form(row: TableRow) -> bool:
    """More than form, and more than the best of the base's rungs gives."""
    return bool(more_than_form(row)) and _above(bounds(row, "split/remainder"))


def clear_gain(row: TableRow) -> bool:
    """Above base and placebo, beyond form, and the EF above 0 as well."""
    fraction = headline_ef(row.line)[1]
    return above_placebo(row) and beyond_form(row) and fraction is not None and _above(fraction.bounds)


def _above(interval: tuple[float, float, float] | None, margin: float = 0.0) -> bool:
    return interval is not None and interval[1] > margin


def _significant(row: TableRow, key: str) -> bool:
    """A p value after Holm's correction of at most LEVEL; True if the comparison has none, False if it was refused."""
    corrected, raw = row.line.number(f"{key}_holm"), row.line.get(key)
    return corrected <= LEVEL if corrected is not None else raw is None or raw.refused is None


def eliciting(row: TableRow) -> bool:
    return own_data(row) and clear_gain(row)


def at_equal_tokens(row: TableRow) -> tuple[float, float, float] | None:
    """(point, lower, upper) of the least favourable difference to the base's samples; None if it is not known."""
    value = harder_to_beat(row.line)
    return value.bounds if value is not None else None


def bounds(row: TableRow, key: str) -> tuple[float, float, float] | None:
    """(point, lower, upper) of a number of the row, if it may be claimed."""
    value = row.line.get(key)
    return value.bounds if value is not None else None


RULES = {
    "Can reasoning be elicited?": "For, if an own-data method (class Z, V or R) has control-adjusted gain (Holm; "
    "strict, lenient and by any declaration), remainder over the best of B0, B1 and B2, and EF above 0; against, if "
    "there is a gap worth eliciting, but of every own-data method one of these gains does not reach 5 points",
    "Is it more than spending tokens?": "For, if an eliciting method is above the base's own samples at equal "
    "tokens (vote and surest), in this regime and at temperature 1; against, if every eliciting method has an upper "
    "bound of at most 0",
    "Was it in the base's own samples?": "For, if the accuracy of every eliciting method lies below the lower bound of "
    "C1 (base coverage net of guessing, by the same reading); against, if some accuracy lies clearly above C1's upper "
    "bound",
}


def verdicts(comparison: Comparison) -> list[Verdict]:
    """The three sentences of a comparison that went through `rows.load`."""
    methods = [row for row in rows(comparison) if row.role == "method" and row.data_class != "unaccounted"]
    methods = [row for row in methods if not row.line.at_own_prompt]  # the same fit again, without controls
    is_base = bool(comparison.checkpoint.get("base_model", True))
    winners = [row for row in methods if eliciting(row)]
    answers = (
        _elicitation(methods, winners) if is_base else (UNDECIDED, NO_CLAIM),
        _price(winners),
        _support(winners, comparison) if is_base else (UNDECIDED, NO_CLAIM),
    )
    if coins := gains_on_a_coin(rows(comparison)):
        aside = f" Gains on a coin ({_names(coins)}, rewarded at random): suspect contamination."
        answers = ((answers[0][0], answers[0][1] + aside), *answers[1:])
    if marked := [row for row in methods if row.line.notes.get("fit/warnings")]:
        aside = " Fits with warnings: " + ". ".join(f"{r.name}: {r.line.notes['fit/warnings']}" for r in marked) + "."
        answers = ((answers[0][0], answers[0][1] + aside), *answers[1:])
    return [Verdict(question, *answer, rule) for (question, rule), answer in zip(RULES.items(), answers, strict=True)]


def gains_on_a_coin(table: Sequence[TableRow]) -> list[TableRow]:
    """Placebos with random rewards that gain more than MARGIN, beyond form: a coin teaches nothing that was not there.

    Gain and remainder both have their lower bound above MARGIN. What it brings out may be a memory of the items (arXiv
    2507.10532), or the knob alone: a suspicion, no verdict.
    """
    coins = [row for row in table if row.role == "placebo" and COIN in row.line.name.replace(" ", "_")]
    return [row for row in coins if all(_above(bounds(row, key), MARGIN) for key in ("gain/B0", "split/remainder"))]


def _elicitation(methods: Sequence[TableRow], winners: Sequence[TableRow]) -> tuple[Answer, str]:
    own = [row for row in methods if own_data(row)]
    if winners:
        best = max(winners, key=_controlled_lower)
        pair, fraction = headline_ef(best.line)
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


def _no_winner(own: Sequence[TableRow]) -> tuple[Answer, str]:
    fractions = [headline_ef(row.line)[1] for row in own]
    if not any(value is not None and value.bounds for value in fractions):
        reason = show(fractions[0], "ratio").refused or "none was measured"
        return UNDECIDED, f"No elicitation fraction could be formed ({reason})."
    reached = [(row, _least_reach(row)) for row in own]
    if unknown := [row for row, reach in reached if reach is None]:
        return UNDECIDED, (
            f"A control-adjusted gain, strict or lenient, or the remainder is missing for {_names(unknown)}: no claim "
            "without its control."
        )
    formal = [row for row in own if above_placebo(row) and not beyond_form(row)]
    aside = f" {_names(formal)} {_verb('gain', formal)} by form, or no more than a better prompt." if formal else ""
    top = max(reach for _, reach in reached if reach is not None)
    if top < MARGIN:
        none = f"none of {len(own)} own-data methods closes" if len(own) > 1 else f"{own[0].name} does not close"
        return "against", (
            f"There is a gap to the ceiling, but {none} it: a gain that has to be clear (over the strongest placebo, "
            f"read strictly or loosely, or over the best rung) lies below {figure(top, 'points')} points.{aside}"
        )
    return UNDECIDED, (
        "No method's gain over strongest placebo and best rung is clear under every reading, and the intervals still "
        f"reach {figure(top, 'points')} points.{aside}"
    )


def _least_reach(row: TableRow) -> float | None:
    """The least upper bound of all the gains that rule 1 asks for; None if one of them is missing."""
    strict, remainder, loose = bounds(row, "ctrl/gain"), bounds(row, "split/remainder"), looser(row)
    if strict is None or remainder is None or loose is None:
        return None
    return min(gain[2] for gain in (strict, remainder, *loose))


def _price(winners: Sequence[TableRow]) -> tuple[Answer, str]:
    if not winners:
        return UNDECIDED, "No method elicits by rule 1, so there is no price to compare."
    differences = [(row, at_equal_tokens(row)) for row in winners]
    better = [(d[1], row) for row, d in differences if d is not None and d[1] > 0]
    if better:
        best = max(better, key=lambda pair: pair[0])[1]
        beating = [row for _, row in better]
        return "for", (
            f"{_count(beating, winners, 'eliciting')} also {_verb('beat', beating)} the base's own samples at equal "
            f"tokens; {_who(best)} by {show(harder_to_beat(best.line), 'points').line} points."
        )
    if all(d is not None and d[2] <= 0 for _, d in differences):
        return "against", f"At equal tokens the base's own samples do as well as {_names(winners)}."
    missing = [row for row, d in differences if d is None]
    if missing:
        return UNDECIDED, f"The comparison at equal tokens was refused or not made for {_names(missing)}."
    return UNDECIDED, "At equal tokens the difference to the base's own samples is not clear."


def _support(winners: Sequence[TableRow], comparison: Comparison) -> tuple[Answer, str]:
    ceiling, reading = comparison.ceilings.get("C1"), comparison.c1.reading if comparison.c1 else "strict"
    if not winners:
        return UNDECIDED, "No method elicits by rule 1, so there is nothing to look for in the base's samples."
    coverage = ceiling.bounds if ceiling is not None else None
    if coverage is None:
        reason = show(ceiling, "percent").refused or "not measured"
        return UNDECIDED, f"The base's coverage net of guessing (C1) has no figure: {reason}."
    covered = f"The base's own samples cover {show(ceiling, 'percent').line} % of the items net of guessing"
    accuracies = [bounds(row, f"acc/{reading}") for row in winners]
    above = [row for row, acc in zip(winners, accuracies, strict=True) if acc and acc[1] > coverage[2]]
    if above:
        return "against", (
            f"{covered}, less than {_names(above)} {_verb('solve', above)} in one: part of the ability was not seen in "
            "the base."
        )
    if all(acc and acc[0] < coverage[1] for acc in accuracies):
        return "for", f"{covered}, more than any eliciting method solves in one: the ability lies within them."
    return UNDECIDED, f"{covered}, which can't be told from the methods' accuracy."


def _controlled_lower(row: TableRow) -> float:
    gain = bounds(row, "ctrl/gain")
    return gain[1] if gain else float("-inf")


def _who(row: TableRow) -> str:
    seeds = f"{row.seeds} seed" + ("s" if row.seeds > 1 else "")
    return f"{row.name} (class {row.data_class}, {row.sample_size}, {seeds})"


def _names(methods: Sequence[TableRow]) -> str:
    names = [row.name for row in methods]
    shown = names if len(names) <= 5 else [*names[:4], f"{len(names) - 4} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _count(methods: Sequence[TableRow], every: Sequence[TableRow], kind: str = "") -> str:
    what = f"{kind} method".strip() + ("s" if len(every) > 1 else "")
    if len(every) == 1:
        return f"The one {what}"
    return f"All {len(every)} {what}" if len(methods) == len(every) else f"{len(methods)} of {len(every)} {what}"


def _verb(stem: str, methods: Sequence[TableRow]) -> str:
    return stem if len(methods) > 1 else f"{stem}s"


REFERENCES = {"base": "reference", "prompt": "reference", "ceiling": "ceiling"}


def verdict_label(row: TableRow) -> str:
    """The trust verdict of one row, in one to three words; "(see warnings)" follows if the fit of a method warns."""
    return _label(row) + (" (see warnings)" if row.role == "method" and row.line.notes.get("fit/warnings") else "")


def _label(row: TableRow) -> str:
    """The words alone.

    Methods: withheld (unaccounted data), harms, no gain (inside +-MARGIN), placebo as good, format (above its placebo
    strictly, but not clearly under every looser reading: it learned to declare or to stop), prompt as good (more than
    format, but the base does as well at its best rung), above placebo (but no clear EF), elicits (rule 1), elicits, at
    a price (not clearly better at equal tokens), brought in (as elicits, but class T or L), not decidable. Only
    `above_placebo` and `beyond_form` together lead to "above placebo", "elicits" and "brought in": no label claims
    more than the control-adjusted columns.
    Placebos and rivals: gains, no gain, harms, not decidable. Base rungs: reference.
    """
    if row.ceiling is not None:
        return f"ceiling {show(row.ceiling, 'percent').line}"
    if row.role in REFERENCES:
        return REFERENCES[row.role]
    gain = bounds(row, "gain/B0")
    if row.role != "method":
        return _gain_label(gain)
    if row.data_class == "unaccounted":
        return "withheld"
    controlled = bounds(row, "ctrl/gain")
    if gain is None or controlled is None or gain[1] <= 0:
        return "not decidable" if controlled is None and gain is not None and gain[1] > 0 else _gain_label(gain)
    if not above_placebo(row):
        return "placebo as good" if controlled[2] < MARGIN else "not decidable"
    if not beyond_form(row):
        return _form_label(row)
    if not clear_gain(row):
        return "above placebo"
    if not own_data(row):
        return "brought in"
    matched = at_equal_tokens(row)
    return "elicits, at a price" if matched and matched[1] <= 0 else "elicits"


def _form_label(row: TableRow) -> str:
    """Of a method that is above its placebo strictly, but not beyond form."""
    more, remainder = more_than_form(row), bounds(row, "split/remainder")
    if more is None or remainder is None:
        return UNDECIDED
    if not more:
        return "format"
    return "prompt as good" if remainder[2] < MARGIN else UNDECIDED


def _gain_label(gain: tuple[float, float, float] | None) -> str:
    if gain is None:
        return "not decidable"
    _, lo, hi = gain
    if lo > 0:
        return "gains"
    if hi < 0:
        return "harms"
    return "no gain" if lo > -MARGIN and hi < MARGIN else "not decidable"
