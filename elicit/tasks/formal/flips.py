"""`flips`: three cups under flips and swaps; each step writes down all three states.

Cups: red is up, blue is down, green is up. Flip red. Swap red and blue. How is red?
->   down down up. down down up.
"""

from __future__ import annotations

import random
from typing import Any

from elicit.tasks.formal.family import Problem

CUPS = {"plain": ("red", "blue", "green"), "recoloured": ("black", "white", "pink")}
_OTHER = {"up": "down", "down": "up"}


def apply_action(states: list[str], cups: list[str], action: list[str]) -> list[str]:
    """The states after ["flip", cup] or ["swap", cup, cup]; `states` is not changed."""
    out = list(states)
    if action[0] == "flip":
        at = cups.index(action[1])
        out[at] = _OTHER[out[at]]
    else:
        i, j = cups.index(action[1]), cups.index(action[2])
        out[i], out[j] = out[j], out[i]
    return out


class Flips:
    name = "flips"
    skins = ("plain", "recoloured")

    def problem(self, rng: random.Random, size: int, skin: str = "plain") -> Problem:
        cups = list(CUPS[skin])
        actions = []
        for _ in range(size):
            swap = rng.random() < 0.3
            actions.append(["swap", *rng.sample(cups, 2)] if swap else ["flip", rng.choice(cups)])
        states = [rng.choice(("up", "down")) for _ in cups]
        facts = {"cups": cups, "states": states, "actions": actions, "ask": rng.choice(cups)}
        sentences = [f"Swap {a[1]} and {a[2]}." if a[0] == "swap" else f"Flip {a[1]}." for a in actions]
        start = ", ".join(f"{cup} is {state}" for cup, state in zip(cups, states, strict=True))
        question = f"Cups: {start}. {' '.join(sentences)} How is {facts['ask']}?"
        return Problem(self.name, size, skin, question, tuple(self.steps(facts)), self.answer(facts), facts)

    def _states(self, facts: dict[str, Any]) -> list[list[str]]:
        out = [list(facts["states"])]
        for action in facts["actions"]:
            out.append(apply_action(out[-1], facts["cups"], action))
        return out

    def steps(self, facts: dict[str, Any]) -> list[str]:
        return [" ".join(states) + "." for states in self._states(facts)[1:]]

    def answer(self, facts: dict[str, Any]) -> str:
        return str(self._states(facts)[-1][facts["cups"].index(facts["ask"])])

    def local_error(self, facts: dict[str, Any], index: int, previous: str | None, step: str) -> tuple[str, str] | None:
        states = step.rstrip(".").split()
        if len(states) != len(facts["cups"]) or not set(states) <= set(_OTHER):
            return "unreadable", f"{step!r} is not three states"
        before = list(facts["states"]) if previous is None else previous.rstrip(".").split()
        right = apply_action(before, facts["cups"], facts["actions"][index])
        if states == right:
            return None
        action = " ".join(facts["actions"][index])
        if states == before:
            return "wrong_rule", f"nothing changed at '{action}'"
        return "wrong_result", f"'{action}' gives {' '.join(right)}, not {' '.join(states)}"


FAMILY = Flips()
