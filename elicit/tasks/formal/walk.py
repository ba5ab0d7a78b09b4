"""`walk`: follow a ten-letter map n times.

Map: a c, b d, ... Start at a and move 2 times.   ->   a c. c h.
"""

from __future__ import annotations

import random
import re
from typing import Any

from elicit.tasks.formal.family import Problem

LETTERS = {"plain": "abcdefghij", "relettered": "klmnopqrst"}
_STEP = re.compile(r"([a-z]) ([a-z])\.")


def map_text(rng: random.Random, mapping: dict[str, str]) -> str:
    """The entries of a map in random order: `a c, b d`."""
    keys = list(mapping)
    rng.shuffle(keys)
    return ", ".join(f"{key} {mapping[key]}" for key in keys)


def random_map(rng: random.Random, letters: str) -> dict[str, str]:
    """One random cycle through all `letters`.

    On any permutation the walker is back at its start with probability .4 after 6 or 8 moves, so guessing
    "the start" would pay more the longer the walk; on one cycle of ten it never is after 1 to 9 moves.
    """
    cycle = list(letters)
    rng.shuffle(cycle)
    return {x: cycle[(index + 1) % len(cycle)] for index, x in enumerate(cycle)}


class Walk:
    name = "walk"
    skins = ("plain", "relettered")

    def problem(self, rng: random.Random, size: int, skin: str = "plain") -> Problem:
        mapping = random_map(rng, LETTERS[skin])
        facts = {"map": mapping, "start": rng.choice(LETTERS[skin]), "moves": size}
        question = f"Map: {map_text(rng, mapping)}. Start at {facts['start']} and move {size} times."
        return Problem(self.name, size, skin, question, tuple(self.steps(facts)), self.answer(facts), facts)

    def steps(self, facts: dict[str, Any]) -> list[str]:
        x, out = facts["start"], []
        for _ in range(facts["moves"]):
            out.append(f"{x} {facts['map'][x]}.")
            x = facts["map"][x]
        return out

    def answer(self, facts: dict[str, Any]) -> str:
        x = facts["start"]
        for _ in range(facts["moves"]):
            x = facts["map"][x]
        return x

    def local_error(self, facts: dict[str, Any], index: int, previous: str | None, step: str) -> tuple[str, str] | None:
        read = _STEP.fullmatch(step)
        if not read:
            return "unreadable", f"{step!r} is not 'x y.'"
        x, y = read[1], read[2]
        start = facts["start"] if previous is None else previous[-2]
        if x != start:
            return "broken_link", f"moves from {x}, the state is {start}"
        if x not in facts["map"]:
            return "wrong_premise", f"{x} is not on the map"
        if y != facts["map"][x]:
            return "wrong_result", f"{x} leads to {facts['map'][x]}, not {y}"
        return None


FAMILY = Walk()
