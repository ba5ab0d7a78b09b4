"""`add`: two numbers of equal length, digit by digit from the right, with carries.

    Add the numbers 4 7 and 3 8.   ->   7 + 8 + 0 = 1 5. 4 + 3 + 1 = 0 8.   ->   8 5

A step reads "u + v + carry = next-carry digit."; a last carry of 1 leads the answer.
"""

from __future__ import annotations

import random
import re
from typing import Any

from elicit.tasks.formal.family import Problem

_STEP = re.compile(r"(\d) \+ (\d) \+ ([01]) = (\d) (\d)\.")
_WORDS = {"plain": "Add the numbers {} and {}.", "reworded": "Plus: {} with {}."}


class Add:
    name = "add"
    skins = ("plain", "reworded")

    def problem(self, rng: random.Random, size: int, skin: str = "plain") -> Problem:
        low, high = 10 ** (size - 1), 10**size
        facts = {"a": str(rng.randrange(low, high)), "b": str(rng.randrange(low, high))}
        question = _WORDS[skin].format(" ".join(facts["a"]), " ".join(facts["b"]))
        return Problem(self.name, size, skin, question, tuple(self.steps(facts)), self.answer(facts), facts)

    def steps(self, facts: dict[str, Any]) -> list[str]:
        carry, out = 0, []
        for u, v in zip(reversed(facts["a"]), reversed(facts["b"]), strict=True):
            total = int(u) + int(v) + carry
            out.append(f"{u} + {v} + {carry} = {total // 10} {total % 10}.")
            carry = total // 10
        return out

    def answer(self, facts: dict[str, Any]) -> str:
        return " ".join(str(int(facts["a"]) + int(facts["b"])))

    def local_error(self, facts: dict[str, Any], index: int, previous: str | None, step: str) -> tuple[str, str] | None:
        read = _STEP.fullmatch(step)
        if not read:
            return "unreadable", f"{step!r} is not 'u + v + c = c d.'"
        u, v, carry, next_carry, digit = (int(part) for part in read.groups())
        right_u, right_v = int(facts["a"][-1 - index]), int(facts["b"][-1 - index])
        if (u, v) != (right_u, right_v):
            return "wrong_premise", f"adds {u} and {v}, the digits are {right_u} and {right_v}"
        right_carry = 0 if previous is None else int(previous[-4])
        if carry != right_carry:
            return "broken_link", f"carries in {carry}, the step before carries {right_carry}"
        if 10 * next_carry + digit != u + v + carry:
            return "wrong_result", f"{u} + {v} + {carry} is {u + v + carry}, not {10 * next_carry + digit}"
        return None


FAMILY = Add()
