"""Laws of what a strategy says of its own law: whoever chooses completions has no rule a token is drawn by."""

from __future__ import annotations

import pytest

from elicit.config.compose import build_settings, choices, compose
from elicit.policy.decoding import PickRule, StrategyBase


def strategy_of(name: str) -> StrategyBase:
    return build_settings(compose(["method=decoding", f"method/strategy={name}"])).method.strategy


@pytest.mark.parametrize("name", sorted(choices("method/strategy")))
def test_only_plain_rules_state_a_rule_for_each_token(name: str) -> None:
    plain = {
        "greedy": PickRule(temperature=0.0), "low_temperature": PickRule(temperature=0.25), "temperature": None,
        "top_p": None, "min_p": None,
    }  # fmt: skip
    rule = strategy_of(name).token_rule
    assert (rule is not None) == (name in plain)
    if plain.get(name):
        assert rule == plain[name]


def test_only_online_filtering_lets_chains_depend_on_each_other() -> None:
    assert {name for name in choices("method/strategy") if strategy_of(name).adaptive} == {"deepconf_online"}
