"""The sentences of the verdict, word by word, and its bounds at their exact values.

Kept by mutation testing (`make mutation only=verdict`): each case was a change of the code that no other test noticed.
Changes that survive because they change nothing:

    show(..., None) for show(..., "ratio")       of a refusal: it has no unit
    zip(..., strict=False or None)               both sides are made of one list, or are the three sentences
    _controlled_lower without its -inf, or -INF  a winner has a control-adjusted gain; the words are one number
"""

from __future__ import annotations

import pytest

from elicit.report.rows import rows
from elicit.report.verdict import verdict_label, verdicts
from elicit.results import Estimate
from tests.report.example import GAP, estimate, policy, refused, share
from tests.report.test_verdict import FORM, made, method

WEAK = {"acc": 0.17, "ctrl": estimate(0.01), "ef": estimate(0.01)}
WHO = "(class R, 200\u00a0\u00d7\u00a016, 1 seed)"
LIFT = "accuracy above the base and the strongest placebo"
GAP_OF = "recovers 0.60 [0.57, 0.63] of the gap from B1 to C4."
COVER = "The base's own samples cover {} % of the items net of guessing"
SIX = "abcdef"


def sentences(*methods, **more):
    return [verdict.sentence for verdict in verdicts(made(*methods, **more))]


@pytest.mark.parametrize(("methods", "sentence"), [
    ([method()], f"The one own-data method lifts {LIFT}; m {WHO} {GAP_OF}"),
    ([method("a", ctrl=estimate(0.3)), method("b", ctrl=estimate(0.5))],
     f"All 2 own-data methods lift {LIFT}; b {WHO} {GAP_OF}"),
    ([method("a"), method("b", **WEAK)], f"1 of 2 own-data methods lifts {LIFT}; a {WHO} {GAP_OF}"),
    ([method("a", seeds=3)], f"The one own-data method lifts {LIFT}; a {WHO.replace('1 seed', '3 seeds')} {GAP_OF}"),
    ([method(name, **WEAK) for name in SIX],
     "There is a gap to the ceiling, but none of 6 own-data methods closes it: a gain that has to be clear (over "
     "the strongest placebo, read strictly or loosely, or over the best rung) lies below +4.0 points."),
    ([method(ctrl=estimate(0.05, 0.2))],
     "No method's gain over strongest placebo and best rung is clear under every reading, and the intervals still "
     "reach +25.0 points."),
    ([method("a", ctrl=refused("no placebo was run")), method("b", **WEAK)],
     "A control-adjusted gain, strict or lenient, or the remainder is missing for a: no claim without its control."),
    ([method(name, ctrl=refused("no placebo was run")) for name in SIX],
     "A control-adjusted gain, strict or lenient, or the remainder is missing for a, b, c, d and 2 more: no claim "
     "without its control."),
    ([method(ef=GAP)],
     f"No elicitation fraction could be formed (no gap over the best prompt was measured ({GAP.refused}))."),
    ([], "No method with accounted data of its own (class Z, V or R) was measured."),
    ([method(data_class="unaccounted")], "No method with accounted data of its own (class Z, V or R) was measured."),
    ([method("a", data_class="T"), method("b", data_class="L")],
     "No method with accounted data of its own (class Z, V or R) was measured. Only a and b gain, with text or a "
     "verifier from outside."),
    ([method(name, ctrl=estimate(0.268), values=FORM) for name in "ab"],
     "There is a gap to the ceiling, but none of 2 own-data methods closes it: a gain that has to be clear (over "
     "the strongest placebo, read strictly or loosely, or over the best rung) lies below +1.9 points. a and "
     "b gain by form, or no more than a better prompt."),
])  # fmt: skip
def test_the_first_sentence_word_by_word(methods, sentence):
    assert sentences(*methods)[0] == sentence


@pytest.mark.parametrize(("matched", "sentence"), [
    ((0.1, 0.2), f"All 2 eliciting methods also beat the base's own samples at equal tokens; b {WHO} by +20.0 [+17.0, "
                 "+23.0] points."),
    ((0.2, 0.01), f"1 of 2 eliciting methods also beats the base's own samples at equal tokens; a {WHO} by +20.0 "
                  "[+17.0, +23.0] points."),
    ((-0.05, -0.1), "At equal tokens the base's own samples do as well as a and b."),
    ((0.01, -0.1), "At equal tokens the difference to the base's own samples is not clear."),
    ((None, -0.1), "The comparison at equal tokens was refused or not made for a."),
    ((None, None), "The comparison at equal tokens was refused or not made for a and b."),
])  # fmt: skip
def test_the_second_sentence_word_by_word(matched, sentence):
    values = [refused("no tokens recorded") if point is None else estimate(point) for point in matched]
    assert sentences(*(method(name, matched=value) for name, value in zip("ab", values, strict=True)))[1] == sentence
    assert sentences(method(**WEAK))[1] == "No method elicits by rule 1, so there is no price to compare."


@pytest.mark.parametrize(("acc", "c1", "sentence"), [
    (0.7, share(0.76, 0.05), COVER.format("76.0 [71.0, 81.0]") + ", more than any eliciting method solves in one: the "
     "ability lies within them."),
    (0.9, share(0.76, 0.05), COVER.format("76.0 [71.0, 81.0]") + ", less than a and b solve in one: part of the "
     "ability was not seen in the base."),
    (0.7, share(0.7, 0.05), COVER.format("70.0 [65.0, 75.0]") + ", which can't be told from the methods' accuracy."),
    (0.7, refused("guessing null exceeds .2"),
     "The base's coverage net of guessing (C1) has no figure: guessing null exceeds .2."),
])  # fmt: skip
def test_the_third_sentence_word_by_word(acc, c1, sentence):
    assert sentences(method("a", acc=acc), method("b", acc=acc), c1=c1)[2] == sentence


def test_without_any_fraction_none_was_measured():
    one = method(ctrl=estimate(0.01))
    del one.values["ef/B1/C4"]
    assert sentences(one)[0] == "No elicitation fraction could be formed (none was measured)."


@pytest.mark.parametrize("key", ["ctrl/gain", "split/remainder", "ctrl/lenient"])
def test_each_gain_that_is_missing_leaves_no_claim(key):
    assert "missing for m: no claim" in sentences(method(values={key: refused("one cluster")}))[0]


def test_the_price_of_the_method_with_the_highest_lower_bound_is_named():
    wide, narrow = Estimate(0.3, 0.05, 0.5), Estimate(0.2, 0.1, 0.3)
    assert f"; b {WHO} by +20.0" in sentences(method("a", matched=wide), method("b", matched=narrow))[1]


def test_of_two_regimes_with_the_same_lower_bound_the_first_is_the_price():
    values = {"matched_support/hardest": Estimate(0.15, 0.1, 0.2)}
    assert f"m {WHO} by +20.0" in sentences(method(matched=Estimate(0.2, 0.1, 0.3), values=values))[1]


def test_a_method_that_was_not_compared_at_equal_tokens_has_no_price():
    one = method()
    del one.values["matched/hardest"]
    assert sentences(one)[1] == "The comparison at equal tokens was refused or not made for m."


def test_a_base_without_c1_and_methods_without_gains_have_no_third_answer():
    given = made(method())
    del given.ceilings["C1"]
    assert verdicts(given)[2].sentence == "The base's coverage net of guessing (C1) has no figure: not measured."
    nothing = "No method elicits by rule 1, so there is nothing to look for in the base's samples."
    assert sentences(method(**WEAK))[2] == nothing


@pytest.mark.parametrize("name", ["m/random_reward", "m/random reward"])
def test_a_coin_and_fits_with_warnings_follow_the_first_sentence(name):
    coin = policy(name, "placebo", 0.3, {"gain/B0": estimate(0.1), "split/remainder": estimate(0.1)}, parent="m")
    weak = [method(letter, notes={"fit/warnings": f"w{letter}"}) for letter in "ab"]
    first = sentences(*weak, coin)[0]
    assert first.endswith(f" Gains on a coin ({name}, rewarded at random): suspect contamination. Fits with warnings: "
                          "a: wa. b: wb.")  # fmt: skip
    assert "coin" not in sentences(*weak, policy("m/shuffled", "placebo", 0.3, coin.values, parent="m"))[0]


def between(lo: float, hi: float) -> Estimate:
    return Estimate((lo + hi) / 2, lo, hi)


@pytest.mark.parametrize(("values", "label"), [
    ({"ctrl/gain": between(0.0, 0.2)}, "not decidable"),  # a bound of 0 is not above 0
    ({"ctrl/gain": between(0.0, 0.05)}, "not decidable"),  # one of 5 points reaches 5 points
    ({"ctrl/gain": between(0.0, 0.049)}, "placebo as good"),
    ({"gain/B0": between(0.0, 0.2)}, "not decidable"),
    ({"gain/B0": between(-0.2, 0.0)}, "not decidable"),
    ({"gain/B0": between(-0.05, 0.01)}, "not decidable"),
    ({"gain/B0": between(-0.01, 0.05)}, "not decidable"),
    ({"gain/B0": between(-0.049, 0.049)}, "no gain"),
    ({"gain/B0": between(-0.2, -0.001)}, "harms"),
    ({"ctrl/lenient": between(0.0, 0.2)}, "format"),
    ({"split/remainder": between(0.0, 0.05)}, "not decidable"),
    ({"split/remainder": between(0.0, 0.049)}, "prompt as good"),
    ({"ef/B1/C4": between(0.0, 0.2)}, "above placebo"),
    ({"matched/hardest": between(0.0, 0.2)}, "elicits, at a price"),
    ({"matched/hardest": between(0.001, 0.2)}, "elicits"),
    ({"p/ctrl_holm": Estimate(0.05)}, "elicits"),
    ({"p/ctrl_holm": Estimate(0.0501)}, "not decidable"),
    ({"p/lenient_holm": Estimate(0.05)}, "elicits"),
    ({"p/ctrl": refused("one cluster")}, "not decidable"),
    ({"p/lenient": refused("one cluster")}, "format"),
])  # fmt: skip
def test_a_label_changes_at_the_bound_of_its_rule(values, label):
    assert verdict_label(rows(made(method(values=values)))[-1]) == label


@pytest.mark.parametrize(("matched", "answer"), [
    (between(0.0, 0.2), "not decidable"), (between(0.001, 0.2), "for"),
    (between(-0.2, 0.0), "against"), (between(-0.2, 0.001), "not decidable"),
])  # fmt: skip
def test_the_price_is_decided_by_a_bound_beyond_zero(matched, answer):
    assert verdicts(made(method(matched=matched)))[1].answer == answer


@pytest.mark.parametrize(("accuracy", "answer"), [
    (Estimate(0.85, 0.81, 0.9), "not decidable"), (Estimate(0.85, 0.811, 0.9), "against"),
    (Estimate(0.71, 0.6, 0.8), "not decidable"), (Estimate(0.709, 0.6, 0.8), "for"),
])  # fmt: skip
def test_support_is_decided_by_a_bound_beyond_that_of_c1(accuracy, answer):
    one = made(method(values={"acc/strict": accuracy}), c1=Estimate(0.76, 0.71, 0.81))
    assert verdicts(one)[2].answer == answer


@pytest.mark.parametrize(("upper", "answer"), [(0.05, "not decidable"), (0.049, "against")])
def test_against_means_that_the_largest_reach_lies_below_five_points(upper, answer):
    methods = [method(name, ctrl=between(-0.1, hi)) for name, hi in (("a", upper), ("b", 0.01))]
    assert verdicts(made(*methods))[0].answer == answer
