"""The verdict follows its rules, for the thesis, against it, and neither."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elicit.report.rows import load, rows, unwarned
from elicit.report.verdict import eliciting, headline_ef, verdict_label, verdicts
from elicit.report.view import warnings
from elicit.results import Ceiling, Curve, Estimate
from tests.report.example import GAP, comparison, estimate, policy, refused, share


def made(*methods, base_model=True, c1=None):
    """A comparison of the given methods with one base; C1 defaults to .76 +- .05."""
    out = comparison()
    out.lines = [policy("base", "base", 0.16, fractions=False, id="b0"), *methods]
    out.checkpoint["base_model"] = base_model
    out.ceilings["C1"] = c1 if c1 is not None else share(0.76, 0.05)
    return load(out)


def method(name="m", acc=0.7, ctrl=None, ef=None, matched=None, values=None, **more):
    """A method whose control-adjusted gains, remainder, fraction and matched difference are clear, unless given."""
    numbers = {"ctrl/gain": ctrl or estimate(0.4), "ctrl/lenient": ctrl or estimate(0.4),
               "split/remainder": ctrl or estimate(0.4), "ef/B1/C4": ef or estimate(0.6),
               "matched/hardest": matched or estimate(0.3)} | (values or {})  # fmt: skip
    return policy(name, "method", acc, numbers, False, **{"method": name, "data_class": "R"} | more)


def answers(given):
    return [v.answer for v in verdicts(given)]


def test_clear_gain_over_base_and_placebo_within_the_base_s_coverage_speaks_for_the_thesis():
    assert answers(made(method())) == ["for", "for", "for"]


def test_no_gain_in_spite_of_a_gap_speaks_against_the_thesis():
    given = made(method(acc=0.17, ctrl=estimate(0.01), ef=estimate(0.01)))
    assert answers(given) == ["against", "not decidable", "not decidable"]


@pytest.mark.parametrize(("count", "words"), [(1, "m0 does not close it"), (3, "none of 3 own-data methods closes it")])
def test_the_sentence_against_claims_that_a_gain_is_small_not_that_every_gain_is(count, words):
    low, clear = estimate(0.01), estimate(0.4)
    values = {"ctrl/lenient": clear, "split/remainder": clear}
    given = made(*(method(f"m{i}", id=f"m{i}", ctrl=low, ef=low, values=values) for i in range(count)))
    sentence = verdicts(given)[0].sentence
    assert answers(given)[0] == "against" and words in sentence and "every gain" not in sentence


@pytest.mark.parametrize("data_class", ["T", "L"])
def test_what_was_put_in_was_not_got_out(data_class):
    brought = method(data_class=data_class)
    assert answers(made(brought)) == ["not decidable"] * 3
    given = made(brought, method("own", acc=0.17, ctrl=estimate(0.01), ef=estimate(0.01)))
    assert answers(given)[0] == "against"
    assert "Only m gains" in verdicts(given)[0].sentence
    assert verdict_label(rows(given)[1]) == "brought in"


def test_a_gain_no_larger_than_the_strongest_placebo_s_is_no_elicitation():
    given = made(method(acc=0.7, ctrl=estimate(0.0, 0.02)))
    assert answers(given)[0] == "against"
    assert verdict_label(rows(given)[-1]) == "placebo as good"


def test_a_gain_that_does_not_survive_holm_is_no_elicitation():
    assert answers(made(method(values={"p/ctrl_holm": Estimate(0.2)})))[0] == "not decidable"
    assert answers(made(method(values={"p/ctrl_holm": Estimate(0.01)})))[0] == "for"


def test_no_gap_is_not_decidable_and_the_reason_is_given():
    first = verdicts(made(method(ef=GAP)))[0]
    assert first.answer == "not decidable" and "gap too small" in first.sentence


def test_a_warning_of_a_fit_is_in_the_words_of_the_verdict_and_changes_none_of_its_answers():
    weak = method(notes={"fit/warnings": "dictionary of layer 3 not good enough"})
    given, sound = made(weak), made(method())
    assert answers(given) == answers(sound)
    assert verdict_label(rows(given)[-1]) == f"{verdict_label(rows(sound)[-1])} (see warnings)"
    assert unwarned(verdict_label(rows(given)[-1])) == verdict_label(rows(sound)[-1])
    assert verdicts(given)[0].sentence.endswith("Fits with warnings: m: dictionary of layer 3 not good enough.")
    placebo = policy("p", "placebo", 0.2, notes={"fit/warnings": "x"}, parent="m")
    assert verdict_label(rows(made(method(), placebo))[-1]).endswith("warnings)") is False


def test_a_missing_control_is_not_decidable():
    first = verdicts(made(method(ctrl=refused("no placebo was run"))))[0]
    assert first.answer == "not decidable" and "control" in first.sentence


def test_a_wide_interval_is_not_decidable():
    assert answers(made(method(ctrl=estimate(0.05, 0.2))))[0] == "not decidable"


def test_a_checkpoint_that_is_no_base_model_has_no_latent_claim():
    given = verdicts(made(method(), base_model=False))
    assert [v.answer for v in given] == ["not decidable", "for", "not decidable"]
    assert "no latent claim" in given[0].sentence and "no latent claim" in given[2].sentence


def test_unaccounted_data_count_for_nothing():
    given = made(method(data_class="unaccounted"))
    assert answers(given) == ["not decidable"] * 3
    assert verdict_label(rows(given)[-1]) == "withheld"


def test_no_method_at_all_is_not_decidable():
    assert answers(made()) == ["not decidable"] * 3


def test_a_gain_that_the_base_buys_with_the_same_tokens_speaks_against():
    given = made(method(matched=estimate(-0.05)))
    assert answers(given)[1] == "against"
    assert verdict_label(rows(given)[-1]) == "elicits, at a price"


@pytest.mark.parametrize("matched", [refused("no tokens recorded"), estimate(0.01)])
def test_an_unclear_or_refused_price_is_not_decidable(matched):
    assert answers(made(method(matched=matched)))[1] == "not decidable"


def test_the_harder_of_the_two_regimes_at_equal_tokens_counts():
    """A vote over samples at temperature 1 is what self-consistency is: the base's vote elsewhere does not count."""
    at_1 = method("votes", values={"matched_support/hardest": estimate(0.01)})
    given = made(at_1)
    assert answers(given)[1] == "not decidable" and verdict_label(rows(given)[-1]) == "elicits, at a price"
    both = made(at_1, method("m", values={"matched_support/hardest": estimate(0.2)}))
    sentence = verdicts(both)[1].sentence
    assert verdicts(both)[1].answer == "for" and "1 of 2" in sentence and "+20.0 [+17.0, +23.0]" in sentence
    unknown = made(method(values={"matched_support/hardest": refused("no certainty stored")}))
    assert verdict_label(rows(unknown)[-1]) == "elicits"


FORM = {"ctrl/lenient": estimate(-0.001, 0.02), "split/remainder": estimate(-0.001, 0.02)}


def test_a_method_that_only_learns_to_declare_its_answers_gains_by_format():
    """Simulated once: base 40 %, method 99 %, placebo 42 % declared; +26.8 points, p 3e-43, remainder -0.1 +- 2."""
    given = made(method(ctrl=estimate(0.268), ef=estimate(0.07, 0.02), values=FORM | {"p/ctrl_holm": Estimate(3e-43)}))
    assert verdict_label(rows(given)[-1]) == "format"
    assert answers(given) == ["against", "not decidable", "not decidable"]
    assert "m gains by form" in verdicts(given)[0].sentence


@pytest.mark.parametrize(("values", "label"), [
    ({"ctrl/any": estimate(0.0, 0.02)}, "format"),  # learned to stop: lenient reads the end, any the first declaration
    ({"p/lenient_holm": Estimate(0.2)}, "format"),
    ({"split/remainder": estimate(0.0, 0.02)}, "prompt as good"),
    ({"split/remainder": estimate(0.04, 0.06)}, "not decidable"),
    ({"ctrl/lenient": refused("one cluster")}, "not decidable"),
    ({"ctrl/any": estimate(0.3)}, "elicits"),
    ({"ctrl/any": refused("first declarations were not graded")}, "elicits")])  # fmt: skip
def test_a_strict_gain_is_named_after_what_it_does_not_outlast(values, label):
    given = made(method(values=values))
    assert verdict_label(rows(given)[-1]) == label
    assert (answers(given)[0] == "for") == (label == "elicits")


def test_files_without_lenient_gains_claim_nothing():
    given = made(method())
    del given.lines[-1].values["ctrl/lenient"]
    assert verdict_label(rows(given)[-1]) == "not decidable"
    assert answers(given)[0] == "not decidable" and "missing for m" in verdicts(given)[0].sentence


def test_a_prompt_that_closes_the_gap_alone_leaves_no_headline():
    """B1 was measured and leaves no gap to any ceiling: the fraction of B0 would give the prompt's credit to m."""
    values = {"ef/B1/C1": GAP, "ef/B0/C4": estimate(0.8), "gain/B1": estimate(0.01)}
    one = method(ef=GAP, values=values)
    pair, fraction = headline_ef(one)
    assert (
        pair == "B1/C1" and "no gap over the best prompt" in str(fraction.refused) and GAP.refused in fraction.refused
    )
    assert answers(made(one))[0] == "not decidable" and verdict_label(rows(made(one))[-1]) == "above placebo"


def test_without_b1_the_bare_prompt_gives_the_headline():
    unmeasured = refused("rung B1 was not measured")
    values = {"ef/B1/C1": unmeasured, "ef/B0/C4": refused("C4: no planted ability"), "ef/B0/C1": estimate(0.8),
              "gain/B1": unmeasured}  # fmt: skip
    one = method(ef=unmeasured, values=values)
    assert headline_ef(one) == ("B0/C1", estimate(0.8))
    assert answers(made(one))[0] == "for"


def test_the_fraction_to_c1_counts_if_nothing_was_planted():
    values = {"ef/B1/C1": estimate(0.3), "gain/B1": estimate(0.2)}
    assert headline_ef(method(ef=refused("C4: no planted ability"), values=values)) == ("B1/C1", estimate(0.3))


def test_what_lenient_coverage_holds_is_compared_with_lenient_accuracy():
    """A base that declares 3 % of its answers: strict coverage is low, lenient coverage is .99."""
    given = made(method(acc=0.9, values={"acc/lenient": share(0.92)}), c1=share(0.99, 0.005))
    given.c1 = Ceiling("coverage net of guessing, of lenient grades", 64, 0.01, reading="lenient")
    assert answers(given)[2] == "for"
    below = made(method(acc=0.5, values={"acc/lenient": share(0.92)}), c1=share(0.7, 0.02))
    below.c1 = Ceiling("coverage net of guessing, of lenient grades", 64, 0.01, reading="lenient")
    assert answers(below)[2] == "against"


@pytest.mark.parametrize(("gain", "remainder", "named"), [
    ((0.1, 0.03), (0.09, 0.03), True),
    ((0.1, 0.03), (0.0, 0.03), False),  # form, or a better prompt
    ((0.0, 0.03), (0.1, 0.03), False),
    ((0.022, 0.014), (0.022, 0.014), False),  # clear, but inside of five points: +2.2 [+0.8, +3.6]
    ((0.1, 0.06), (0.1, 0.03), False),  # large, but it may be less than five points
])  # fmt: skip
def test_a_placebo_that_gains_on_a_coin_is_named_if_more_than_five_points_are_no_form(gain, remainder, named):
    values = {"gain/B0": estimate(*gain), "split/remainder": estimate(*remainder)}
    coin = policy("m/random_reward", "placebo", 0.3, values, parent="m")
    given = made(method(), coin)
    sentence = verdicts(given)[0].sentence
    assert ("Gains on a coin (m/random_reward" in sentence and "suspect contamination" in sentence) == named
    assert any(text.startswith("Gains on a coin") for text in warnings(given, rows(given))) == named


@settings(max_examples=200, deadline=None)
@given(ctrl=st.tuples(st.floats(-0.5, 0.9), st.floats(0, 0.3)), gain=st.floats(-0.3, 0.9),
       holm=st.none() | st.floats(0, 1), fraction=st.sampled_from([0.6, 0.0, None]),
       data_class=st.sampled_from(["Z", "V", "R", "T", "L"]))  # fmt: skip
def test_no_label_claims_more_than_the_control_adjusted_column(ctrl, gain, holm, fraction, data_class):
    point, half = ctrl
    ef = estimate(fraction) if fraction is not None else GAP
    corrected = {"p/ctrl_holm": Estimate(holm)} if holm is not None else {}
    one = method(ctrl=estimate(point, half), ef=ef, values={"gain/B0": estimate(gain)} | corrected,
                 data_class=data_class)  # fmt: skip
    table = rows(made(one))
    label = verdict_label(table[-1])
    above = point - half > 0 and (holm is None or holm <= 0.05)
    if label in ("elicits", "elicits, at a price", "brought in", "above placebo"):
        assert above
    if above and gain > 0.03:
        assert label in ("elicits", "elicits, at a price", "brought in", "above placebo")
    assert (label in ("elicits", "elicits, at a price")) <= eliciting(table[-1])


def test_accuracy_above_the_base_s_coverage_speaks_against_latency():
    assert answers(made(method(acc=0.9)))[2] == "against"


@pytest.mark.parametrize("c1", [refused("guessing null exceeds .2"), share(0.7, 0.05)])
def test_coverage_refused_or_too_near_is_not_decidable(c1):
    assert answers(made(method(acc=0.7), c1=c1))[2] == "not decidable"


def test_plain_coverage_never_replaces_coverage_net_of_guessing():
    given = made(method(), c1=refused("guessing null exceeds .2"))
    given.lines[0].curves["cov"] = Curve((64,), (0.99,), (0.98,), (1.0,))
    assert answers(given)[2] == "not decidable"


def test_the_first_sentence_carries_interval_items_samples_seeds_and_class():
    sentence = verdicts(made(method(name="rlvr")))[0].sentence
    assert all(part in sentence for part in ("rlvr", "class R", "200\u00a0\u00d7\u00a016", "1 seed", "[0.57, 0.63]"))


@pytest.mark.parametrize(("point", "half", "expected"), [
    (0.1, 0.03, "gains"), (-0.1, 0.03, "harms"), (0.0, 0.03, "no gain"), (0.0, 0.3, "not decidable")])  # fmt: skip
def test_a_control_s_label_follows_its_interval(point, half, expected):
    control = policy("p", "placebo", 0.2, {"gain/B0": estimate(point, half)}, parent="m")
    assert verdict_label(rows(made(method(), control))[-1]) == expected


def test_every_verdict_states_its_rule():
    assert all(v.rule.startswith("For, if") and "against" in v.rule for v in verdicts(made(method())))
