"""Laws of the formal families: the right trace is valid, and an injected error is named at its step."""

from __future__ import annotations

import json
import random

import pytest

from elicit.tasks.formal import add, chain, flips, walk
from elicit.tasks.formal.family import KINDS, first_violation, render_trace, split_trace

FAMILIES = {module.FAMILY.name: module.FAMILY for module in (add, chain, flips, walk)}


def problems(name: str, count: int = 60):
    rng = random.Random(name)
    return [FAMILIES[name].problem(rng, rng.randint(2, 12), rng.choice(FAMILIES[name].skins)) for _ in range(count)]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_right_trace_is_valid_also_after_a_json_round_trip(name: str) -> None:
    for problem in problems(name):
        facts = json.loads(json.dumps(problem.facts))
        assert first_violation(FAMILIES[name], facts, " " + render_trace(problem.steps, problem.answer)) is None


@pytest.mark.parametrize("name", FAMILIES)
def test_a_missing_an_extra_and_a_wrong_end_are_named(name: str) -> None:
    for problem in problems(name, 20):
        family, steps = FAMILIES[name], list(problem.steps)
        short = first_violation(family, problem.facts, render_trace(steps[:-1], problem.answer))
        assert short is not None and short.kind == "missing_step" and short.step == len(steps) - 1
        long = first_violation(family, problem.facts, render_trace([*steps, steps[-1]], problem.answer))
        assert long is not None and long.kind == "extra_step" and long.step == len(steps)
        wrong = first_violation(family, problem.facts, render_trace(steps, "nothing"))
        assert wrong is not None and wrong.kind == "wrong_conclusion"


@pytest.mark.parametrize("name", FAMILIES)
def test_no_steps_is_no_trace_and_junk_is_unreadable(name: str) -> None:
    problem = problems(name, 1)[0]
    none = first_violation(FAMILIES[name], problem.facts, f" The answer is {problem.answer}.")
    assert none is not None and none.kind == "no_trace"
    junk = first_violation(FAMILIES[name], problem.facts, render_trace(["one two three four.", "x."], "1"))
    assert junk is not None and (junk.step, junk.kind) == (0, "unreadable")


def test_each_kind_of_chain_error_is_distinguished() -> None:
    facts = {"start": 3, "operations": [["+", 4], ["*", 7]]}
    for step, kind in (
        ("7 * 7 = 9.", None),
        ("6 * 7 = 2.", "broken_link"),
        ("7 + 7 = 4.", "wrong_rule"),
        ("7 * 9 = 3.", "wrong_premise"),
        ("7 * 7 = 8.", "wrong_result"),
    ):
        fault = chain.FAMILY.local_error(facts, 1, "3 + 4 = 7.", step)
        assert (fault[0] if fault else None) == kind
        assert kind is None or kind in KINDS


def test_an_inherited_error_is_charged_to_the_step_that_made_it() -> None:
    facts = {"start": 3, "operations": [["+", 4], ["*", 7], ["-", 1]]}
    text = "Working. 3 + 4 = 8. 8 * 7 = 6. 6 - 1 = 5. So the answer is 5."
    violation = first_violation(chain.FAMILY, facts, text)
    assert violation is not None and (violation.step, violation.kind) == (0, "wrong_result")


def test_split_trace_drops_the_opener_and_what_follows_the_conclusion() -> None:
    assert split_trace(" Trail. a c. So the answer is c. b d.") == (["a c."], "c")
    assert split_trace(" Working. a c. So the proposed answer is wrong. The answer is c.") == (["a c."], "c")
