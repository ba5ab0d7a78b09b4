"""The rule of a study: each condition against every point of its interval, and the three verdicts of every study."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import yaml

from elicit.commands.study import studies, wording_of
from elicit.config.compose import choices
from elicit.errors import ConfigError
from elicit.results import Estimate
from elicit.studies import Condition, Endpoint, State, decide

NAMES = studies()
GRID = [-0.5, -0.1, 0.0, 0.1, 0.4]
BOUNDS = [(low, high) for low, high in itertools.product([None, *GRID], repeat=2) if (low, high) != (None, None)]


@pytest.mark.parametrize(("low", "high"), [(low, high) for low, high in BOUNDS if None in (low, high) or low < high])
def test_a_condition_is_met_if_all_points_lie_inside_and_missed_if_none_does(
    low: float | None, high: float | None
) -> None:
    for lo, hi in itertools.combinations_with_replacement([-0.6, -0.3, -0.1, 0.05, 0.1, 0.2, 0.5], 2):
        points = np.linspace(lo, hi, 201)
        inside = (points > (-9 if low is None else low)) & (points < (9 if high is None else high))
        expected = "met" if inside.all() else "missed" if not inside.any() else "open"
        state = Condition("x", low, high).state([Estimate((lo + hi) / 2, lo, hi)])
        assert state == expected or {low, high} & {lo, hi}, (lo, hi)  # on a bound the grid decides by rounding


def test_policies_and_seeds_have_to_agree_and_a_refused_number_decides_nothing() -> None:
    above = Condition("x", above=0)
    yes, no, unclear = Estimate(0.2, 0.1, 0.3), Estimate(-0.2, -0.3, -0.1), Estimate(0, -0.1, 0.1)
    assert above.state([yes, yes]) == "met" and above.state([no, no]) == "missed"
    for values in ([yes, no], [yes, unclear], [yes, Estimate(refused="no base")], [yes, Estimate(0.3)], []):
        assert above.state(values) == "open"


STATES: tuple[State, ...] = ("met", "missed", "open")


@pytest.mark.parametrize("first", STATES)
@pytest.mark.parametrize("second", STATES)
@pytest.mark.parametrize("needed", STATES)
def test_a_claim_fails_by_one_missed_condition_and_holds_by_all_and_neither_without_its_preconditions(
    first: State, second: State, needed: State
) -> None:
    both = {first, second}
    without = "fails" if "missed" in both else "holds" if both == {"met"} else "not decidable"
    assert decide([], [first, second]) == without
    assert decide([needed], [first, second]) == (without if needed == "met" else "not decidable")


def test_a_condition_without_bounds_and_a_study_without_a_rule_are_refused() -> None:
    with pytest.raises(ConfigError, match="it states no bound"):
        Condition("x")
    with pytest.raises(ConfigError, match="must be less than"):
        Condition("x", above=0.2, below=0.2)
    with pytest.raises(ConfigError, match="write `line KEY`"):
        Endpoint("gain", "gain/B0", ("star",))
    with pytest.raises(ConfigError, match="write `line KEY`"):
        Endpoint("pair", "pair a - b", ("a",))
    study = wording_of("draft")
    with pytest.raises(ConfigError, match="rule: it is empty"):
        replace(study, rule=())
    with pytest.raises(ConfigError, match=r"endpoint='drafd' is no endpoint; did you mean draft"):
        replace(study, rule=(Condition("drafd", above=0),))
    with pytest.raises(ConfigError, match=r"quick\.seeds: it is empty"):
        replace(study, quick=replace(study.quick, seeds=()))


def spread(condition: Condition) -> dict[State, Estimate]:
    """An interval for each state of a condition with one bound."""
    bound = condition.above if condition.above is not None else condition.below
    assert bound is not None
    sign = 1 if condition.above is not None else -1
    inside, outside = bound + sign * 0.05, bound - sign * 0.05

    def between(a: float, b: float) -> Estimate:
        return Estimate((a + b) / 2, min(a, b), max(a, b))

    return {
        "met": between(inside, inside + sign * 0.01),
        "missed": between(outside, outside - sign * 0.01),
        "open": between(outside, inside),
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_study_can_hold_fail_and_stay_open(name: str) -> None:
    study = wording_of(name)
    needed = [one.state([spread(one)["met"]] * 2) for one in study.preconditions]

    def verdict(*states: State) -> str:
        """`states` for the first conditions; the others are met."""
        wanted: list[State] = [*states, *(["met"] * len(study.rule))][: len(study.rule)]  # type: ignore[list-item]
        states_of_rule = [one.state([spread(one)[state]] * 2) for one, state in zip(study.rule, wanted, strict=True)]
        return decide(needed, states_of_rule)

    assert verdict() == "holds" and verdict("missed") == "fails" and verdict("open") == "not decidable"


@pytest.mark.parametrize("name", NAMES)
def test_every_study_trains_over_several_seeds_or_not_at_all(name: str) -> None:
    experiment = yaml.safe_load(choices("experiment")[f"study/{name}"].read_text(encoding="utf-8"))["experiment"]
    study = wording_of(name)
    trains = any(word.startswith("method=") and word != "method=decoding" for job in experiment["jobs"] for word in job)
    for scale in (study.quick, study.full):
        assert len(scale.seeds) >= (2 if trains else 1)
    assert study.full.cost.count("GPU") and "not run" in study.full.cost
